"""Wait tokens as the management API lists and shows them (management-api 9.6)."""

from typing import Any

import msgspec
from starlette.datastructures import QueryParams

from trigger_lite.engine.run_json import decode_tags
from trigger_lite.protocol.errors import BadRequest, WaitpointNotFound
from trigger_lite.protocol.pages import Pagination
from trigger_lite.protocol.times import iso
from trigger_lite.protocol.waitpoints import TokenPage, TokenResult, TokenView, WaitpointKind
from trigger_lite.store.token_lists import STATUSES, TokenFilter, TokenRows
from trigger_lite.store.transaction import Reader
from trigger_lite.store.waitpoints import WaitpointRow, find_output, find_waitpoint_in
from trigger_lite.web.api.filters import created_span, listed, page_size


class TokenQuery(msgspec.Struct, frozen=True):
    """A list that was asked for: which tokens, how many, from where."""

    wanted: TokenFilter
    size: int
    after: str | None
    before: str | None


def parse_tokens(environment_id: str, query: QueryParams) -> TokenQuery:
    """Read the query of the list. Raises BadRequest naming the parameter that is wrong."""
    statuses = listed(query, "status")
    for status in statuses:
        if status not in STATUSES:
            raise BadRequest(
                f"filter[status] has {status!r}; a token is one of {', '.join(sorted(STATUSES))}"
            )
    created_from, created_to = created_span(query, unless_said=None)
    return TokenQuery(
        TokenFilter(
            environment_id=environment_id,
            statuses=statuses,
            tags=listed(query, "tags"),
            idempotency_key=query.get("filter[idempotencyKey]") or None,
            created_from=created_from,
            created_to=created_to,
        ),
        size=page_size(query),
        after=query.get("page[after]") or None,
        before=query.get("page[before]") or None,
    )


def read_token(tx: Reader, environment_id: str, waitpoint_id: str) -> tuple[WaitpointRow, str | None]:
    """Read a token and what it was completed with. Raises WaitpointNotFound."""
    row = find_waitpoint_in(tx, environment_id, waitpoint_id)
    if row is None or row.kind != WaitpointKind.MANUAL:
        raise WaitpointNotFound
    return row, find_output(tx, waitpoint_id)


def token_view(row: WaitpointRow, url: str) -> TokenView:
    """Return a token as lists show it."""
    return TokenView(**_fields(row, url))


def token_result(row: WaitpointRow, output: str | None, url: str) -> TokenResult:
    """Return a token with its output."""
    is_error = bool(row.is_error) if row.status == "COMPLETED" else None
    return TokenResult(
        **_fields(row, url), output=output, output_type=row.output_type, output_is_error=is_error
    )


def token_page(views: list[TokenView], page: TokenRows) -> TokenPage:
    return TokenPage(views, Pagination(next=page.next, previous=page.previous))


def _fields(row: WaitpointRow, url: str) -> dict[str, Any]:
    return {
        "id": row.id,
        "url": url,
        "status": _status(row),
        "created_at": iso(row.created_at),
        "tags": decode_tags(row.tags),
        "completed_at": _moment(row.completed_at),
        "timeout_at": _moment(row.due_at),
        "idempotency_key": row.idempotency_key,
        "idempotency_key_expires_at": _moment(row.idempotency_expires_at),
    }


def _status(row: WaitpointRow) -> str:
    if row.status == "PENDING":
        return "WAITING"
    return "TIMED_OUT" if row.is_error else "COMPLETED"


def _moment(ms: int | None) -> str | None:
    return None if ms is None else iso(ms)

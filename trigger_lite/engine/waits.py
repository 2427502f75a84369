"""Waits as requests ask for them: until a date, for a token (WP-10…20, management-api 9.6)."""

from typing import Final

import msgspec

from trigger_lite.engine import waitpoints
from trigger_lite.engine.requests import DEFAULT_KEY_LIFE_MS, check_tags, clean, without_nulls
from trigger_lite.engine.waitpoints import Edge, KeyLife
from trigger_lite.protocol.durations import parse_duration_ms, parse_key_ttl_ms
from trigger_lite.protocol.errors import BadRequest, RunNotFound, WaitpointNotFound
from trigger_lite.protocol.times import LAST_DATE_MS, parse_iso_ms
from trigger_lite.protocol.waitpoints import CreateToken, WaitFor, WaitpointKind
from trigger_lite.store import runs
from trigger_lite.store import waitpoints as rows
from trigger_lite.store.transaction import Tx
from trigger_lite.store.waitpoints import WaitpointRow

_LONGEST_LIFE_MS: Final = 100 * 365 * 86_400_000


class DateRequest(msgspec.Struct, frozen=True):
    """A wait until `at` (Unix ms), checked."""

    at: int
    key: KeyLife | None


class TokenRequest(msgspec.Struct, frozen=True):
    """A token to make, checked; it times out at `timeout_at` (Unix ms)."""

    timeout_at: int | None
    key: KeyLife | None
    tags: tuple[str, ...]


def check_wait(body: WaitFor, *, now: int) -> DateRequest:
    """Return the wait that a body asks for. Raises BadRequest when its date is none."""
    at = parse_iso_ms(body.date)
    if at is None or not 0 <= at <= LAST_DATE_MS:
        raise BadRequest(f'date {body.date!r} is not a date; write for example "2027-01-31T09:00:00Z"')
    return DateRequest(at, _key(body.idempotency_key, body.idempotency_key_ttl, now))


def check_token(body: CreateToken, *, now: int) -> TokenRequest:
    """Return the token that a body asks for. Raises BadRequest or Unprocessable (past ten tags)."""
    key = _key(body.idempotency_key, body.idempotency_key_ttl, now)
    return TokenRequest(_timeout(body.timeout, now), key, check_tags(body.tags))


def _timeout(timeout: str | None, now: int) -> int | None:
    if timeout is None:
        return None
    duration = parse_duration_ms(timeout)
    at = parse_iso_ms(timeout) if duration is None else now + duration
    if at is None or not 0 <= at <= LAST_DATE_MS:
        raise BadRequest(f'timeout {timeout!r} is neither a duration such as "1d" nor an ISO-8601 date')
    return at


def _key(key: str | None, life: str | None, now: int) -> KeyLife | None:
    key = clean(key)
    if not key:
        return None
    lives = parse_key_ttl_ms(life) if life else None
    return KeyLife(key, now + min(DEFAULT_KEY_LIFE_MS if lives is None else lives, _LONGEST_LIFE_MS))


# ---- over a transaction -----------------------------------------------------------------------------


def wait_until(tx: Tx, environment_id: str, run_id: str, wait: DateRequest) -> WaitpointRow:
    """Let a run wait until a moment (WP-10). Raises RunNotFound, or Unprocessable as `block` does."""
    run = runs.find_run_in(tx, environment_id, run_id)
    if run is None:
        raise RunNotFound
    waitpoint, _ = waitpoints.new_waitpoint(
        tx, environment_id, WaitpointKind.DATETIME, due_at=wait.at, key=wait.key
    )
    waitpoints.block(tx, run, [Edge(waitpoint.id)])
    return waitpoint


def wait_for_token(tx: Tx, environment_id: str, run_id: str, waitpoint_id: str) -> None:
    """Let a run wait for a token; a complete one ends the wait at once (WP-04, WP-13).

    Raises RunNotFound, WaitpointNotFound, or Unprocessable as `block` does.
    """
    run = runs.find_run_in(tx, environment_id, run_id)
    if run is None:
        raise RunNotFound
    waitpoints.block(tx, run, [Edge(_token(tx, environment_id, waitpoint_id).id)])


def create_token(tx: Tx, environment_id: str, request: TokenRequest) -> tuple[WaitpointRow, bool]:
    """Make a token, or find the one that has its key; tell whether it was found (WP-17, WP-13)."""
    return waitpoints.new_waitpoint(
        tx,
        environment_id,
        WaitpointKind.MANUAL,
        due_at=request.timeout_at,
        key=request.key,
        tags=request.tags,
    )


def complete_token(
    tx: Tx, environment_id: str, waitpoint_id: str, output: str | None, output_type: str | None
) -> None:
    """Complete a token; one that is complete stays as it is (WP-02, WP-19). Raises WaitpointNotFound."""
    token = _token(tx, environment_id, waitpoint_id)
    text = None if output is None else without_nulls(output)
    waitpoints.complete(tx, token.id, output=text, output_type=output_type)


def _token(tx: Tx, environment_id: str, waitpoint_id: str) -> WaitpointRow:
    found = rows.find_waitpoint_in(tx, environment_id, waitpoint_id)
    if found is None or found.kind != WaitpointKind.MANUAL:
        raise WaitpointNotFound
    return found

"""Lists of any length, fetched page by page as their rows are asked for."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from urllib.parse import urlencode

from trigger_lite.protocol.pages import NumberedPages, Pagination
from trigger_lite.sdk.blocking import in_thread

if TYPE_CHECKING:
    from trigger_lite.sdk.client import Client

Row = TypeVar("Row")
Row_co = TypeVar("Row_co", covariant=True)
_CURSOR_SIZE: Final = 50
_NUMBERED_SIZE: Final = 100


class CursorPage(Protocol[Row_co]):
    """A page that names the one after it by a cursor."""

    @property
    def data(self) -> Sequence[Row_co]: ...
    @property
    def pagination(self) -> Pagination: ...


class NumberedPage(Protocol[Row_co]):
    """A page that says how many there are."""

    @property
    def data(self) -> Sequence[Row_co]: ...
    @property
    def pagination(self) -> NumberedPages: ...


def cursor_pages(
    find_client: "Callable[[], Client]",
    path: str,
    kind: type[CursorPage[Row]],
    query: Mapping[str, Any] | None = None,
) -> Iterator[Sequence[Row]]:
    """Yield the rows of each page; nothing is asked before the first is wanted."""
    after: str | None = ""
    while after is not None:
        asked = {**(query or {}), "page[size]": _CURSOR_SIZE, **({"page[after]": after} if after else {})}
        page = find_client().request("GET", f"{path}?{urlencode(asked)}", kind)
        yield page.data
        after = page.pagination.next


def numbered_pages(
    find_client: "Callable[[], Client]", path: str, kind: type[NumberedPage[Row]]
) -> Iterator[Sequence[Row]]:
    """Yield the rows of each page; nothing is asked before the first is wanted."""
    number, last = 0, 1
    while number < last:
        number += 1
        asked = urlencode({"page": number, "perPage": _NUMBERED_SIZE})
        page = find_client().request("GET", f"{path}?{asked}", kind)
        yield page.data
        last = page.pagination.total_pages


def each_row(pages: Iterator[Sequence[Row]]) -> Iterator[Row]:
    """Go through the rows of all pages."""
    return chain.from_iterable(pages)


async def each_row_in_thread(pages: Iterator[Sequence[Row]]) -> AsyncIterator[Row]:
    """Go through the rows of all pages, each page fetched in a thread."""
    while (rows := await in_thread(next, pages, None)) is not None:
        for row in rows:
            yield row

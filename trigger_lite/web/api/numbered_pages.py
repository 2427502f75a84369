"""Lists in numbered pages: the query `page` and `perPage`, and where a page stands (management-api 1.4)."""

from typing import Final, NamedTuple

from starlette.datastructures import QueryParams

from trigger_lite.protocol.errors import BadRequest
from trigger_lite.protocol.pages import NumberedPages
from trigger_lite.web.numbers import whole_number

MAX_SIZE: Final = 100
_MOST_SKIPPED: Final = 2_147_483_647


class PageWanted(NamedTuple):
    """A page by its number, from 1, of pages with so many rows."""

    number: int
    size: int

    @property
    def skip(self) -> int:
        """How many rows come before it, as far as a database counts."""
        return min((self.number - 1) * self.size, _MOST_SKIPPED)

    def among(self, count: int) -> NumberedPages:
        """Return where it stands when there are `count` rows in all."""
        return NumberedPages(current_page=self.number, total_pages=-(-count // self.size), count=count)


def page_wanted(query: QueryParams, *, size: int) -> PageWanted:
    """Return the page a query asks for, of `size` rows unless it says how many. Raises BadRequest."""
    return PageWanted(_from_one(query, "page", 1), min(_from_one(query, "perPage", size), MAX_SIZE))


def _from_one(query: QueryParams, name: str, default: int) -> int:
    text = query.get(name, str(default))
    number = whole_number(text)
    if not number:
        raise BadRequest(f"{name} is {text!r}, but must be a whole number from 1 on")
    return number

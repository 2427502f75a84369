"""Where a page of a list stands (management-api 1.4)."""

import msgspec


class Pagination(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The cursors of the page after this one and of the one before; absent at the end and the beginning."""

    next: str | None = None
    previous: str | None = None


class NumberedPages(msgspec.Struct, frozen=True, rename="camel"):
    """The number of this page, of all pages and of all rows; pages count from 1."""

    current_page: int
    total_pages: int
    count: int

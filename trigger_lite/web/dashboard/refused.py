"""The page for what cannot be shown or done."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class RefusedView:
    """A page that says what went wrong; `status` is the HTTP status."""

    template: ClassVar[str] = "refused.html"

    status: int
    message: str
    home_href: str

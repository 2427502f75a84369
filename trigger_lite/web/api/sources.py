"""Who says to have sent a request: what runs are said to come from (management-api 9.1)."""

from typing import Final

from starlette.requests import Request

_SOURCES: Final = frozenset({"sdk", "cli", "mcp"})


def source_of(request: Request) -> str:
    """Return the source that the caller names, or `api` for one that is not known."""
    named = request.headers.get("x-trigger-source", "")
    return named if named in _SOURCES else "api"

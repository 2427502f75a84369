"""The files that pages load: read once, compressed once, named by their content and so never stale."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from trigger_lite.web.static_files import static_directory

# What is served under each name: its parts, put together in this order into one request.
_BUNDLES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "app.css": ("text/css; charset=utf-8", ("app.css",)),
    "app.js": (
        "text/javascript; charset=utf-8",
        ("vendor/htmx.min.js", "vendor/sse.min.js", "app.js"),
    ),
    "icons.svg": ("image/svg+xml", ("icons.svg",)),
}
_FOREVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """One served file. `url` changes with its content."""

    url: str
    media_type: str
    body: bytes
    compressed: bytes


class Assets:
    """Every file that pages load, by its plain name."""

    def __init__(self, assets: Mapping[str, Asset]) -> None:
        self._by_name = dict(assets)
        self._by_url = {asset.url: asset for asset in assets.values()}

    @classmethod
    def load(cls, folder: Path | None = None) -> "Assets":
        """Read the files. Raises FileNotFoundError when the installation is incomplete."""
        folder = folder or static_directory()
        return cls({name: _load(folder, name) for name in _BUNDLES})

    def url(self, name: str) -> str:
        """Return the address of a file, for templates."""
        return self._by_name[name].url

    def get(self, name: str) -> Asset:
        return self._by_name[name]

    def reply(self, request: Request) -> Response | None:
        """Answer a request for one of the files, or None when it is none of them."""
        asset = self._by_url.get(request.url.path)
        if asset is None:
            return None
        headers = {"cache-control": _FOREVER, "vary": "accept-encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
            return Response(asset.compressed, media_type=asset.media_type, headers=headers)
        return Response(asset.body, media_type=asset.media_type, headers=headers)


def _load(folder: Path, name: str) -> Asset:
    media_type, parts = _BUNDLES[name]
    body = b"\n".join((folder / part).read_bytes() for part in parts)
    stem, _, ending = name.rpartition(".")
    url = f"/static/{stem}.{hashlib.sha256(body).hexdigest()[:12]}.{ending}"
    return Asset(url, media_type, body, gzip.compress(body, 9, mtime=0))

"""Fetch a page: what passes by itself is tried again, what does not is not."""

import urllib.error
import urllib.request
from dataclasses import dataclass

from trigger_lite import AbortTaskRun, Retry, RetryAfter, get_logger, task

log = get_logger()


@dataclass
class Page:
    url: str
    status: int
    content_type: str
    size: int
    title: str | None


@task(retry=Retry(5, min="2s", max="1m"), max_duration="1m")
def fetch_page(url: str, timeout: float = 10.0) -> Page:
    """Fetch one page and tell what it is."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            body: bytes = response.read()
            kind = response.headers.get_content_type()
    except urllib.error.HTTPError as error:
        wait = error.headers.get("retry-after", "")
        if error.code in (429, 503) and wait.isdigit():
            raise RetryAfter(int(wait), f"{url} asks for {wait} seconds") from error
        if error.code < 500 and error.code != 429:
            raise AbortTaskRun(f"{url} answers {error.code} {error.reason}") from error
        raise
    log.info("fetched", url=url, size=len(body))
    return Page(url, 200, kind, len(body), title_of(body.decode(errors="replace")))


def title_of(html: str) -> str | None:
    """Return the text of the title element, if there is one."""
    _, opened, rest = html.partition("<title>")
    title, closed, _ = rest.partition("</title>")
    return title.strip() if opened and closed else None

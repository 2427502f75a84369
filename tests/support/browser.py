"""Debian's Chromium, driven by Playwright; no browser is downloaded.

Only synchronous tests can use it: Playwright keeps an event loop of its own on the test's thread.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from scripts.system_packages import find_chromium

FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_OWN_HOSTS: Final = frozenset({"127.0.0.1", "localhost"})
_WITHOUT_HOST: Final = frozenset({"data", "blob", "about"})


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a headless Chromium and close it at the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched_page(browser: Browser) -> Iterator[Page]:
    """Open a page with a profile of its own that fails the test on what no user may meet.

    That is: an uncaught script error, anything the content security policy refused, and any
    request to another host than this machine.
    """
    problems: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    context.set_default_timeout(10_000)
    page = context.new_page()
    page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
    page.on("console", lambda message: _note_refusal(message, problems))
    page.on("request", lambda request: _note_foreign(request, problems))
    try:
        yield page
    finally:
        context.close()
    assert not problems, problems


def _note_refusal(message: ConsoleMessage, problems: list[str]) -> None:
    if message.type == "error" and "Content Security Policy" in message.text:
        problems.append(message.text)


def _note_foreign(request: Request, problems: list[str]) -> None:
    address = urlsplit(request.url)
    if address.scheme not in _WITHOUT_HOST and address.hostname not in _OWN_HOSTS:
        problems.append(f"request to another host: {request.url}")

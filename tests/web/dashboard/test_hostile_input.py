"""Nothing that others wrote acts on a page: it is shown, escaped, cut, and made visible."""

import re

import pytest

from tests.support.builders import a_run, a_started_run, a_task, a_version, fail, succeed
from tests.support.site import Site
from trigger_lite.protocol.run_errors import BuiltInError, Cause
from trigger_lite.protocol.tasks import QueueOption

MARKUP = '"><img src=x onerror=alert(1)>'
TEMPLATE = "{{7*7}}{% raw %}"
BIDI = "safe\u202egnp.exe\u2066"
CONTROLS = "a\x1b[31mb\x07c\x00d\u2028e"
QUOTES = "'\"`</script></textarea><!--"
HOSTILE = [MARKUP, TEMPLATE, BIDI, CONTROLS, QUOTES]


def assert_harmless(page: str) -> None:
    assert "<img src=x" not in page
    assert "49{%" not in page and ">49<" not in page
    # Hidden fields carry values as they are, to send them again; nobody sees those.
    page = re.sub(r'<input type="hidden"[^>]*>', "", page)
    for hidden in ("\u202e", "\u2066", "\x1b", "\x07", "\x00", "\u2028"):
        assert hidden not in page
    assert "</script></textarea>" not in page


async def _pages(site: Site, run_id: str) -> list[str]:
    async with site.signed_in() as browser:
        paths = (f"/prod/runs/{run_id}", "/prod/runs", f"/prod/runs/{run_id}/lines")
        return [(await browser.get(path)).text for path in paths]


@pytest.mark.parametrize("text", HOSTILE)
async def test_text_of_a_run_is_only_shown(site: Site, text: str) -> None:
    task = text.replace("\x00", "")
    a_version(site.engine, a_task(task))
    run = a_started_run(
        site.engine,
        task,
        tags=[task],
        payload={text: [text, {text: text}]},
        metadata={"note": task},
        concurrency_key=task,
        idempotency_key=task,
        queue=QueueOption("q"),
    )
    await site.log(run.id, text, f"\x1b[1m{text}")
    succeed(site.engine, run, output=f'"{task.encode("unicode_escape").decode()}"' if text is BIDI else '"x"')
    for page in await _pages(site, run.id):
        assert_harmless(page)


@pytest.mark.parametrize("text", HOSTILE)
async def test_text_of_an_error_is_only_shown(site: Site, text: str) -> None:
    a_version(site.engine)
    run = a_started_run(site.engine)
    stack = f'Traceback (most recent call last):\n  File "{text}", line 1, in {text}\n    {text}\n'
    fail(site.engine, run, BuiltInError(text, text, stack, [Cause(text, text, text)]))
    for page in await _pages(site, run.id):
        assert_harmless(page)


@pytest.mark.parametrize("text", HOSTILE)
async def test_text_of_an_address_is_only_shown(site: Site, text: str) -> None:
    a_run(site.engine)
    async with site.signed_in() as browser:
        for name in ("status", "task", "tag", "last", "from", "to"):
            assert_harmless((await browser.get("/prod/runs", params={name: text})).text)
        assert_harmless((await browser.get("/sign-in", params={"next": text, "token": text})).text)
        assert_harmless((await browser.get("/prod/runs", params={"after": text})).text)
    async with site.client() as stranger:
        assert_harmless((await stranger.get("/sign-in", params={"next": text})).text)


async def test_a_line_of_a_megabyte_is_cut(site: Site) -> None:
    run = a_run(site.engine)
    await site.log(run.id, "x" * 1_000_000, "\x1b[31m" * 200_000, "\u202e" * 300_000)
    page, *_ = await _pages(site, run.id)
    assert len(page) < 60_000
    assert "998,000 more characters in the raw log" in page


async def test_an_error_of_a_megabyte_is_cut(site: Site) -> None:
    a_version(site.engine)
    run = a_started_run(site.engine)
    fail(site.engine, run, BuiltInError("E" * 1_000_000, "m" * 1_000_000, "s\n" * 500_000))
    page, listed, _ = await _pages(site, run.id)
    assert len(page) < 80_000 and len(listed) < 40_000


async def test_a_link_in_a_payload_is_no_link(site: Site) -> None:
    run = a_run(site.engine, payload={"url": "javascript:alert(1)"})
    page, *_ = await _pages(site, run.id)
    assert 'href="javascript' not in page

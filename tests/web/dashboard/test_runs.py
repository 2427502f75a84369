"""The list of runs, its filters, its twins, and what it says when it is empty."""

import csv
import io
from typing import Any

import pytest

from tests.support.builders import a_run, a_started_run, a_version, fail, succeed
from tests.support.site import Site
from trigger_lite.engine.attempts import cancel_run


async def _page(site: Site, path: str = "/prod/runs") -> str:
    async with site.signed_in() as browser:
        response = await browser.get(path)
    assert response.status_code == 200, response.text
    return response.text


async def test_the_first_page_is_that_of_the_environment_last_looked_at(site: Site) -> None:
    async with site.signed_in() as browser:
        assert (await browser.get("/")).headers["location"] == "/prod/runs"
        await browser.get("/dev/runs")
        assert (await browser.get("/")).headers["location"] == "/dev/runs"
        assert (await browser.get("/prod")).headers["location"] == "/prod/runs"


async def test_a_new_browser_begins_where_the_newest_run_is(site: Site) -> None:
    a_run(site.engine, environment=site.engine.dev)
    async with site.signed_in() as browser:
        assert (await browser.get("/")).headers["location"] == "/dev/runs"


async def test_a_row_shows_task_status_tags_and_cause(site: Site) -> None:
    a_version(site.engine)
    failed = a_started_run(site.engine, tags=["org_42", "nightly", "third"])
    fail(site.engine, failed)
    page = await _page(site)
    assert f'href="/prod/runs/{failed.id}"' in page
    for text in ("resize", "Failed", "org_42", "nightly", "+1", "1/3", "ValueError: no such file"):
        assert text in page, text
    assert "third" not in page


async def test_every_status_is_icon_and_word(site: Site) -> None:
    a_version(site.engine)
    succeed(site.engine, a_started_run(site.engine))
    site.engine.do(cancel_run, site.engine.prod.id, a_run(site.engine).id)
    a_run(site.engine, delay="1h")
    page = await _page(site)
    for kind, icon, word in (
        ("completed", "check", "Completed"),
        ("canceled", "barred", "Canceled"),
        ("queued", "clock", "Delayed"),
    ):
        assert f'class="s s-{kind}"' in page and f'#{icon}"/></svg>{word}' in page


async def test_tabs_count_what_is_live_and_failed(site: Site) -> None:
    a_version(site.engine)
    fail(site.engine, a_started_run(site.engine))
    a_run(site.engine), a_run(site.engine)
    page = await _page(site)
    assert '<span id="count-queued" class="count">2</span>' in page
    assert '<span id="count-failed" class="count">1</span>' in page
    assert "count-done" not in page


@pytest.mark.parametrize(
    ("query", "is_listed"),
    [
        ("?status=queued", True),
        ("?status=QUEUED,EXECUTING", True),
        ("?status=failed", False),
        ("?task=resize", True),
        ("?task=other", False),
        ("?tag=a%20b", True),
        ("?tag=x", False),
        ("?last=24h", False),  # the clock of these tests stands in the past
        ("?from=2020-01-01", True),
        ("?to=2020-01-01", False),
        ("?id=run_0", True),
    ],
)
async def test_the_address_narrows_the_list(site: Site, query: str, is_listed: bool) -> None:
    run = a_run(site.engine, tags=["a b"])
    assert (f"/prod/runs/{run.id}" in await _page(site, "/prod/runs" + query)) is is_listed


async def test_typed_filters_become_part_of_the_address(site: Site) -> None:
    async with site.signed_in() as browser:
        response = await browser.get("/prod/runs?status=failed&q=task:sync+tag:org_42")
    assert response.status_code == 303
    assert response.headers["location"] == "/prod/runs?status=failed&task=sync&tag=org_42"


async def test_each_filter_in_force_can_be_taken_away(site: Site) -> None:
    page = await _page(site, "/prod/runs?task=sync&tag=org_42")
    assert 'href="/prod/runs?tag=org_42" aria-label="Remove the filter task sync"' in page
    assert 'href="/prod/runs?task=sync" aria-label="Remove the filter tag org_42"' in page


async def test_a_filter_that_cannot_be_read_is_said(site: Site) -> None:
    assert "is not a duration" in await _page(site, "/prod/runs?last=soon")


async def test_pages_lead_to_older_and_back_to_newer(site: Site) -> None:
    made = [a_run(site.engine).id for _ in range(60)][::-1]
    async with site.signed_in() as browser:
        first = (await browser.get("/prod/runs")).text
        older = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
        second = (await browser.get(older)).text
        newer = second.split('rel="prev" href="')[1].split('"')[0].replace("&amp;", "&")
        back = (await browser.get(newer)).text
    assert made[49] in first and made[50] not in first
    assert made[50] in second and made[59] in second and made[49] not in second.split("<table")[1]
    assert made[0] in back and made[49] in back


async def test_a_cursor_that_is_none_is_refused_in_a_sentence(site: Site) -> None:
    async with site.signed_in() as browser:
        response = await browser.get("/prod/runs?after=nonsense")
    assert response.status_code == 400 and "begin again without it" in response.text


async def test_an_unused_environment_shows_how_to_make_the_first_run(site: Site) -> None:
    page = await _page(site, "/dev/runs")
    for text in ("Make the first run in dev", "from trigger_lite import task", "trigger-lite dev", "--wait"):
        assert text in page


async def test_with_a_worker_the_first_run_is_of_one_of_its_tasks(site: Site) -> None:
    a_version(site.engine)
    site.links.count = 1
    assert "trigger-lite trigger resize --env prod" in await _page(site)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("?status=failed", "No failed runs."),
        ("?status=failed&last=7d", "No failed runs in the last 7d."),
        ("?task=none", "No runs match these filters."),
    ],
)
async def test_an_empty_list_says_what_is_not_there(site: Site, query: str, text: str) -> None:
    a_run(site.engine)
    page = await _page(site, "/prod/runs" + query)
    assert text in page and "Show all runs" in page


async def test_the_json_twin_has_the_same_runs(site: Site) -> None:
    a_version(site.engine)
    failed = a_started_run(site.engine, tags=["org_42"])
    fail(site.engine, failed)
    a_run(site.engine)
    async with site.signed_in() as browser:
        answer: dict[str, Any] = (await browser.get("/prod/runs.json?status=failed")).json()
    assert [run["id"] for run in answer["data"]] == [failed.id]
    assert answer["data"][0]["status"] == "FAILED"
    assert answer["data"][0]["tags"] == ["org_42"]
    assert answer["pagination"] == {}


async def test_the_csv_twin_has_no_formulas(site: Site) -> None:
    a_run(site.engine, "=cmd|calc", tags=["@SUM(A1)"])
    async with site.signed_in() as browser:
        response = await browser.get("/prod/runs.csv")
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert rows[0]["task"] == "'=cmd|calc" and rows[0]["tags"] == "'@SUM(A1)"
    assert "attachment" in response.headers["content-disposition"]


async def test_htmx_is_given_the_main_part_alone(site: Site) -> None:
    async with site.signed_in() as browser:
        part = await browser.get("/prod/runs", headers={"hx-request": "true"})
        whole = await browser.get("/prod/runs")
    assert part.text.lstrip().startswith('<main id="main"') and "<html" not in part.text
    assert "<html" in whole.text
    assert "hx-request" in part.headers["vary"]


async def test_an_unknown_environment_and_an_unknown_page_say_so(site: Site) -> None:
    async with site.signed_in() as browser:
        environment = await browser.get("/staging/runs")
        page = await browser.get("/prod/nowhere")
    assert environment.status_code == 404 and "staging" in environment.text
    assert page.status_code == 404 and "no such page" in page.text


async def test_programs_keep_the_plain_answers_of_the_api(site: Site) -> None:
    async with site.client() as browser:
        missing = await browser.get("/api/v1/nothing", headers={"accept": "text/html"})
    assert missing.status_code == 404
    assert missing.headers["content-type"] == "application/json"

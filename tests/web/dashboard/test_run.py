"""The page of one run, and what one can do to it."""

import re

import orjson
import pytest

from tests.support.builders import a_run, a_started_run, a_task, a_version, claim, fail, start, succeed
from tests.support.site import FORM_TOKEN, Site
from trigger_lite.engine.retention import Kind, remove
from trigger_lite.engine.run_metadata import change_metadata
from trigger_lite.protocol.metadata import Operation
from trigger_lite.protocol.run_errors import BuiltInError, Cause
from trigger_lite.store.runs import RunRow
from trigger_lite.web.dashboard.guard import mask
from trigger_lite.web.dashboard.texts import day

STACK = """Traceback (most recent call last):
  File "/srv/app/sync.py", line 41, in sync
    fetch_page(cursor)
  File "/venv/lib/python3.11/site-packages/httpx/_models.py", line 829, in raise_for_status
    raise HTTPStatusError(message)
httpx.HTTPStatusError: 429
"""


async def _page(site: Site, run: RunRow, query: str = "") -> str:
    async with site.signed_in() as browser:
        response = await browser.get(f"/prod/runs/{run.id}{query}")
    assert response.status_code == 200, response.text
    return response.text


async def test_a_waiting_run_says_that_no_worker_is_connected(site: Site) -> None:
    assert "waiting for a worker: none is connected" in await _page(site, a_run(site.engine))


async def test_a_waiting_run_says_which_limit_it_waits_for_and_who_is_ahead(site: Site) -> None:
    a_version(site.engine, a_task(queue={"name": "crm", "concurrencyLimit": 1}))
    a_started_run(site.engine)
    a_run(site.engine)
    last = a_run(site.engine)
    site.links.count = 1
    assert "queued: crm is at its limit 1/1, 1 ahead" in await _page(site, last)


async def test_a_failed_run_shows_error_frames_causes_and_attempts(site: Site) -> None:
    a_version(site.engine)
    run = a_started_run(site.engine)
    error = BuiltInError(
        "HTTPStatusError", "429 Too Many Requests", STACK, [Cause("slow down", "RateLimited")]
    )
    retried = fail(site.engine, run, error, retry_ms=5_000)
    site.engine.pass_time(5)
    fail(site.engine, start(site.engine, retried.run), error)
    page = await _page(site, run)
    for text in (
        "failed after 2 attempts",
        "429 Too Many Requests",
        "/srv/app/sync.py:41",
        "fetch_page(cursor)",
        "RateLimited",
        "Raw traceback",
        "Try 1 failed",
        "Try 2",
        "tried again after 5.0 s",
    ):
        assert text in page, text
    assert '<li class="library"><span class="mono">/venv/lib' in page


async def test_a_finished_run_shows_output_payload_metadata_and_tags(site: Site) -> None:
    a_version(site.engine)
    run = a_started_run(site.engine, payload={"file": "a.csv"}, tags=["org_42"])
    site.engine.do(change_metadata, run.environment_id, run.id, [Operation("set", "progress", 0.5)], [], [])
    succeed(site.engine, site.engine.run(run), output='{"rows": 12}', usage_ms=900)
    page = await _page(site, run)
    for text in ("a.csv", "progress", "rows", "org_42", "Completed", "small-1x", "900 ms"):
        assert text in page, text
    assert 'href="/prod/runs?tag=org_42"' in page
    assert "Cancel</button>" not in page


async def test_parent_children_and_replay_lead_to_each_other(site: Site) -> None:
    a_version(site.engine)
    parent = a_started_run(site.engine)
    child = a_run(site.engine, parent_run_id=parent.id)
    assert f'href="/prod/runs/{child.id}" data-child' in await _page(site, parent)
    assert f'href="/prod/runs/{parent.id}" data-parent' in await _page(site, child)


async def test_a_run_is_canceled_by_its_button(site: Site) -> None:
    run = a_run(site.engine)
    async with site.signed_in() as browser:
        response = await browser.post(f"/prod/runs/{run.id}/cancel", data={"form_token": mask(FORM_TOKEN)})
    assert response.headers["location"] == f"/prod/runs/{run.id}"
    assert site.engine.run(run).status == "CANCELED"
    assert "canceled: Canceled by user" in await _page(site, run)


async def test_a_run_is_replayed_by_its_button(site: Site) -> None:
    run = a_run(site.engine, payload={"n": 1}, tags=["a"])
    async with site.signed_in() as browser:
        response = await browser.post(f"/prod/runs/{run.id}/replay", data={"form_token": mask(FORM_TOKEN)})
    made = site.engine.run(response.headers["location"].rpartition("/")[2])
    assert made.replay_of == run.id and made.source == "dashboard"
    assert site.engine.data(made).payload == '{"n":1}'
    assert "Replay of" in await _page(site, made)


async def test_the_newest_lines_are_shown_and_older_ones_on_demand(site: Site) -> None:
    a_version(site.engine)
    run = a_started_run(site.engine)
    await site.log(run.id, *(f"line {number}." for number in range(1_200)))
    page = await _page(site, run)
    assert "line 1199." in page and "line 700." in page and "line 699." not in page
    older = re.findall(r'hx-get="([^"]*/lines[^"]*)"', page)[0]
    async with site.signed_in() as browser:
        fragment = (await browser.get(older.replace("&amp;", "&"))).text
    assert "line 699." in fragment and "line 200." in fragment and "line 199." not in fragment
    assert "Load 500 older" in fragment


async def test_lines_are_narrowed_by_level(site: Site) -> None:
    run = a_run(site.engine)
    await site.log(run.id, "calm")
    await site.log(run.id, "careful", level="WARN")
    await site.log(run.id, "broken", level="ERROR")
    warnings = await _page(site, run, "?level=WARN")
    assert "careful" in warnings and "broken" in warnings and "calm" not in warnings
    assert "careful" not in await _page(site, run, "?level=ERROR")
    assert "calm" in await _page(site, run, "?level=nonsense")


async def test_colours_of_a_terminal_become_classes(site: Site) -> None:
    run = a_run(site.engine)
    await site.log(run.id, "\x1b[32mgood\x1b[0m news")
    assert '<span class="a-2">good</span> news' in await _page(site, run)


async def test_the_raw_log_has_every_line(site: Site) -> None:
    run = a_run(site.engine)
    await site.log(run.id, *(f"line {number}" for number in range(1_200)))
    async with site.signed_in() as browser:
        response = await browser.get(f"/prod/runs/{run.id}/logs.txt")
    assert len(response.text.splitlines()) == 1_200
    assert response.headers["content-type"].startswith("text/plain")
    assert "attachment" in response.headers["content-disposition"]


@pytest.mark.parametrize("value", ["payload", "output", "metadata"])
async def test_raw_values_are_saved_and_never_shown_as_pages(site: Site, value: str) -> None:
    a_version(site.engine)
    run = a_started_run(site.engine, payload={"html": "<script>"}, metadata={"a": 1})
    succeed(site.engine, run, output='"<script>"')
    async with site.signed_in() as browser:
        response = await browser.get(f"/prod/runs/{run.id}/{value}")
    assert orjson.loads(response.content)
    assert response.headers["content-type"] == "application/octet-stream"
    assert "attachment" in response.headers["content-disposition"]


async def test_no_other_column_can_be_downloaded(site: Site) -> None:
    run = a_run(site.engine)
    async with site.signed_in() as browser:
        for name in ("seed_metadata", "error", "__class__", "output"):
            assert (await browser.get(f"/prod/runs/{run.id}/{name}")).status_code == 404


async def test_a_run_of_another_environment_is_not_found(site: Site) -> None:
    run = a_run(site.engine, environment=site.engine.dev)
    async with site.signed_in() as browser:
        for path in ("", "/lines", "/logs.txt", "/payload"):
            response = await browser.get(f"/prod/runs/{run.id}{path}")
            assert response.status_code == 404 and "Run not found" in response.text
        form = {"form_token": mask(FORM_TOKEN)}
        assert (await browser.post(f"/prod/runs/{run.id}/cancel", data=form)).status_code == 404
    assert site.engine.run(run).status == "PENDING"


async def test_a_parked_run_says_why(site: Site) -> None:
    a_version(site.engine)
    run = a_run(site.engine, "unheard-of")
    claim(site.engine)
    page = await _page(site, run)
    assert "parked: no worker has registered its task" in page and "Pending version" in page


async def test_a_large_payload_does_not_make_a_large_page(site: Site) -> None:
    run = a_run(site.engine, payload={"blob": "x" * 2_000_000, "rows": list(range(100_000))})
    page = await _page(site, run)
    assert len(page) < 120_000
    assert "the raw download has all" in page


@pytest.mark.parametrize(
    ("progress", "percent"), [(0.4, 40), (1, 100), (55, 55), (0, 0), (101, None), (-1, None), ("half", None)]
)
async def test_progress_in_the_metadata_is_drawn(site: Site, progress: object, percent: int | None) -> None:
    page = await _page(site, a_run(site.engine, metadata={"progress": progress}))
    assert (f'<progress max="100" value="{percent}"' in page) is (percent is not None)
    assert ("<progress" in page) is (percent is not None)


async def test_a_run_whose_data_was_removed_by_age_says_so(site: Site) -> None:
    """CN-13: nobody takes it for a run without a payload."""
    a_version(site.engine)
    run = succeed(site.engine, a_started_run(site.engine, payload={"order": 7})).run
    site.engine.pass_time(1)
    assert site.engine.do(remove, Kind.PAYLOADS, [run.id], site.engine.now) == 1
    page = await _page(site, run)
    removed = site.engine.run(run).pruned_at
    assert removed is not None
    assert page.count(f"Removed by age or size on {day(removed)}.") == 3
    assert "No payload was given" not in page and "order" not in page

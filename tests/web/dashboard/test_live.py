"""Open pages hear of what changes, and of nothing else."""

import html
import re
import time

import pytest

from tests.support.builders import a_run, a_started_run, a_task, a_version, claim_one, fail, start, succeed
from tests.support.site import Site
from tests.support.streaming import event_stream
from trigger_lite.engine.events import RunChanged
from trigger_lite.engine.run_metadata import change_metadata
from trigger_lite.protocol.metadata import Operation


async def _live_url(site: Site, path: str) -> str:
    """Return the address of the stream that a page opens."""
    async with site.signed_in() as browser:
        page = (await browser.get(path)).text
    return html.unescape(re.findall(r'sse-connect="([^"]+)"', page)[0])


async def test_a_row_is_replaced_when_its_run_moves(site: Site) -> None:
    a_version(site.engine)
    run = a_run(site.engine)
    site.publish()
    async with event_stream(site.app, await _live_url(site, "/prod/runs")) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-store"
        claim_one(site.engine)
        site.publish()
        row = await stream.until(f'id="r-{run.id}"')
    assert row.startswith(f'<tbody id="r-{run.id}" hx-swap-oob="true">')
    assert "Dequeued" in row


async def test_only_the_rows_of_the_page_are_sent(site: Site) -> None:
    a_version(site.engine)
    shown = a_run(site.engine, tags=["shown"])
    hidden = a_run(site.engine)
    site.publish()
    async with event_stream(site.app, await _live_url(site, "/prod/runs?tag=shown")) as stream:
        site.engine.events += [
            RunChanged(shown.environment_id, run.id, run.task_id) for run in (hidden, shown)
        ]
        site.publish()
        rows = await stream.until(shown.id)
    assert hidden.id not in rows


async def test_new_runs_are_announced_and_do_not_push_the_page(site: Site) -> None:
    a_run(site.engine)
    site.publish()
    async with event_stream(site.app, await _live_url(site, "/prod/runs?task=resize")) as stream:
        made = [a_run(site.engine) for _ in range(3)]
        a_run(site.engine, "other")
        site.publish()
        bar = await stream.until("3 new runs")
    assert 'href="/prod/runs?task=resize"' in bar
    assert made[0].id not in bar


async def test_counts_of_the_tabs_follow(site: Site) -> None:
    site.publish()
    async with event_stream(site.app, await _live_url(site, "/prod/runs")) as stream:
        a_run(site.engine), a_run(site.engine)
        site.publish()
        await stream.until('<span id="count-queued" class="count" hx-swap-oob="true">2</span>')


async def test_counts_shared_by_two_pages_are_never_left_stale(site: Site) -> None:
    site.publish()
    async with event_stream(site.app, await _live_url(site, "/prod/runs")) as first:
        await first.until('id="count-queued"')
        a_run(site.engine)
        site.publish()
        async with event_stream(site.app, await _live_url(site, "/prod/runs")) as second:
            await second.until('<span id="count-queued" class="count" hx-swap-oob="true">1</span>')


async def test_an_empty_page_loads_its_first_run_by_itself(site: Site) -> None:
    async with event_stream(site.app, await _live_url(site, "/prod/runs")) as stream:
        a_run(site.engine)
        site.publish()
        assert 'hx-trigger="load"' in await stream.until("1 new run")


async def test_what_changed_before_the_stream_began_is_not_missed(site: Site) -> None:
    a_version(site.engine)
    run = a_run(site.engine)
    site.publish()
    url = await _live_url(site, "/prod/runs")
    claim_one(site.engine)
    site.publish()
    async with event_stream(site.app, url) as stream:
        assert "Dequeued" in await stream.until(f'id="r-{run.id}"')


async def test_a_browser_that_comes_back_goes_on_where_it_was(site: Site) -> None:
    a_version(site.engine)
    run = a_run(site.engine)
    site.publish()
    url = await _live_url(site, "/prod/runs")
    async with event_stream(site.app, url) as stream:
        claim_one(site.engine)
        site.publish()
        await stream.until("Dequeued")
        a_run(site.engine)
        site.publish()
        last = await stream.next()
    start(site.engine, site.engine.run(run))
    site.publish()
    async with event_stream(site.app, url, last_event_id=last.id) as stream:
        assert "Executing" in await stream.until(f'id="r-{run.id}"')


async def test_a_stopping_server_ends_every_stream(site: Site) -> None:
    a_run(site.engine)
    site.publish()
    async with event_stream(site.app, await _live_url(site, "/prod/runs")) as stream:
        site.app.state.dashboard.close()
        await stream.ended()


async def test_a_page_of_before_a_restart_is_told_to_fetch_itself_again(site: Site) -> None:
    async with event_stream(site.app, "/prod/sse?topics=runs:&since=0a0a0a0a.7.0") as stream:
        assert (await stream.next()).name == "reset"
        await stream.ended()


async def test_many_changes_become_few_updates(site: Site) -> None:
    a_version(site.engine)
    run = a_started_run(site.engine)
    site.publish()
    url = await _live_url(site, f"/prod/runs/{run.id}")
    async with event_stream(site.app, url) as stream:
        began, updates = time.monotonic(), 0
        for number in range(30):
            operation = Operation("set", "progress", number)
            site.engine.do(change_metadata, run.environment_id, run.id, [operation], [], [])
            site.publish()
        while "29" not in (await stream.next()).data:
            updates += 1
        elapsed = time.monotonic() - began
    assert updates <= 2 + elapsed * 4


async def test_the_page_of_a_run_follows_it_to_its_end(site: Site) -> None:
    a_version(site.engine)
    a_run(site.engine, payload={"n": 1})
    run = claim_one(site.engine)
    site.publish()
    async with event_stream(site.app, await _live_url(site, f"/prod/runs/{run.id}")) as stream:
        started = start(site.engine, run)
        site.publish()
        assert "running, attempt 1 of 3" in await stream.until('id="p-timeline"')
        succeed(site.engine, started, output='{"rows": 7}')
        site.publish()
        parts = await stream.until('id="p-result"')
    assert "rows" in parts and "Completed" in parts
    assert 'name="form_token"' in parts
    assert 'id="p-payload"' not in parts  # nothing of it changed


async def test_lines_are_added_to_the_log_once(site: Site) -> None:
    a_version(site.engine)
    run = a_started_run(site.engine)
    site.publish()
    await site.log(run.id, "earlier")
    url = await _live_url(site, f"/prod/runs/{run.id}")
    await site.log(run.id, "between")
    async with event_stream(site.app, url) as stream:
        first = await stream.until("between")
        await site.log(run.id, "after <b>")
        event = await stream.next()
        assert event.data.startswith('<div hx-swap-oob="beforeend:#log">')
        assert "after &lt;b&gt;" in event.data and "between" not in event.data
    assert "earlier" not in first
    await site.log(run.id, "later")
    async with event_stream(site.app, url, last_event_id=event.id) as stream:
        data = await stream.until("later")
    assert "after" not in data


async def test_lines_below_the_chosen_level_are_not_sent(site: Site) -> None:
    a_version(site.engine)
    run = a_started_run(site.engine)
    async with event_stream(site.app, await _live_url(site, f"/prod/runs/{run.id}?level=WARN")) as stream:
        await site.log(run.id, "calm")
        await site.log(run.id, "careful", level="WARN")
        assert "calm" not in await stream.until("careful")


async def test_a_flood_of_lines_is_cut_to_its_newest(site: Site) -> None:
    a_version(site.engine)
    run = a_started_run(site.engine)
    async with event_stream(site.app, await _live_url(site, f"/prod/runs/{run.id}")) as stream:
        await site.log(run.id, *(f"line {number}." for number in range(2_000)))
        data = await stream.until("line 1999.")
    assert "line 1500." in data and "line 1499." not in data
    assert "reload the page" in data


async def test_a_waiting_run_hears_when_the_line_moves(site: Site) -> None:
    a_version(site.engine, a_task(queue={"name": "crm", "concurrencyLimit": 1}))
    site.links.count = 1
    running = a_started_run(site.engine)
    ahead, waiting = a_run(site.engine), a_run(site.engine)
    site.publish()
    async with event_stream(site.app, await _live_url(site, f"/prod/runs/{waiting.id}")) as stream:
        succeed(site.engine, running)
        assert claim_one(site.engine).id == ahead.id
        site.publish()
        await stream.until("crm is at its limit 1/1, next in line")


async def test_a_run_that_ended_long_ago_has_no_stream(site: Site) -> None:
    a_version(site.engine)
    run = a_started_run(site.engine)
    fail(site.engine, run)
    async with site.signed_in() as browser:
        assert "sse-connect" not in (await browser.get(f"/prod/runs/{run.id}")).text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/prod/sse?topics=queues:&since=a.1", 400),
        ("/prod/sse?topics=runs:%F0%9F&since=a.1", 400),
        ("/prod/sse?topics=runs:&show=..%2F..&since=a.1", 400),
        ("/prod/sse?topics=runs:", 400),
        ("/prod/sse?topics=run:run_unknown&since=a.1", 404),
        ("/nowhere/sse?topics=runs:&since=a.1", 404),
    ],
)
async def test_a_topic_that_is_none_is_refused(site: Site, path: str, status: int) -> None:
    async with event_stream(site.app, path) as stream:
        assert stream.status == status


async def test_runs_of_another_environment_are_never_sent(site: Site) -> None:
    run = a_run(site.engine, environment=site.engine.dev)
    site.publish()
    url = (await _live_url(site, "/prod/runs")).replace("show=", f"show={run.id.removeprefix('run_')}")
    async with event_stream(site.app, url) as stream:
        site.engine.events.append(RunChanged(run.environment_id, run.id, run.task_id))
        site.publish()
        other = a_run(site.engine)
        site.publish()
        assert run.id not in await stream.until("new run")
    assert other.id

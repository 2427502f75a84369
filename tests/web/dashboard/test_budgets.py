"""What pages may weigh, and how long they may take."""

import gzip
import re
import statistics
import time

from tests.support.builders import a_run, a_started_run, a_version, fail, succeed
from tests.support.site import Site
from trigger_lite.web.dashboard.assets import Assets


async def _fill(site: Site) -> None:
    a_version(site.engine)
    for number in range(50):
        run = a_started_run(site.engine, tags=["org_42", f"tag_{number}"], payload={"n": number})
        site.engine.pass_time(3)
        fail(site.engine, run) if number % 10 == 0 else succeed(site.engine, run)


async def test_a_list_of_fifty_runs_is_light(site: Site) -> None:
    await _fill(site)
    async with site.signed_in() as browser:
        html = (await browser.get("/prod/runs")).content
    assert html.count(b"<tbody") == 50
    assert len(html) <= 40_000
    assert len(gzip.compress(html, 5)) <= 6_000


async def test_the_first_view_takes_five_requests_and_sixty_kilobytes(site: Site) -> None:
    await _fill(site)
    async with site.signed_in() as browser:
        html = (await browser.get("/prod/runs")).text
    loaded = set(re.findall(r'(?:src|href)="(/static/[^"#]+)', html))
    assets = Assets.load()
    assert loaded == {assets.url(name) for name in ("app.css", "app.js", "icons.svg")}
    sent = sum(len(assets.get(name).compressed) for name in ("app.css", "app.js", "icons.svg"))
    assert sent + len(gzip.compress(html.encode(), 5)) <= 60_000
    assert html.count("sse-connect") == 1  # the fifth, after the page itself


async def test_no_page_holds_a_script_or_a_style(site: Site) -> None:
    a_version(site.engine)
    run = a_started_run(site.engine)
    fail(site.engine, run)
    async with site.signed_in() as browser:
        for path in ("/prod/runs", f"/prod/runs/{run.id}", "/dev/runs", "/nowhere"):
            html = (await browser.get(path)).text
            assert re.findall(r"<script(?![^>]* src=)", html) == []
            assert not re.search(r"<style|\sstyle=|\son\w+=|hx-on|javascript:", html)


async def test_a_list_is_made_in_a_few_milliseconds(site: Site) -> None:
    await _fill(site)
    async with site.signed_in() as browser:
        times = []
        for _ in range(15):
            began = time.perf_counter()
            await browser.get("/prod/runs")
            times.append(time.perf_counter() - began)
    # Ten milliseconds on a quiet machine; tests share theirs.
    assert statistics.median(times) < 0.08


async def test_a_page_is_compressed_only_for_who_takes_it(site: Site) -> None:
    async with site.signed_in() as browser:
        packed = await browser.get("/dev/runs")
        plain = await browser.get("/dev/runs", headers={"accept-encoding": "identity"})
        tiny = await browser.get("/", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers and "content-encoding" not in tiny.headers
    assert packed.headers["cache-control"] == "no-store"


async def test_a_run_with_a_long_log_stays_bearable(site: Site) -> None:
    run = a_run(site.engine)
    await site.log(run.id, *("a line of an ordinary length, as programs print them" for _ in range(2_000)))
    async with site.signed_in() as browser:
        html = (await browser.get(f"/prod/runs/{run.id}")).content
    assert len(gzip.compress(html, 5)) < 24_000

"""The pages of queues, and what one can do there."""

import re

import httpx
import pytest

from tests.support.builders import a_queue, a_run, a_started_run, a_task, a_version
from tests.support.site import FORM_TOKEN, Site
from trigger_lite.engine.queue_limits import QueueRef, find_queue
from trigger_lite.store.queues import QueueRow
from trigger_lite.web.dashboard.guard import mask

HOSTILE = '"><img src=x onerror=alert(1)>'


async def _page(site: Site, path: str = "/prod/queues") -> str:
    async with site.signed_in() as browser:
        response = await browser.get(path)
    assert response.status_code == 200, response.text
    return response.text


async def _post(site: Site, path: str, **form: str) -> httpx.Response:
    async with site.signed_in() as browser:
        return await browser.post(path, data={"form_token": mask(FORM_TOKEN), **form})


def _queue(site: Site, name: str = "resize", kind: str = "task") -> QueueRow:
    return site.engine.do(find_queue, site.engine.prod.id, QueueRef(kind, name))


def _text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


async def test_the_list_shows_what_runs_waits_and_limits(site: Site) -> None:
    rate = {"count": 10, "periodMs": 1_000, "burst": 1}
    a_version(site.engine, a_task(queue={"concurrencyLimit": 1, "rate": rate, "maxLength": 50}))
    a_started_run(site.engine)
    a_run(site.engine), a_run(site.engine)
    page = await _page(site)
    for text in ("task/resize", "1 of 1 running", "2 queued", "10/s", "at most 50 queued"):
        assert text in _text(page), text
    assert "1 of 10 running in prod" in _text(page)
    assert 'href="/prod/runs?queue=task%2Fresize"' in page


async def test_the_link_to_its_runs_narrows_the_list(site: Site) -> None:
    a_version(site.engine, a_task(), a_task("mail"))
    resize, mail = a_run(site.engine), a_run(site.engine, "mail")
    page = await _page(site, "/prod/runs?queue=task%2Fresize")
    assert resize.id in page
    assert mail.id not in page
    assert '<span class="muted">queue</span> <bdi>task/resize</bdi>' in page


async def test_an_installation_without_queues_says_where_they_come_from(site: Site) -> None:
    assert "No queue yet." in await _page(site)


async def test_a_queue_is_paused_and_resumed_by_its_button(site: Site) -> None:
    """Q-33: and the form leads back to where it was."""
    a_version(site.engine)
    path = f"/prod/queues/{_queue(site).id}"
    response = await _post(site, f"{path}/pause", action="pause", **{"from": "list"})
    assert (response.status_code, response.headers["location"]) == (303, "/prod/queues")
    assert _queue(site).paused
    assert "Resume" in await _page(site)
    response = await _post(site, f"{path}/pause", action="resume")
    assert response.headers["location"] == path
    assert not _queue(site).paused


async def test_an_environment_is_paused_and_resumed(site: Site) -> None:
    """Q-34: the page says so."""
    a_version(site.engine)
    await _post(site, "/prod/queues/pause", action="pause")
    assert site.engine.load().paused
    assert "prod is paused" in _text(await _page(site))
    assert "dev is paused" not in _text(await _page(site, "/dev/queues"))
    await _post(site, "/prod/queues/pause", action="resume")
    assert not site.engine.load().paused


@pytest.mark.parametrize(("typed", "limit"), [("5", 5), (" 0 ", 0), ("50%", 5), ("12.5%", 1)])
async def test_a_limit_is_set_and_taken_back(site: Site, typed: str, limit: int) -> None:
    """Q-35, Q-36: the page shows both limits meanwhile."""
    a_version(site.engine, a_task(queue={"concurrencyLimit": 3}))
    path = f"/prod/queues/{_queue(site).id}"
    response = await _post(site, f"{path}/limit", limit=typed, until="")
    assert (response.status_code, response.headers["location"]) == (303, path)
    assert (_queue(site).limit, _queue(site).overridden_by) == (limit, "dashboard")
    page = _text(await _page(site, path))
    assert f"{limit} at once" in page and "Limit of the code" in page
    await _post(site, f"{path}/reset")
    assert _queue(site).limit == 3
    assert "Back to the limit" not in await _page(site, path)


async def test_a_limit_may_end_by_itself(site: Site) -> None:
    a_version(site.engine)
    path = f"/prod/queues/{_queue(site).id}"
    await _post(site, f"{path}/limit", limit="5", until="2090-01-01")
    assert "2090-01-01 00:00:00.000 UTC" in await _page(site, path)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"limit": "many"}, "is no limit"),
        ({"limit": ""}, "is no limit"),
        ({"limit": "-1"}, "is no limit"),
        ({"limit": "11"}, "must be 0 to 10"),
        ({"limit": "x%"}, "percent is 0"),
        ({"limit": "5", "until": "soon"}, "neither a duration"),
        ({"limit": "5", "until": "2020-01-01"}, "in the past"),
    ],
)
async def test_a_limit_that_cannot_be_is_refused_with_a_sentence(
    site: Site, form: dict[str, str], text: str
) -> None:
    """Q-35: nothing is stored."""
    a_version(site.engine)
    response = await _post(site, f"/prod/queues/{_queue(site).id}/limit", **form)
    assert response.status_code == 400
    assert text in response.text
    assert _queue(site).overridden_at is None


async def test_the_limit_of_the_environment_is_set(site: Site) -> None:
    """Q-15: with its burst."""
    a_version(site.engine)
    await _post(site, "/prod/queues/limit", limit="4", burst="1.5")
    assert (site.engine.load().concurrency_limit, site.engine.load().slots) == (4, 6)
    for form in ({"limit": "0", "burst": "1"}, {"limit": "x", "burst": "1"}, {"limit": "4", "burst": "0.5"}):
        assert (await _post(site, "/prod/queues/limit", **form)).status_code == 400
    assert site.engine.load().slots == 6


async def test_the_page_of_a_queue_shows_its_busiest_keys(site: Site) -> None:
    """Q-11: those with the most runs in line first, and no more than fit."""
    a_version(site.engine)
    for number in range(25):
        a_run(site.engine, concurrency_key=f"org_{number:02d}")
    for _ in range(3):
        a_run(site.engine, concurrency_key="org_07")
    a_run(site.engine)
    page = _text(await _page(site, f"/prod/queues/{_queue(site).id}"))
    assert page.index("org_07 0 running 4 queued") < page.index("org_00 0 running 1 queued")
    assert "org_24" not in page and "and others with less in line" in page


@pytest.mark.parametrize("path", ["/prod/queues/queue_none", "/dev/queues/{id}"])
async def test_a_queue_that_is_not_here_is_a_page_that_says_so(site: Site, path: str) -> None:
    a_version(site.engine)
    path = path.format(id=_queue(site).id)
    async with site.signed_in() as browser:
        response = await browser.get(path)
    assert response.status_code == 404
    assert "There is no such queue in this environment." in response.text
    assert (await _post(site, f"{path}/pause", action="pause")).status_code == 404


async def test_nothing_is_done_without_the_form_token(site: Site) -> None:
    a_version(site.engine)
    path = f"/prod/queues/{_queue(site).id}"
    for action in (
        "/prod/queues/pause",
        "/prod/queues/limit",
        f"{path}/pause",
        f"{path}/limit",
        f"{path}/reset",
    ):
        async with site.signed_in() as browser:
            response = await browser.post(action, data={"action": "pause", "limit": "1", "burst": "1"})
        assert response.status_code == 403
    assert not _queue(site).paused and not site.engine.load().paused


async def test_an_action_that_is_none_is_refused(site: Site) -> None:
    a_version(site.engine)
    assert (await _post(site, f"/prod/queues/{_queue(site).id}/pause", action="stop")).status_code == 400
    assert (await _post(site, "/prod/queues/pause")).status_code == 400


async def test_what_others_wrote_does_nothing_on_the_page(site: Site) -> None:
    """A concurrency key may be any text."""
    a_version(site.engine)
    a_run(site.engine, concurrency_key=HOSTILE)
    a_run(site.engine, concurrency_key="a\u202eb")
    page = await _page(site, f"/prod/queues/{_queue(site).id}")
    assert "<img" not in page and "&lt;img" in page
    assert "‹U+202E›" in page


async def test_many_queues_are_shown_in_pages(site: Site) -> None:
    a_version(site.engine, queues=[a_queue(f"q{number:03d}") for number in range(150)])
    first, second = await _page(site), await _page(site, "/prod/queues?page=2")
    assert "q099" in first and "q100" not in first and 'href="/prod/queues?page=2"' in first
    assert "q149" in second and "task/resize" in second and 'href="/prod/queues?page=1"' in second
    for odd in ("0", "x", "-1", "9" * 30):
        await _page(site, f"/prod/queues?page={odd}")


async def test_no_page_of_queues_holds_a_script_or_a_style(site: Site) -> None:
    a_version(site.engine)
    for path in ("/prod/queues", f"/prod/queues/{_queue(site).id}"):
        html = await _page(site, path)
        assert re.findall(r"<script(?![^>]* src=)", html) == []
        assert not re.search(r"<style|\sstyle=|\son\w+=|hx-on|javascript:", html)


async def test_only_who_is_signed_in_sees_queues(site: Site) -> None:
    async with site.client() as browser:
        assert (await browser.get("/prod/queues")).status_code == 303

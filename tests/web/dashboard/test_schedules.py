"""The page of schedules, and what one can do there."""

import re

import httpx
import pytest

from tests.support.builders import a_task, a_version
from tests.support.schedules import NIGHTLY, a_schedule, at, fire_all, planned, scheduled_tasks
from tests.support.site import FORM_TOKEN, Site
from trigger_lite.store.schedules import Planned
from trigger_lite.web.dashboard.guard import mask
from trigger_lite.web.dashboard.schedules import PAGE

HOSTILE = '"><img src=x onerror=alert(1)>'


async def _page(site: Site, path: str = "/prod/schedules") -> str:
    async with site.signed_in() as browser:
        response = await browser.get(path)
    assert response.status_code == 200, response.text
    return response.text


async def _post(site: Site, schedule: Planned, what: str, **form: str) -> httpx.Response:
    async with site.signed_in() as browser:
        path = f"/prod/schedules/{schedule.schedule.id}/{what}"
        return await browser.post(path, data={"form_token": mask(FORM_TOKEN), **form})


def _text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


async def test_the_list_says_what_runs_when_and_where(site: Site) -> None:
    """SC-21: cron in words, zone, the next run and the last."""
    scheduled_tasks(site.engine)
    a_schedule(site.engine, "0 * * * *", timezone="Asia/Tokyo", overlap="skip", external_id="user_7")
    site.engine.now = at("2026-09-21 15:00")
    (run,) = fire_all(site.engine)
    page = await _page(site)
    for text in (
        NIGHTLY,
        "active",
        "Every hour",
        "Asia/Tokyo",
        "next in",
        "last ",
        "skips while running",
        "user_7",
    ):
        assert text in _text(page), text
    assert 'title="0 * * * *"' in page
    assert f'href="/prod/runs/{run.id}"' in page
    assert 'href="/prod/runs?task=nightly"' in page
    assert re.search(r'<a href="/prod/schedules"[^>]*aria-current="page"', page)


async def test_a_schedule_of_code_says_so(site: Site) -> None:
    """SC-10."""
    a_version(site.engine, a_task(schedule={"cron": "0 5 * * 1-5", "catchUp": "all", "overlap": "queue"}))
    text = _text(await _page(site))
    for expected in (
        "At 05:00 from Monday to Friday",
        "in code",
        "waits while running",
        "catches up with all",
    ):
        assert expected in text


async def test_a_time_that_waits_is_shown(site: Site) -> None:
    scheduled_tasks(site.engine)
    a_schedule(site.engine, "0 * * * *", overlap="queue")
    for hour in (15, 16):
        site.engine.now = at(f"2026-09-21 {hour}:00")
        fire_all(site.engine)
    assert "16:00 waits" in _text(await _page(site))


async def test_an_environment_without_schedules_shows_how_to_declare_one(site: Site) -> None:
    page = await _page(site, "/dev/schedules")
    assert "No schedule yet in dev." in _text(page)
    assert "@schedules.task(cron=" in page


async def test_a_schedule_is_paused_and_resumed_by_its_button(site: Site) -> None:
    """SC-14."""
    scheduled_tasks(site.engine)
    schedule = a_schedule(site.engine)
    response = await _post(site, schedule, "active", action="pause")
    assert (response.status_code, response.headers["location"]) == (303, "/prod/schedules")
    assert not planned(site.engine, schedule).schedule.active
    text = _text(await _page(site))
    assert "paused" in text and "Resume" in text and "next in" not in text
    await _post(site, schedule, "active", action="resume")
    assert planned(site.engine, schedule).schedule.active
    assert (await _post(site, schedule, "active", action="burn")).status_code == 400


async def test_a_schedule_is_run_by_its_button_and_the_run_is_shown(site: Site) -> None:
    scheduled_tasks(site.engine)
    schedule = a_schedule(site.engine, overlap="skip")
    response = await _post(site, schedule, "run")
    (run_id,) = site.engine.ask("SELECT id FROM run")
    assert (response.status_code, response.headers["location"]) == (303, f"/prod/runs/{run_id}")
    refused = await _post(site, schedule, "run")
    assert refused.status_code == 422 and "is still going on" in refused.text


@pytest.mark.parametrize("what", ["active", "run"])
async def test_a_form_without_its_token_changes_nothing(site: Site, what: str) -> None:
    scheduled_tasks(site.engine)
    schedule = a_schedule(site.engine)
    response = await _post(site, schedule, what, form_token="forged", action="pause")
    assert response.status_code == 403
    assert planned(site.engine, schedule) == schedule
    assert site.engine.ask("SELECT count(*) FROM run") == [0]


@pytest.mark.parametrize("what", ["active", "run"])
async def test_another_environments_schedule_is_not_there(site: Site, what: str) -> None:
    """SC-13: neither to be seen nor to be used."""
    scheduled_tasks(site.engine, environment=site.engine.dev)
    schedule = a_schedule(site.engine, environment=site.engine.dev)
    assert "No schedule yet in prod." in _text(await _page(site))
    response = await _post(site, schedule, what, action="pause")
    assert response.status_code == 404
    assert "There is no such schedule in this environment." in response.text


async def test_what_others_wrote_is_shown_as_text(site: Site) -> None:
    scheduled_tasks(site.engine, HOSTILE)
    a_schedule(site.engine, task=HOSTILE, external_id=HOSTILE)
    assert "<img" not in await _page(site)


async def test_many_schedules_are_paged_and_the_page_stays_light(site: Site) -> None:
    scheduled_tasks(site.engine)
    made = [a_schedule(site.engine).schedule.id for _ in range(PAGE + 1)]
    first = await _page(site)
    assert first.count('/run"') == PAGE and made[0] not in first and made[1] in first
    assert len(first) <= 100_000
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older is not None
    second = await _page(site, older[1])
    assert f"{made[0]}/run" in second and f"{made[1]}/run" not in second
    assert 'rel="next"' not in second and 'href="/prod/schedules"' in second
    assert (await _page(site, "/prod/schedules?before=nonsense")) is not None


async def test_who_is_not_signed_in_sees_nothing(site: Site) -> None:
    async with site.client() as stranger:
        response = await stranger.get("/prod/schedules")
    assert response.status_code == 303 and "/sign-in" in response.headers["location"]

"""Bulk actions in the browser: the question, the progress, the list (CN-14)."""

import re
from typing import Any

import httpx
import pytest

from tests.support.builders import a_run, a_started_run, a_version, fail, succeed
from tests.support.site import FORM_TOKEN, Site
from tests.web.dashboard.test_hostile_input import HOSTILE, assert_harmless
from trigger_lite.background.bulk_actions import work_on_bulk_actions
from trigger_lite.store.bulk_actions import list_bulk_actions
from trigger_lite.web.dashboard.guard import mask


async def _post(browser: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    return await browser.post(path, data={"form_token": mask(FORM_TOKEN), **fields})


async def _begin(site: Site, **fields: str) -> str:
    """Answer the question; returns the address of the bulk action's page."""
    async with site.signed_in() as browser:
        response = await _post(browser, "/prod/bulk", **fields)
    assert response.status_code == 303, response.text
    return str(response.headers["location"])


async def _page(site: Site, path: str) -> str:
    async with site.signed_in() as browser:
        response = await browser.get(path)
    assert response.status_code == 200, response.text
    return response.text


async def _work(site: Site) -> None:
    while await work_on_bulk_actions(site.services.store) is not None:
        pass


def _hidden(page: str) -> dict[str, str]:
    """The hidden fields of a page's form."""
    return dict(re.findall(r'<input type="hidden" name="(kind|query|run_ids)" value="([^"]*)">', page))


async def test_rows_can_be_picked_and_the_filter_goes_along(site: Site) -> None:
    run = a_run(site.engine, tags=["a"])
    page = await _page(site, "/prod/runs?status=queued&tag=a")
    form = page.split('<form id="bulk"')[1].split("</form>")[0]
    assert 'action="/prod/bulk/new"' in form
    assert f'<input type="checkbox" name="run" value="{run.id}"' in form
    assert '<input type="hidden" name="status" value="queued">' in form
    assert '<input type="hidden" name="tag" value="a">' in form
    assert page.count('form="bulk"') == 2


async def test_the_question_says_how_many_and_which(site: Site) -> None:
    for _ in range(3):
        a_run(site.engine)
    page = await _page(site, "/prod/bulk/new?kind=cancel&status=queued&task=resize&after=x")
    assert "Cancel all 3 runs of this filter?" in page
    assert "<dt>Status</dt><dd><bdi>Queued</bdi></dd>" in page
    assert "<dt>Task</dt><dd><bdi>resize</bdi></dd>" in page
    assert _hidden(page) == {"kind": "cancel", "query": "?status=queued&amp;task=resize", "run_ids": ""}


async def test_picked_rows_win_over_the_filter(site: Site) -> None:
    runs = sorted(a_run(site.engine).id for _ in range(3))
    page = await _page(site, f"/prod/bulk/new?kind=replay&status=queued&run={runs[1]}&run={runs[0]}")
    assert "Replay 2 runs?" in page
    assert _hidden(page)["run_ids"] == f"{runs[0]} {runs[1]}"


async def test_nothing_is_asked_about_no_run(site: Site) -> None:
    page = await _page(site, "/prod/bulk/new?kind=cancel&task=unheard-of")
    assert "No run matches." in page and "<form method" not in page.split("<main")[1].split("</main>")[0]


async def test_all_runs_of_a_filter_are_cancelled(site: Site) -> None:
    """CN-14: the page shows progress, the counts, and what could not be done."""
    a_version(site.engine)
    done = a_started_run(site.engine)
    succeed(site.engine, done)
    waiting = [a_run(site.engine) for _ in range(2)]
    path = await _begin(site, kind="cancel", query="?task=resize", name="clean <up>")
    begun = await _page(site, path)
    assert 'hx-trigger="every 1s"' in begun and "0 of 3 cancelled" in begun and "clean &lt;up&gt;" in begun
    await _work(site)
    ended = await _page(site, path)
    assert "hx-trigger" not in ended.split("<main")[1]
    assert "2 of 3 cancelled, 1 could not be" in ended and "It was COMPLETED already" in ended
    assert f'href="/prod/runs/{done.id}"' in ended
    assert {site.engine.run(run).status for run in waiting} == {"CANCELED"}


async def test_the_runs_it_touched_are_a_list_and_each_says_so(site: Site) -> None:
    run, other = a_run(site.engine), a_run(site.engine)
    path = await _begin(site, kind="replay", run_ids=run.id)
    await _work(site)
    href = f"/prod/runs?bulk={path.rpartition('/')[2]}"
    assert f'href="{href}"' in await _page(site, path)
    listed = await _page(site, href)
    assert run.id in listed and other.id not in listed
    assert listed.count("<tbody") == 2  # the run and its replay
    assert f'href="{path}"' in await _page(site, f"/prod/runs/{run.id}")


async def test_an_abort_ends_it(site: Site) -> None:
    run = a_run(site.engine)
    path = await _begin(site, kind="cancel", query="")
    async with site.signed_in() as browser:
        response = await _post(browser, f"{path}/abort")
        again = await _post(browser, f"{path}/abort")
    assert response.headers["location"] == path
    assert again.status_code == 422 and "is ABORTED already" in again.text
    await _work(site)
    assert site.engine.run(run).status == "PENDING"
    assert "Aborted" in await _page(site, path)


async def test_bulk_actions_are_listed_newest_first(site: Site) -> None:
    assert "No bulk action yet." in await _page(site, "/prod/bulk")
    a_run(site.engine)
    made = [(await _begin(site, kind="cancel", query="", name=f"n{n}")) for n in range(52)][::-1]
    first = await _page(site, "/prod/bulk")
    assert made[49] in first and made[50] not in first
    older = first.split('rel="next" href="')[1].split('"')[0]
    second = await _page(site, older)
    assert made[50] in second and made[49] not in second
    newer = second.split('rel="prev" href="')[1].split('"')[0]
    assert made[0] in await _page(site, newer)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "delete", "query": ""}, "Runs can be cancelled or replayed"),
        ({"kind": "cancel", "run_ids": "run_1 x'"}, "something that is not a run"),
        ({"kind": "cancel", "run_ids": " ".join(f"run_{n}" for n in range(501))}, "At most 500 runs"),
    ],
)
async def test_a_form_that_asks_for_nonsense_does_nothing(
    site: Site, fields: dict[str, Any], message: str
) -> None:
    async with site.signed_in() as browser:
        response = await _post(browser, "/prod/bulk", **fields)
    assert response.status_code == 400 and message in response.text
    assert site.engine.do(list_bulk_actions, site.engine.prod.id, size=10).rows == []


async def test_without_the_sessions_token_nothing_begins(site: Site) -> None:
    a_run(site.engine)
    async with site.signed_in() as browser:
        for path in ("/prod/bulk", "/prod/bulk/bulk_1/abort"):
            assert (await browser.post(path, data={"kind": "cancel"})).status_code == 403
    assert site.engine.do(list_bulk_actions, site.engine.prod.id, size=10).rows == []


async def test_a_bulk_action_of_another_environment_is_not_there(site: Site) -> None:
    a_run(site.engine)
    path = await _begin(site, kind="cancel", query="")
    async with site.signed_in() as browser:
        other = path.replace("/prod/", "/dev/")
        assert (await browser.get(other)).status_code == 404
        assert (await _post(browser, f"{other}/abort")).status_code == 404


async def test_a_fourth_replay_says_why_it_is_refused(site: Site) -> None:
    """CN-14: three go on already."""
    a_run(site.engine)
    for _ in range(3):
        await _begin(site, kind="replay", query="")
    async with site.signed_in() as browser:
        response = await _post(browser, "/prod/bulk", kind="replay", query="")
    assert response.status_code == 429 and "Only 3 bulk replays at a time" in response.text


@pytest.mark.parametrize("text", HOSTILE)
async def test_what_others_wrote_is_only_shown(site: Site, text: str) -> None:
    a_version(site.engine)
    fail(site.engine, a_started_run(site.engine, tags=[text.replace("\x00", "")]))
    path = await _begin(site, kind="cancel", query="?status=failed", name=text)
    await _work(site)
    async with site.signed_in() as browser:
        question = await browser.get("/prod/bulk/new", params={"kind": "cancel", "tag": text})
    for page in (await _page(site, path), await _page(site, "/prod/bulk"), question.text):
        assert_harmless(page)

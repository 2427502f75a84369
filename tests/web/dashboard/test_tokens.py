"""The pages of wait tokens, and completing one by hand."""

import re

import httpx
import pytest

from tests.support.builders import a_started_run, a_token, a_version, complete_with, wait_for
from tests.support.site import FORM_TOKEN, Site
from trigger_lite.engine.waitpoints import complete_due
from trigger_lite.store.waitpoints import find_output
from trigger_lite.web.dashboard.guard import mask

HOSTILE = '"><img src=x onerror=alert(1)>'


async def _page(site: Site, path: str = "/prod/tokens") -> str:
    async with site.signed_in() as browser:
        response = await browser.get(path)
    assert response.status_code == 200, response.text
    return response.text


async def _post(site: Site, path: str, **form: str) -> httpx.Response:
    async with site.signed_in() as browser:
        return await browser.post(path, data={"form_token": mask(FORM_TOKEN), **form})


def _text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


async def test_without_tokens_the_page_says_where_they_come_from(site: Site) -> None:
    assert "No token yet." in await _page(site)
    assert "No such token." in await _page(site, "/prod/tokens?status=COMPLETED")


async def test_the_list_shows_each_token_with_its_state(site: Site) -> None:
    """WP-20: newest first, narrowed by status."""
    waiting = a_token(site.engine, tags=["approval"], timeout="5m")
    done, late = a_token(site.engine), a_token(site.engine, timeout="1s")
    complete_with(site.engine, done)
    site.engine.pass_time(2)
    site.engine.do(complete_due, 10)
    page = await _page(site)
    assert page.index(late.id) < page.index(done.id) < page.index(waiting.id)
    for text in ("Waiting", "Completed", "Timed out", "approval", "times out in"):
        assert text in _text(page), text
    narrowed = await _page(site, "/prod/tokens?status=TIMED_OUT")
    assert late.id in narrowed and done.id not in narrowed and waiting.id not in narrowed
    assert done.id in await _page(site, "/prod/tokens?status=nonsense")


async def test_older_tokens_are_a_page_away(site: Site) -> None:
    tokens = [a_token(site.engine) for _ in range(55)]
    first = await _page(site)
    assert tokens[-1].id in first and tokens[0].id not in first
    older = re.search(r'href="(/prod/tokens\?after=[^"]+)"', first)
    assert older is not None
    second = await _page(site, older[1])
    assert tokens[0].id in second and tokens[-1].id not in second
    assert 'rel="prev"' in second and 'rel="next"' not in second


async def test_a_token_shows_who_waits_for_it_and_is_completed_there(site: Site) -> None:
    """WP-02: with the JSON that was typed; the run goes on."""
    a_version(site.engine)
    token = a_token(site.engine)
    run = wait_for(site.engine, a_started_run(site.engine), token)
    path = f"/prod/tokens/{token.id}"
    assert f"/prod/runs/{run.id}" in await _page(site, path)
    response = await _post(site, f"{path}/complete", data='{"approved": true}')
    assert (response.status_code, response.headers["location"]) == (303, path)
    assert site.engine.run(run).execution_status == "EXECUTING"
    page = await _page(site, path)
    assert "approved" in page and "Complete the token" not in page
    again = await _post(site, f"{path}/complete", data="2")
    assert again.status_code == 303
    assert site.engine.do(find_output, token.id) == '{"approved":true}'


@pytest.mark.parametrize(("typed", "stored"), [("", None), ('"yes"', "yes"), (" [1, 2] ", "[1,2]")])
async def test_what_was_typed_is_kept_as_over_the_api(site: Site, typed: str, stored: str | None) -> None:
    token = a_token(site.engine)
    await _post(site, f"/prod/tokens/{token.id}/complete", data=typed)
    assert site.engine.do(find_output, token.id) == stored
    async with site.signed_in() as browser:
        raw = await browser.get(f"/prod/tokens/{token.id}/output")
    assert (raw.status_code, raw.text if stored else "") == (200 if stored else 404, stored or "")


async def test_what_is_no_json_is_refused_with_why(site: Site) -> None:
    token = a_token(site.engine)
    response = await _post(site, f"/prod/tokens/{token.id}/complete", data="yes")
    assert response.status_code == 400 and "Text is written in quotes" in response.text
    assert "Waiting" in _text(await _page(site, f"/prod/tokens/{token.id}"))


async def test_a_token_of_another_environment_is_not_there(site: Site) -> None:
    token = a_token(site.engine, environment=site.engine.dev)
    async with site.signed_in() as browser:
        assert (await browser.get(f"/prod/tokens/{token.id}")).status_code == 404
    assert (await _post(site, f"/prod/tokens/{token.id}/complete", data="1")).status_code == 404
    assert token.id not in await _page(site)


async def test_a_form_of_another_session_completes_nothing(site: Site) -> None:
    token = a_token(site.engine)
    async with site.signed_in() as browser:
        response = await browser.post(f"/prod/tokens/{token.id}/complete", data={"data": "1"})
    assert response.status_code == 403
    assert site.engine.do(find_output, token.id) is None


async def test_hostile_tags_and_data_are_only_text(site: Site) -> None:
    token = a_token(site.engine, tags=[HOSTILE], key=HOSTILE)
    complete_with(site.engine, token, f'"{HOSTILE}"'.replace('">', '\\">', 1))
    for path in ("/prod/tokens", f"/prod/tokens/{token.id}"):
        assert "<img" not in await _page(site, path)


async def test_a_run_that_waits_says_so_on_its_page(site: Site) -> None:
    """WP-07: the API says EXECUTING, people read what it does."""
    a_version(site.engine)
    run = wait_for(site.engine, a_started_run(site.engine), a_token(site.engine))
    assert "Waiting" in _text(await _page(site, f"/prod/runs/{run.id}"))
    assert "Waiting" in _text(await _page(site, "/prod/runs"))

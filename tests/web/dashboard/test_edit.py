"""Replaying with changes, and rescheduling, in the browser (CN-09, CN-11, CN-13)."""

import html
import re
from typing import Any

import httpx
import orjson
import pytest

from tests.support.builders import a_run, a_version, trigger
from tests.support.site import FORM_TOKEN, Site
from tests.web.dashboard.test_hostile_input import HOSTILE, assert_harmless
from trigger_lite.store.runs import RunRow
from trigger_lite.web.dashboard.guard import mask


async def _form(site: Site, run: RunRow) -> str:
    async with site.signed_in() as browser:
        response = await browser.get(f"/prod/runs/{run.id}/edit")
    assert response.status_code == 200, response.text
    return response.text


def _payload(page: str) -> str:
    """What stands in the text field, as a browser reads it."""
    found = re.search(r"<textarea[^>]*>\n?(.*?)</textarea>", page, flags=re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


async def _send(site: Site, run: RunRow, **fields: str) -> httpx.Response:
    body = {"form_token": mask(FORM_TOKEN), **fields}
    async with site.signed_in() as browser:
        return await browser.post(f"/prod/runs/{run.id}/edit", data=body)


async def _replayed(site: Site, run: RunRow, **fields: str) -> RunRow:
    response = await _send(site, run, **fields)
    assert response.status_code == 303, response.text
    return site.engine.run(response.headers["location"].rpartition("/")[2])


async def test_the_form_has_what_the_run_had(site: Site) -> None:
    run = a_run(site.engine, payload={"width": 12345678901234567890123}, machine="micro")
    page = await _form(site, run)
    assert _payload(page) == '{\n  "width": 12345678901234567890123\n}'
    assert "<option selected>micro</option>" in page


async def test_a_form_sent_as_it_is_replays_the_run_as_it_was(site: Site) -> None:
    """CN-11: browsers send other line ends than they were given."""
    run = a_run(site.engine, payload={"a": [1, "\u202ex"]}, machine="micro", tags=["t"])
    typed = _payload(await _form(site, run)).replace("\n", "\r\n")
    again = await _replayed(site, run, payload=typed, version="", machine="micro")
    assert site.engine.data(again).payload == site.engine.data(run).payload
    assert (again.machine, again.replay_of, again.source) == ("micro", run.id, "dashboard")


async def test_payload_version_and_machine_can_be_changed(site: Site) -> None:
    """CN-11: each by itself or together."""
    version = a_version(site.engine)
    run = a_run(site.engine, payload={"a": 1})
    again = await _replayed(
        site, run, payload='{"a": 12345678901234567890123}', version=version.version, machine="large-1x"
    )
    assert site.engine.data(again).payload == '{"a":12345678901234567890123}'
    assert (again.version_id, again.machine) == (version.id, "large-1x")


@pytest.mark.parametrize(
    ("kind", "payload", "typed", "stored"),
    [
        ("text/plain", "hello", "good\nbye", "good\nbye"),
        ("application/super+json", '{"json":{"a":1}}', '{"json": {"a": 2}}', '{"json":{"a":2}}'),
    ],
)
async def test_a_payload_keeps_its_type(site: Site, kind: str, payload: str, typed: str, stored: str) -> None:
    """CN-11: what was text stays text."""
    run = a_run(site.engine, payload=payload, payload_type=kind)
    again = await _replayed(site, run, payload=typed)
    data = site.engine.data(again)
    assert (data.payload, data.payload_type) == (stored, kind)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"payload": "{a: 1}"}, "The payload is not JSON"),
        ({"payload": "null", "version": "20010101.1"}, "There is no version &#39;20010101.1&#39;"),
    ],
)
async def test_what_cannot_be_replayed_is_shown_again_with_the_reason(
    site: Site, fields: dict[str, Any], message: str
) -> None:
    """CN-12: nothing typed is lost, nothing is made."""
    run = a_run(site.engine, payload={"a": 1})
    response = await _send(site, run, **fields)
    assert response.status_code in (400, 422) and message in response.text
    assert _payload(response.text) == fields["payload"]
    assert site.engine.ask("SELECT count(*) FROM run") == [1]


async def test_a_run_whose_payload_is_gone_asks_for_one(site: Site) -> None:
    """CN-13: sent empty it is refused, with a payload it is made."""
    run = a_run(site.engine, payload={"a": 1})
    site.engine.change("UPDATE run SET payload = NULL, pruned_at = 1 WHERE id = :id", id=run.id)
    assert "kept no more; write one" in await _form(site, run)
    refused = await _send(site, run, payload="")
    assert refused.status_code == 422 and "is kept no more" in refused.text
    again = await _replayed(site, run, payload="2")
    assert site.engine.data(again).payload == "2"
    async with site.signed_in() as browser:
        response = await browser.post(f"/prod/runs/{run.id}/replay", data={"form_token": mask(FORM_TOKEN)})
    assert response.status_code == 422 and "is kept no more" in response.text


async def test_a_payload_too_large_for_a_form_stays_as_it_is(site: Site) -> None:
    run = a_run(site.engine, payload="x" * 300_000)
    page = await _form(site, run)
    assert _payload(page) == "" and "too much for a form" in page and len(page) < 20_000
    again = await _replayed(site, run, payload="", machine="micro")
    assert site.engine.data(again).payload == site.engine.data(run).payload


@pytest.mark.parametrize("text", HOSTILE)
async def test_a_payload_that_others_wrote_is_only_edited(site: Site, text: str) -> None:
    run = a_run(site.engine, payload={text: [text]})
    page = await _form(site, run)
    assert_harmless(page)
    again = await _replayed(site, run, payload=_payload(page) + " ")
    before, after = (orjson.loads(site.engine.data(one).payload or "") for one in (run, again))
    assert before == after


async def test_a_run_of_another_environment_is_not_there(site: Site) -> None:
    run = a_run(site.engine, environment=site.engine.dev)
    async with site.signed_in() as browser:
        assert (await browser.get(f"/prod/runs/{run.id}/edit")).status_code == 404
    assert (await _send(site, run, payload="1")).status_code == 404


# ---- reschedule -----------------------------------------------------------------------------------------


async def _reschedule(site: Site, run: RunRow, delay: str) -> httpx.Response:
    body = {"form_token": mask(FORM_TOKEN), "delay": delay}
    async with site.signed_in() as browser:
        return await browser.post(f"/prod/runs/{run.id}/reschedule", data=body)


async def test_a_delayed_run_can_be_moved(site: Site) -> None:
    """CN-09: the form is there while it is delayed."""
    run = a_run(site.engine, delay="2090-01-01")
    async with site.signed_in() as browser:
        assert f'action="/prod/runs/{run.id}/reschedule"' in (await browser.get(f"/prod/runs/{run.id}")).text
    response = await _reschedule(site, run, " 2090-01-02 ")
    assert response.headers["location"] == f"/prod/runs/{run.id}"
    assert site.engine.run(run).delay_until == (run.delay_until or 0) + 86_400_000


@pytest.mark.parametrize("delay", ["", "soon", "2001-01-01"])
async def test_a_time_that_is_none_moves_nothing(site: Site, delay: str) -> None:
    """CN-09: with the reason on the page."""
    run = a_run(site.engine, delay="2090-01-01")
    response = await _reschedule(site, run, delay)
    assert response.status_code == 400 and "delay" in response.text
    assert site.engine.run(run) == run


async def test_a_run_in_line_has_no_such_form(site: Site) -> None:
    run = a_run(site.engine)
    async with site.signed_in() as browser:
        assert "reschedule" not in (await browser.get(f"/prod/runs/{run.id}")).text
    assert (await _reschedule(site, run, "2090-01-01")).status_code == 422


# ---- details --------------------------------------------------------------------------------------------


async def test_a_child_says_where_its_tree_began(site: Site) -> None:
    """TR-25: who triggered the first of them."""
    parent = a_run(site.engine)
    child = trigger(site.engine, parent_run_id=parent.id).run_id
    async with site.signed_in() as browser:
        page = (await browser.get(f"/prod/runs/{child}")).text
        assert "<dt>Tree begun by</dt><dd><bdi>HTTP API</bdi></dd>" in page
        assert "Tree begun by" not in (await browser.get(f"/prod/runs/{parent.id}")).text

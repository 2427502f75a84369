"""Why a run does not go on, in the answer that shows it."""

from tests.web.api.conftest import Api


async def test_a_run_in_line_says_why_and_where_it_stands(api: Api) -> None:
    await api.register("resize")
    await api.trigger()
    run_id = await api.trigger()
    assert (await api.run(run_id))["waitingFor"] == {
        "reason": "NO_WORKER",
        "text": "waiting for a worker: none is connected, 1 ahead",
        "position": 2,
    }


async def test_a_delayed_run_says_until_when(api: Api) -> None:
    run = await api.run(await api.trigger(delay="2090-01-01T00:00:00.000Z"))
    waiting = run["waitingFor"]
    assert (waiting["reason"], waiting["until"]) == ("DELAYED", "2090-01-01T00:00:00.000Z")
    assert waiting["text"].startswith("delayed: starts in ")
    assert "position" not in waiting


async def test_a_run_that_goes_on_or_is_over_waits_for_nothing(api: Api) -> None:
    await api.register("resize")
    run_id = await api.trigger()
    await api.start()
    assert "waitingFor" not in await api.run(run_id)
    await api.call("POST", f"/api/v2/runs/{run_id}/cancel")
    assert "waitingFor" not in await api.run(run_id)

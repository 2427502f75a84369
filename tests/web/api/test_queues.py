"""Queues over HTTP (management-api 9.4, Q-25, Q-33, Q-35…39)."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.web.api.conftest import Api
from trigger_lite.engine.workers import register_version
from trigger_lite.protocol.manifest import QueueManifest, TaskManifest, WorkerManifest
from trigger_lite.protocol.rates import RateConfig


async def _register(api: Api, *queues: QueueManifest) -> None:
    manifest = WorkerManifest(
        "one", [TaskManifest("resize", queue=QueueManifest(concurrency_limit=3))], queues=list(queues)
    )
    environment = api.services.keys.by_slug("prod")
    assert environment is not None
    await api.services.store.write(register_version, environment.id, manifest)


async def _queue(api: Api, name: str = "resize", kind: str = "task") -> Any:
    return await api.get(f"/api/v1/queues/{name}?type={kind}")


async def _post(api: Api, path: str, **body: Any) -> tuple[int, Any]:
    answer = await api.call("POST", f"/api/v1/queues/{path}", json=body)
    return answer.status_code, answer.json()


def _encoded(name: str) -> str:
    """A name as the official client writes it into an address."""
    return quote(name.replace("/", "%2F"), safe="")


async def test_a_queue_shows_what_runs_and_what_waits(api: Api) -> None:
    """Q-25, Q-39: runs that a worker took, and runs in line; the name has no prefix."""
    await _register(api)
    for _ in range(3):
        await api.trigger()
    await api.trigger(delay="1h")
    await api.claim()
    queue = await _queue(api)
    assert queue.pop("id").startswith("queue_")
    assert queue == {
        "name": "resize",
        "type": "task",
        "running": 1,
        "queued": 2,
        "paused": False,
        "concurrencyLimit": 3,
        "concurrency": {
            "current": 3, "base": 3, "override": None, "overriddenAt": None, "overriddenBy": None,
        },
    }  # fmt: skip


async def test_a_queue_shows_rates_length_and_no_limit(api: Api) -> None:
    """Q-39: what is trigger-lite's own beside what is not limited."""
    rate, key_rate = RateConfig(10, 1_000), RateConfig(5, 30_000, 2)
    await _register(api, QueueManifest("crm", max_length=9, rate=rate, key_rate=key_rate))
    queue = await _queue(api, "crm", "custom")
    assert (queue["rate"], queue["keyRate"], queue["maxLength"]) == ("10/s", "5/30s", 9)
    assert (queue["concurrencyLimit"], queue["concurrency"]["base"]) == (None, None)


async def test_queues_are_listed_in_pages_by_name(api: Api) -> None:
    """Q-39: pages count from one, and say how many there are."""
    await _register(api, *[QueueManifest(f"q{n}") for n in range(4)])
    first = await api.get("/api/v1/queues?perPage=2")
    assert [queue["name"] for queue in first["data"]] == ["q0", "q1"]
    assert first["pagination"] == {"currentPage": 1, "totalPages": 3, "count": 5}
    last = await api.get("/api/v1/queues?page=3&perPage=2")
    assert [(queue["name"], queue["type"]) for queue in last["data"]] == [("resize", "task")]
    assert (await api.get("/api/v1/queues?page=9"))["data"] == []
    assert (await api.get(f"/api/v1/queues?page={'9' * 18}&perPage=1000"))["data"] == []
    assert (await api.get("/api/v1/queues"))["pagination"]["totalPages"] == 1
    elsewhere = await api.get("/api/v1/queues", environment="dev")
    assert elsewhere == {"data": [], "pagination": {"currentPage": 1, "totalPages": 0, "count": 0}}


@pytest.mark.parametrize(
    "query", ["page=0", "page=-1", "page=x", "perPage=0", "perPage=1.5", "page=" + "9" * 99]
)
async def test_a_page_that_cannot_be_is_refused(api: Api, query: str) -> None:
    answer = await api.call("GET", f"/api/v1/queues?{query}")
    assert answer.status_code == 400
    assert "whole number" in answer.json()["error"]


async def test_a_queue_is_addressed_by_id_and_by_type_and_name(api: Api) -> None:
    """Q-39: slashes arrive encoded once or twice; the type is `id` unless told."""
    await _register(api, QueueManifest("eu/crm"))
    crm = await _queue(api, _encoded("eu/crm"), "custom")
    assert crm["name"] == "eu/crm"
    assert await _queue(api, "eu%2Fcrm", "custom") == crm
    assert await api.get(f"/api/v1/queues/{crm['id']}") == crm
    assert await _queue(api, _encoded("task/resize")) == await _queue(api)


@pytest.mark.parametrize(
    "address", ["queue_none", "resize", "resize?type=custom", "crm?type=task", "%00?type=task"]
)
async def test_a_queue_that_is_not_there_is_not_found(api: Api, address: str) -> None:
    await _register(api)
    answer = await api.call("GET", f"/api/v1/queues/{address}")
    assert answer.status_code in (404, 400)
    if answer.status_code == 404:
        assert answer.json() == {"error": "queue-not-found"}
        assert answer.headers["x-should-retry"] == "false"


async def test_a_queue_of_another_environment_is_not_found(api: Api) -> None:
    await _register(api)
    queue_id = (await _queue(api))["id"]
    assert (await api.call("GET", f"/api/v1/queues/{queue_id}", environment="dev")).status_code == 404


async def test_a_type_that_is_none_is_refused(api: Api) -> None:
    answer = await api.call("GET", "/api/v1/queues/x?type=named")
    assert (answer.status_code, answer.json()) == (
        400, {"error": "type is 'named', but must be id, task or custom"},
    )  # fmt: skip


async def test_a_queue_is_paused_and_resumed(api: Api) -> None:
    """Q-33: the answer is the queue as it is then."""
    await _register(api)
    status, queue = await _post(api, "resize/pause", type="task", action="pause")
    assert (status, queue["paused"]) == (200, True)
    await api.trigger()
    assert (await _queue(api))["queued"] == 1
    status, queue = await _post(api, f"{queue['id']}/pause", type="id", action="resume")
    assert (status, queue["paused"]) == (200, False)
    await api.claim()


async def test_a_limit_is_overridden_and_reset(api: Api) -> None:
    """Q-35, Q-36: absolute and in percent; reset goes back, and a second time is an error."""
    await _register(api, QueueManifest("a/b"))
    status, queue = await _post(api, "resize/concurrency/override", type="task", concurrencyLimit=5)
    assert status == 200
    concurrency = queue["concurrency"]
    assert (queue["concurrencyLimit"], concurrency["override"], concurrency["base"]) == (5, 5, 3)
    assert concurrency["overriddenAt"].endswith("Z")
    assert concurrency["overriddenBy"] == "api"
    path = f"{_encoded('a/b')}/concurrency/override"
    assert (await _post(api, path, type="custom", percent=33.3))[1]["concurrencyLimit"] == 33
    status, queue = await _post(api, "resize/concurrency/reset", type="task")
    assert (status, queue["concurrencyLimit"], queue["concurrency"]["override"]) == (200, 3, None)
    status, refused = await _post(api, "resize/concurrency/reset", type="task")
    assert (status, refused) == (400, {"error": "The limit of task/resize is not overridden"})


async def test_an_override_may_name_its_end(api: Api) -> None:
    """Q-36: as a time to come."""
    await _register(api)
    until = "2090-01-01T00:00:00.000Z"
    path = "resize/concurrency/override"
    status, queue = await _post(api, path, type="task", concurrencyLimit=5, until=until)
    assert (status, queue["overrideEndsAt"]) == (200, until)
    for wrong in ("2020-01-01", "tomorrow"):
        status, refused = await _post(api, path, type="task", concurrencyLimit=5, until=wrong)
        assert status == 400
        assert refused["error"].startswith("until ")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"concurrencyLimit": -1},
        {"concurrencyLimit": 101},
        {"concurrencyLimit": 100_001},
        {"concurrencyLimit": 1.5},
        {"concurrencyLimit": "5"},
        {"percent": 0},
        {"percent": 101},
        {"percent": 50, "concurrencyLimit": 5},
        {"type": "named", "concurrencyLimit": 5},
    ],
)
async def test_an_override_that_cannot_be_is_refused(api: Api, body: dict[str, Any]) -> None:
    """Q-35: nothing is stored."""
    await _register(api)
    status, _ = await _post(api, "resize/concurrency/override", **{"type": "task", **body})
    assert status == 400
    assert (await _queue(api))["concurrency"]["override"] is None


@pytest.mark.parametrize(
    ("path", "body"),
    [("pause", {"action": "pause"}), ("concurrency/reset", {}), ("concurrency/override", {"percent": 5})],
)
async def test_a_queue_that_is_not_there_cannot_be_changed(api: Api, path: str, body: dict[str, Any]) -> None:
    assert await _post(api, f"queue_none/{path}", **body) == (404, {"error": "queue-not-found"})


@pytest.mark.parametrize("action", ["stop", "", None])
async def test_an_action_that_is_none_is_refused(api: Api, action: str | None) -> None:
    await _register(api)
    assert (await _post(api, "resize/pause", type="task", action=action))[0] == 400


async def test_a_full_queue_refuses_with_a_code(api: Api) -> None:
    """Q-19: 422, and a word for programs."""
    await _register(api, QueueManifest("narrow", max_length=1))
    options: dict[str, Any] = {"queue": {"name": "narrow"}}
    await api.trigger(**options)
    answer = await api.call("POST", "/api/v1/tasks/resize/trigger", json={"options": options})
    assert answer.status_code == 422
    assert answer.json() == {
        "error": "The queue 'narrow' is full: no more than 1 runs may wait in it",
        "code": "QUEUE_SIZE_LIMIT_EXCEEDED",
    }


async def test_queues_need_a_key(api: Api) -> None:
    for path in ("", "/x", "/x/pause"):
        method = "POST" if path.endswith("pause") else "GET"
        assert (await api.client.request(method, f"/api/v1/queues{path}")).status_code == 401

"""The environment of a key: its load, its limit, its pause."""

from typing import Any

import pytest

from tests.web.api.conftest import Api


async def test_an_environment_shows_what_it_holds(api: Api) -> None:
    """Q-15: the limit of one queue, and by how much all together may exceed it."""
    await api.register("resize")
    await api.trigger()
    await api.claim()
    assert await api.get("/api/v1/environment") == {
        "slug": "prod",
        "paused": False,
        "running": 1,
        "concurrencyLimit": 100,
        "burst": 1.0,
    }


async def test_an_environment_is_paused_and_resumed(api: Api) -> None:
    """Q-34: the other one goes on."""
    for action, paused in (("pause", True), ("resume", False)):
        answer = await api.call("POST", "/api/v1/environment/pause", json={"action": action})
        assert (answer.status_code, answer.json()["paused"]) == (200, paused)
        assert (await api.get("/api/v1/environment"))["paused"] is paused
        assert not (await api.get("/api/v1/environment", environment="dev"))["paused"]


async def test_the_limit_of_an_environment_is_changed(api: Api) -> None:
    """Q-18: with its burst, or without touching that."""
    path = "/api/v1/environment/limit"
    answer = await api.call("POST", path, json={"concurrencyLimit": 7, "burst": 1.5})
    assert (answer.json()["concurrencyLimit"], answer.json()["burst"]) == (7, 1.5)
    answer = await api.call("POST", path, json={"concurrencyLimit": 9})
    assert (answer.json()["concurrencyLimit"], answer.json()["burst"]) == (9, 1.5)
    await api.register("resize")
    queue = await api.get("/api/v1/queues/resize?type=task")
    assert queue["concurrencyLimit"] is None


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("limit", {"concurrencyLimit": 0}),
        ("limit", {"concurrencyLimit": 100_001}),
        ("limit", {}),
        ("limit", {"concurrencyLimit": 5, "burst": 0.5}),
        ("limit", {"concurrencyLimit": 5, "burst": 11}),
        ("pause", {"action": "stop"}),
        ("pause", {}),
    ],
)
async def test_what_cannot_be_is_refused(api: Api, path: str, body: dict[str, Any]) -> None:
    before = await api.get("/api/v1/environment")
    assert (await api.call("POST", f"/api/v1/environment/{path}", json=body)).status_code == 400
    assert await api.get("/api/v1/environment") == before


async def test_an_environment_needs_its_key(api: Api) -> None:
    assert (await api.client.get("/api/v1/environment")).status_code == 401

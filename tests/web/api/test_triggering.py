"""Options of a trigger, as the run shows them (management-api 9.1)."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest

from tests.web.api.conftest import Api


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({"tags": ["b", "a", "b", " "]}, {"tags": ["a", "b"]}),
        ({"tags": "one"}, {"tags": ["one"]}),
        ({"ttl": 600}, {"ttl": "10m"}),
        ({"ttl": 3661}, {"ttl": "1h1m1s"}),
        ({"ttl": "2h"}, {"ttl": "2h"}),
        ({"ttl": 0}, {"ttl": None}),
        ({}, {"ttl": None, "tags": [], "depth": 0, "isTest": False, "status": "QUEUED", "isQueued": True}),
        ({"test": True}, {"isTest": True}),
        ({"delay": "1h"}, {"status": "DELAYED", "isQueued": True}),
        ({"delay": "2000-01-01T00:00:00Z"}, {"status": "QUEUED", "delayedUntil": None}),
        ({"delay": "2100-01-01T00:00:00.000Z"}, {"delayedUntil": "2100-01-01T00:00:00.000Z"}),
        ({"queue": {"name": "mail"}, "concurrencyKey": 7}, {"status": "QUEUED"}),
        ({"machine": "no-such-machine"}, {"status": "QUEUED"}),
        ({"an option of a newer client": {"x": 1}}, {"status": "QUEUED"}),
    ],
)
async def test_an_option_is_shown_by_the_run(
    api: Api, options: dict[str, Any], shown: dict[str, Any]
) -> None:
    run = await api.run(await api.trigger(**options))
    assert {name: run.get(name) for name in shown} == shown


async def test_a_new_run_has_what_the_client_requires(api: Api) -> None:
    run = await api.run(await api.trigger())
    required = (
        "id taskIdentifier status isQueued isExecuting isWaiting isCompleted isSuccess isFailed isCancelled "
        "isTest createdAt updatedAt tags costInCents baseCostInCents durationMs depth triggerFunction "
        "relatedRuns"
    )
    assert not set(required.split()) - set(run)
    assert (run["attemptCount"], run["relatedRuns"], run["attempts"]) == (0, {}, [])
    assert not {"startedAt", "finishedAt", "error", "output", "version"} & set(run)


async def test_a_child_knows_its_parent_and_its_root(api: Api) -> None:
    root = await api.trigger("root")
    middle = await api.trigger("middle", parentRunId=root)
    leaf = await api.trigger("leaf", parentRunId=middle)
    run = await api.run(leaf)
    assert run["depth"] == 2
    assert (run["relatedRuns"]["root"]["id"], run["relatedRuns"]["parent"]["id"]) == (root, middle)
    assert [child["id"] for child in (await api.run(middle))["relatedRuns"]["children"]] == [leaf]


@pytest.mark.parametrize("task", ["a b/c?", "naïve", "a%2Fb", "x" * 256, "trigger"])
async def test_a_task_id_may_hold_any_character(api: Api, task: str) -> None:
    from urllib.parse import quote

    answer = await api.call("POST", f"/api/v1/tasks/{quote(task, safe='')}/trigger", json={})
    assert answer.status_code == 200
    assert (await api.run(answer.json()["id"]))["taskIdentifier"] == task


async def test_the_answer_carries_a_token_that_may_read_the_run_for_an_hour(api: Api) -> None:
    answer = await api.call("POST", "/api/v1/tasks/resize/trigger", json={})
    head, body, signature = answer.headers["x-trigger-jwt"].split(".")
    key = api.headers()["authorization"].removeprefix("Bearer ")
    wanted = hmac.new(key.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    assert _decode(signature) == wanted
    assert json.loads(_decode(head)) == {"alg": "HS256"}
    claims = json.loads(_decode(body))
    run_id = answer.json()["id"]
    assert claims["scopes"] == [f"read:runs:{run_id}", f"write:inputStreams:{run_id}"]
    assert (claims["pub"], claims["sub"]) == (True, (await api.get("/api/v1/whoami"))["id"])
    assert (claims["iss"], claims["aud"]) == ("https://id.trigger.dev", "https://api.trigger.dev")
    assert claims["exp"] - claims["iat"] == 3600 and abs(claims["iat"] - time.time()) < 60


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


async def test_whoami_names_the_environment_of_the_key(api: Api) -> None:
    prod = await api.get("/api/v1/whoami")
    dev = await api.get("/api/v1/whoami", environment="dev")
    assert (prod["slug"], prod["type"]) == ("prod", "PRODUCTION")
    assert (dev["slug"], dev["type"]) == ("dev", "DEVELOPMENT")
    assert prod["project"] == dev["project"] and set(prod["project"]) == {"id", "externalRef", "slug", "name"}
    assert set(prod["organization"]) == {"id", "slug", "title"}


async def test_a_registered_version_is_locked_by_the_runs_it_gets(api: Api) -> None:
    ref = (await api.get("/api/v1/whoami"))["project"]["externalRef"]
    metadata = {
        "contentHash": "one",
        "packageVersion": "4.8.3",
        "tasks": [{"id": "resize", "filePath": "a.py"}],
    }
    path = f"/api/v1/projects/{ref}/background-workers"
    first = await api.call("POST", path, json={"localOnly": True, "metadata": metadata})
    assert first.status_code == 200 and set(first.json()) == {"id", "version", "contentHash"}
    again = await api.call("POST", path, json={"localOnly": True, "metadata": metadata})
    assert again.json() == first.json()
    other = await api.call(
        "POST", path, json={"localOnly": True, "metadata": {**metadata, "contentHash": "two"}}
    )
    day, _, number = first.json()["version"].partition(".")
    assert other.json()["version"] == f"{day}.{int(number) + 1}"
    run_id = await api.trigger(lockToVersion=first.json()["version"])
    assert (await api.run(run_id))["version"] == first.json()["version"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "Object missing required field `metadata`"),
        ({"metadata": {"contentHash": "one"}}, "Object missing required field `tasks` - at `$.metadata`"),
        (
            {"metadata": {"contentHash": "", "tasks": []}},
            "Expected `str` of length >= 1 - at `$.metadata.contentHash`",
        ),
        (
            {"metadata": {"contentHash": "one", "tasks": [{"id": ""}]}},
            "Expected `str` of length >= 1 - at `$.metadata.tasks[0].id`",
        ),
    ],
)
async def test_a_registration_that_is_wrong_names_the_place(
    api: Api, body: dict[str, Any], error: str
) -> None:
    ref = (await api.get("/api/v1/whoami"))["project"]["externalRef"]
    answer = await api.call("POST", f"/api/v1/projects/{ref}/background-workers", json=body)
    assert (answer.status_code, answer.json()) == (400, {"error": error})

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.answers import a_failure, a_result, a_run
from tests.support.edge import Edge, Reply
from trigger_lite import (
    ApiError,
    BlockingCall,
    Client,
    ConnectionFailed,
    Ctx,
    NotConfigured,
    PayloadError,
    RunFailed,
    UnknownOption,
    configure,
    run_inline,
    task,
)
from trigger_lite.protocol.tasks import TriggerOptions

TRIGGER = "/api/v1/tasks/.*/trigger"


@dataclass
class Size:
    width: int
    height: int


@task(tags=["image"], priority=5)
def resize(url: str, width: int = 100) -> Size:
    return Size(width, width)


@task
async def fetch(ctx: Ctx, url: str) -> str:
    return url


def accept(edge: Edge) -> None:
    """Answer every trigger with a run named after its payload."""
    edge.on("POST", TRIGGER, lambda request: Reply(body={"id": f"run_{request.body['payload']['url']}"}))


# ---- one run -------------------------------------------------------------------------------------------


def test_a_trigger_sends_the_arguments_as_the_payload(edge: Edge) -> None:
    accept(edge)
    handle = resize.trigger("a", width=3)
    assert (handle.id, handle.task, handle.is_cached) == ("run_a", "resize", False)
    (request,) = edge.requests
    assert request.path == "/api/v1/tasks/resize/trigger"
    assert request.body == {
        "payload": {"url": "a", "width": 3},
        "options": {"payloadType": "application/json", "tags": ["image"], "priority": 5.0},
    }


def test_options_go_beside_the_payload_and_never_into_it(edge: Edge) -> None:
    accept(edge)
    later = resize.with_(delay="1h", tags=["cat", "image"], key="user_7", max_attempts=1, priority=0)
    later.with_(delay="2h", metadata={"a": 1}).trigger("a")
    assert edge.requests[0].body["options"] == {
        "payloadType": "application/json",
        "delay": "2h",
        "tags": ["image", "cat"],
        "concurrencyKey": "user_7",
        "maxAttempts": 1,
        "metadata": {"a": 1},
        "priority": 0.0,
    }


def test_a_wrong_option_is_said_where_it_is_given(edge: Edge) -> None:
    with pytest.raises(UnknownOption, match=r"resize.with_\(\) has no option 'dealy'"):
        resize.with_(dealy="1h")  # type: ignore[call-arg]
    assert edge.requests == []


def test_a_wrong_payload_is_not_sent(edge: Edge) -> None:
    with pytest.raises(PayloadError, match=r"resize: Expected `int`, got `str` - at `\$\.width`"):
        resize.trigger("a", "wide")  # type: ignore[arg-type]
    assert edge.requests == []


def test_a_task_id_is_quoted_in_the_path(edge: Edge) -> None:
    @task(id="a b/c?")
    def odd() -> None: ...

    edge.on("POST", TRIGGER, Reply(body={"id": "run_1"}))
    odd.trigger()
    assert edge.requests[0].path == "/api/v1/tasks/a%20b%2Fc%3F/trigger"


def test_a_key_that_was_used_gives_the_earlier_run(edge: Edge) -> None:
    edge.on("POST", TRIGGER, Reply(body={"id": "run_0", "isCached": True}))
    handle = resize.with_(idempotency_key="a", idempotency_key_ttl="1h").trigger("a")
    assert handle.is_cached
    assert edge.requests[0].body["options"]["idempotencyKeyTTL"] == "3600s"


def test_a_trigger_inside_a_run_names_its_parent(edge: Edge) -> None:
    @task
    def parent() -> str:
        return resize.trigger("a").id

    accept(edge)
    assert run_inline(parent).unwrap() == "run_a"
    assert edge.requests[0].body["options"]["parentRunId"] == "run_local"


def test_without_a_server_the_ways_to_name_one_are_told() -> None:
    with pytest.raises(NotConfigured, match="start a local server with `trigger-lite serve`"):
        resize.trigger("a")


# ---- the handle ----------------------------------------------------------------------------------------


def finished(edge: Edge, result: Reply, status: str = "COMPLETED") -> None:
    accept(edge)
    edge.on("GET", "/api/v1/runs/.*/wait", Reply(body=a_run(status=status)))
    edge.on("GET", "/api/v3/runs/.*", Reply(body=a_run(status=status)))
    edge.on("GET", "/api/v1/runs/.*/result", result)


def test_a_result_has_the_type_the_task_returns(edge: Edge) -> None:
    finished(edge, a_result('{"width":3,"height":4}'))
    handle = resize.trigger("a")
    assert handle.result() == Size(3, 4)
    assert handle.get().status == "COMPLETED"
    assert handle.wait().is_success
    assert repr(handle) == "RunHandle('run_a', task='resize')"


def test_a_result_of_another_shape_is_said(edge: Edge) -> None:
    finished(edge, a_result('{"width":3}'))
    with pytest.raises(PayloadError, match=r"the result does not fit: .*height"):
        resize.trigger("a").result()


def test_a_failed_run_raises_from_its_handle(edge: Edge) -> None:
    finished(edge, a_failure(type="INTERNAL_ERROR", code="TASK_RUN_CRASHED"), status="CRASHED")
    with pytest.raises(RunFailed, match=r"ended CRASHED: trigger.dev internal error"):
        resize.trigger("a").result(timeout="1m")


async def test_async_code_triggers_and_waits(edge: Edge) -> None:
    finished(edge, a_result('{"width":3,"height":4}'))
    handle = await resize.with_(delay="1m").aio.trigger("a")
    assert await handle.aio.result() == Size(3, 4)
    assert (await handle.aio.get()).id == "run_1"
    assert (await handle.aio.wait(timeout=5)).is_success
    assert (await resize.aio.with_(key="k").trigger("b")).id == "run_b"
    assert edge.requests[0].body["options"]["delay"] == "1m"


async def test_async_code_inside_a_run_names_its_parent(edge: Edge) -> None:
    accept(edge)

    @task
    async def parent() -> str:
        return (await resize.aio.trigger("a")).id

    assert (await asyncio.to_thread(run_inline, parent)).unwrap() == "run_a"
    assert edge.requests[0].body["options"]["parentRunId"] == "run_local"


async def test_errors_reach_async_code(edge: Edge) -> None:
    with pytest.raises(PayloadError):
        await resize.aio.trigger(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("verb", ["trigger", "batch_trigger"])
async def test_a_blocking_trigger_inside_a_loop_names_the_other(edge: Edge, verb: str) -> None:
    with pytest.raises(BlockingCall) as caught:
        getattr(resize, verb)("a")
    assert f"resize.{verb}(…) would block the running event loop" in str(caught.value)
    assert f"write `await resize.aio.{verb}(…)`" in str(caught.value)
    assert edge.requests == []


# ---- tasks whose code is elsewhere ---------------------------------------------------------------------


def test_a_client_triggers_by_id(edge: Edge, client: Client) -> None:
    edge.on("POST", TRIGGER, Reply(body={"id": "run_1"}))
    assert client.trigger("other", {"a": 1}, tags="t", delay="1h").id == "run_1"
    assert client.trigger("other").task == "other"
    client.trigger_json("other", '[1, "x"]', TriggerOptions(test=True))
    assert [request.body for request in edge.requests] == [
        {
            "payload": {"a": 1},
            "options": {"payloadType": "application/json", "tags": ["t"], "delay": "1h"},
        },
        {"payload": None, "options": {"payloadType": "application/json"}},
        {"payload": [1, "x"], "options": {"payloadType": "application/json", "test": True}},
    ]


def test_a_client_refuses_a_payload_that_json_cannot_hold(edge: Edge, client: Client) -> None:
    with pytest.raises(PayloadError, match="other: a value of type `object`"):
        client.trigger("other", object())


def test_a_client_knows_whose_key_it_has(edge: Edge, client: Client) -> None:
    identity: dict[str, Any] = {
        "id": "env_1",
        "slug": "prod",
        "type": "PRODUCTION",
        "name": "Production",
        "project": {"id": "p", "externalRef": "proj_x", "slug": "shop", "name": "Shop"},
        "organization": {"id": "o", "slug": "acme", "title": "Acme"},
    }
    edge.on("GET", "/api/v1/whoami", Reply(body=identity))
    me = client.whoami()
    assert (me.slug, me.project.external_ref, me.organization.title) == ("prod", "proj_x", "Acme")


async def test_a_client_works_for_async_code(edge: Edge, client: Client) -> None:
    edge.on("POST", TRIGGER, Reply(body={"id": "run_1"}))
    edge.on("GET", "/api/v3/runs/run_1", Reply(body=a_run()))
    edge.on("GET", "/api/v1/whoami", Reply(401, {"error": "Invalid API key"}))
    assert (await client.aio.trigger("other", 3, delay="1m")).id == "run_1"
    assert (await client.aio.runs.get("run_1")).id == "run_1"
    with pytest.raises(ApiError, match="Invalid API key"):
        await client.aio.whoami()
    with pytest.raises(BlockingCall, match=r"await client.aio.whoami"):
        client.whoami()
    with pytest.raises(BlockingCall, match=r"await client.aio.trigger"):
        client.trigger("other")


def test_a_server_that_is_gone_is_named() -> None:
    configure(url="http://127.0.0.1:9", key="k")
    client = Client("http://127.0.0.1:9", "k", attempts=1)
    with pytest.raises(ConnectionFailed, match=r"http://127.0.0.1:9 does not answer"):
        client.trigger("other")

"""Runs that wait for many others, with real workers and a played server."""

import msgspec
import pytest

from tests.support.fake_batches import FakeBatches
from tests.support.fake_server import FakeServer
from tests.worker.conftest import StartWorker
from trigger_lite.protocol.ids import snapshot_id
from trigger_lite.protocol.run_errors import ErrorCode, InternalError, StringError

TASKS = """
from trigger_lite import BatchError, batch, wait

@task
def double(number: int) -> int:
    return 2 * number

@task
def fan_out(count: int) -> list[str]:
    found = double.with_(tags=["small"]).batch_trigger_and_wait(range(count))
    return [str(result.output) if result.ok else f"{result.error}" for result in found]

@task
def several() -> list[int]:
    one, two = batch(double.item(1), double.item(2)).trigger_and_wait()
    return [one.unwrap(), two.unwrap()]

@task
def waits_all_the_same() -> str:
    try:
        double.batch_trigger_and_wait([1, 2])
    except BatchError as error:
        said = f"{error.phase}: {error.failed[1]}"
    wait.for_("1h")
    return said
"""


@pytest.fixture
def batches(server: FakeServer) -> FakeBatches:
    """The server takes batches and lets runs wait."""
    return FakeBatches(server)


async def test_a_batch_is_announced_with_its_parent_and_results_come_by_index(
    server: FakeServer, batches: FakeBatches, start_worker: StartWorker
) -> None:
    """BA-10, BA-16, BA-17: whatever the order in which they are told, and how often."""
    start_worker(TASKS)
    run = server.push("fan_out", {"count": 3})
    await batches.waits(1)
    name = run.execution.run.id
    assert batches.announced == [
        {
            "runCount": 3,
            "taskIdentifiers": ["double"],
            "parentRunId": name,
            "resumeParentOnCompletion": True,
        }
    ]
    assert [(item["index"], item["payload"]) for item in batches.items] == [
        (n, {"number": n}) for n in range(3)
    ]
    assert batches.items[0]["options"] == {"payloadType": "application/json", "tags": ["small"]}
    failed = msgspec.json.encode(InternalError(ErrorCode.BATCH_ITEM_COULD_NOT_TRIGGER, "the queue is full"))
    ended = [
        batches.result("batch_1", 2, output="4"),
        batches.ended("batch_1"),
        batches.result("batch_other", 0, output="99"),
        batches.result("batch_1", 1, output=failed.decode(), output_is_error=True),
        batches.result("batch_1", 0, output="0"),
        batches.result("batch_1", 2, output="4"),
    ]
    server.send(batches.block(run), batches.go_on(run, *ended))
    complete = await server.completion_of(run)
    assert complete.completion.output is not None
    first, second, third = msgspec.json.decode(complete.completion.output)
    assert (first, third) == ("0", "4")
    assert second.startswith("double run_1 ended SYSTEM_FAILURE: ") and second.endswith("the queue is full")


async def test_two_items_may_be_the_same_run(
    server: FakeServer, batches: FakeBatches, start_worker: StartWorker
) -> None:
    """ST-13: told once for each index."""
    start_worker(TASKS)
    run = server.push("several")
    await batches.waits(1)
    twice = [batches.result("batch_1", index, output="2") for index in (0, 1)]
    server.send(batches.block(run), batches.go_on(run, batches.ended("batch_1"), *twice))
    assert (await server.completion_of(run)).completion.output == "[2,2]"


async def test_a_batch_that_the_server_does_not_take_is_given_up_and_the_run_may_wait_again(
    server: FakeServer, batches: FakeBatches, start_worker: StartWorker
) -> None:
    """BA-09: else it would wait for that batch beside everything else."""
    start_worker(TASKS)
    batches.refusal = (422, {"error": "no more of this"})
    run = server.push("waits_all_the_same")
    await batches.waits(1)
    assert batches.aborted == ["batch_1"]
    error = msgspec.json.encode(StringError("The batch batch_1 was aborted")).decode()
    aborted = batches.ended("batch_1", output=error, output_is_error=True)
    server.send(batches.block(run, seq=4), batches.go_on(run, aborted, seq=5))
    server.send(batches.block(run, seq=6), batches.go_on(run, seq=7))
    complete = await server.completion_of(run)
    assert complete.completion.output == "send: no more of this (HTTP 422)"
    assert complete.snapshot == snapshot_id(run.execution.run.id, 7)


async def test_a_batch_that_the_server_gave_up_is_an_error(
    server: FakeServer, batches: FakeBatches, start_worker: StartWorker
) -> None:
    """BA-09: with its reason, not a wait without end."""
    start_worker(TASKS)
    run = server.push("fan_out", {"count": 2})
    await batches.waits(1)
    error = msgspec.json.encode(StringError("The batch batch_1 was aborted: 1 of 2 items came")).decode()
    aborted = batches.ended("batch_1", output=error, output_is_error=True)
    server.send(batches.block(run), batches.go_on(run, aborted))
    completion = (await server.completion_of(run)).completion
    assert "2 of 2 items were not triggered" in str(completion.error)
    assert "was aborted: 1 of 2 items came" in str(completion.error)

"""Which runs a worker asks for, begins, and hands back, with real processes."""

from tests.support.fake_server import FakeServer
from tests.worker.conftest import StartWorker
from trigger_lite.protocol.worker import Complete, Credits, Release, Start

TASKS = """
@task
def noop(n: int) -> int:
    return n

@task
def sleep(seconds: float) -> None:
    time.sleep(seconds)
"""


async def test_nothing_is_fetched_ahead_before_a_run_was_measured(
    server: FakeServer, start_worker: StartWorker
) -> None:
    start_worker(TASKS, concurrency=3)
    assert (await server.expect(Credits)).count == 3
    await server.completion_of(server.push("noop", {"n": 1}))
    more = await server.expect_all(Credits, 2)
    assert sum(message.count for message in more) > 3 + 1


async def test_every_run_of_many_is_made_once_and_all_children_work(
    server: FakeServer, start_worker: StartWorker
) -> None:
    start_worker(TASKS, concurrency=3)
    runs = [server.push("noop", {"n": number}) for number in range(400)]
    completes = await server.expect_all(Complete, len(runs))
    outputs = {message.run: message.completion.output for message in completes}
    assert len(completes) == len(runs)
    assert outputs == {run.execution.run.id: str(number) for number, run in enumerate(runs)}


async def test_a_run_that_finds_no_free_child_is_handed_back(
    server: FakeServer, start_worker: StartWorker
) -> None:
    start_worker(TASKS)
    await server.completion_of(server.push("noop", {"n": 1}))
    long = server.push("sleep", {"seconds": 1.5})
    await server.expect(Start, lambda message: message.run == long.execution.run.id)
    waiting = server.push("noop", {"n": 2})
    released = await server.expect(Release)
    assert (released.run, released.snapshot) == (waiting.execution.run.id, waiting.snapshot)
    await server.completion_of(long)
    assert not server.all_of(Start, lambda message: message.run == waiting.execution.run.id)


async def test_after_a_hand_back_no_more_is_asked_for_than_children_can_take(
    server: FakeServer, start_worker: StartWorker
) -> None:
    start_worker(TASKS)
    await server.completion_of(server.push("noop", {"n": 1}))
    ahead = server.credits
    long = server.push("sleep", {"seconds": 1})
    server.push("noop", {"n": 2})
    await server.expect(Release)
    await server.completion_of(long)
    assert server.credits <= ahead

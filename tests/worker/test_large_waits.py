"""Results that are too much for one message, with real workers and a played server."""

import msgspec
import pytest

from tests.support.fake_server import FakeServer
from tests.support.fake_waits import FakeWaits, a_waitpoint
from tests.worker.conftest import StartWorker
from trigger_lite.protocol.ids import snapshot_id
from trigger_lite.protocol.waitpoints import WaitpointKind
from trigger_lite.protocol.worker import Complete, Heartbeat

TASKS = """
from trigger_lite import wait

@task
def ask(token: str) -> str:
    return wait.for_token(token, type=str).unwrap()
"""


@pytest.fixture
def waits(server: FakeServer) -> FakeWaits:
    """The server lets runs wait."""
    return FakeWaits(server)


async def test_a_run_goes_on_with_the_last_part_of_what_it_waited_for(
    server: FakeServer, waits: FakeWaits, start_worker: StartWorker
) -> None:
    """ST-12: before, the worker names the snapshot of the wait, so that it is told all again if need be."""
    server.heartbeat_seconds = 0.05
    start_worker(TASKS)
    run = server.push("ask", {"token": "waitpoint_1"})
    await waits.waits(1)
    other = a_waitpoint("waitpoint_2", WaitpointKind.MANUAL)
    step = waits.go_on(run, other)
    server.send(waits.block(run), msgspec.structs.replace(step, more=True))
    blocked = snapshot_id(run.execution.run.id, 4)
    before = len(server.all_of(Heartbeat))
    await server.until(lambda: len(server.all_of(Heartbeat)) >= before + 2)
    assert server.all_of(Heartbeat)[-1].runs[0].snapshot == blocked
    assert not server.all_of(Complete)
    server.send(waits.go_on(run, output="done", output_type="text/plain"))
    complete = await server.completion_of(run)
    assert (complete.completion.output, complete.snapshot) == ("done", step.snapshot)

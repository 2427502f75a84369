"""Results that are too much for one frame, over a real socket."""

import msgspec

from tests.web.worker_api.conftest import Connect, RawWorker
from trigger_lite.protocol.execution import Completion
from trigger_lite.protocol.waitpoints import CompletedWaitpoint
from trigger_lite.protocol.worker import Ack, Complete, HeldRun, Leave, Moved, Welcome
from trigger_lite.web.worker_api.link import FULL_FRAME, frames_of

LARGE = 1_000_000


def announce(worker: RawWorker, parent: str, count: int) -> str:
    """Let a run wait for a batch of so many runs; returns the batch."""
    body = {"runCount": count, "parentRunId": parent, "resumeParentOnCompletion": True}
    items = "\n".join(f'{{"index":{n},"task":"{worker.task}"}}' for n in range(count))
    with worker.server.client(worker.environment) as client:
        batch = str(client.post("/api/v3/batches", json=body).json()["id"])
        headers = {"content-type": "application/x-ndjson"}
        taken = client.post(f"/api/v3/batches/{batch}/items", content=items, headers=headers)
    assert taken.json()["sealed"], taken.text
    return batch


def parts(worker: RawWorker) -> list[Moved]:
    """Take the messages that tell of one step."""
    told = [worker.next(Moved)]
    while told[-1].more:
        told.append(worker.next(Moved))
    return told


def results(told: list[Moved]) -> list[CompletedWaitpoint]:
    return [waitpoint for part in told for waitpoint in part.waitpoints]


def test_large_results_arrive_whole_also_after_the_connection_was_lost(connect_worker: Connect) -> None:
    """ST-12, WP-04: in parts, again from the first part, and the run completes under the newest snapshot."""
    worker = connect_worker()
    worker.hello()
    worker.trigger()
    run = worker.take()
    worker.start(run)
    name = run.execution.run.id
    announce(worker, name, 12)
    blocked = worker.next(Moved)
    output = msgspec.json.encode("x" * LARGE).decode()
    for _ in range(12):
        child = worker.take()
        worker.start(child)
        assert isinstance(worker.succeed(child, output), Ack)
    told = parts(worker)
    assert len(told) > 1
    assert [waited.index for waited in results(told)] == [None, *range(12)]
    assert sum(len(waited.output or "") for waited in results(told)) == 12 * len(output)
    worker.close()
    again = connect_worker()
    again.hello(HeldRun(name, blocked.snapshot))
    assert parts(again) == told
    done = Completion(ok=True, id=name, output="1")
    answer = again.ask(lambda seq: Complete(seq, name, told[-1].snapshot, done))
    assert isinstance(answer, Ack) and answer.attempt_status == "RUN_FINISHED"


def test_messages_that_are_too_much_together_have_a_frame_each() -> None:
    """ST-12: two parents may be told at the same moment."""
    small = [Leave("run_1"), Leave("run_2")]
    assert len(frames_of([*small])) == 1
    large = [Leave("x" * (FULL_FRAME // 2 + 1)) for _ in range(2)]
    frames = frames_of([*small, *large])
    assert [len(frame) < FULL_FRAME for frame in frames] == [True] * 4
    assert [msgspec.json.decode(frame, type=list[Leave | Welcome]) for frame in frames] == [
        [message] for message in (*small, *large)
    ]
    assert frames_of([]) == []

"""What a worker may say of runs, and what each message changes."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.processes import StartCommand
from tests.support.real_server import RealServer
from tests.web.worker_api.conftest import Connect, RawWorker
from trigger_lite.protocol.execution import BatchInfo, Completion, FlushedMetadata, RetryAt
from trigger_lite.protocol.metadata import Operation
from trigger_lite.protocol.run_errors import BuiltInError, ErrorCode, InternalError
from trigger_lite.protocol.worker import (
    Ack,
    Cancel,
    Credits,
    Leave,
    LogLine,
    Logs,
    Metadata,
    Refused,
    Release,
    Run,
    Start,
    Tags,
)


@pytest.fixture
def worker(connect_worker: Connect) -> RawWorker:
    """A worker that was welcomed."""
    connected = connect_worker()
    connected.hello()
    return connected


def _set(key: str, value: Any) -> Operation:
    return Operation("set", key, value)


def _in_a_batch(worker: RawWorker) -> str:
    """Trigger a run as the only item of a batch; return the batch's id."""
    with worker.server.client(worker.environment) as client:
        batch = str(client.post("/api/v3/batches", json={"runCount": 1}).json()["id"])
        item = msgspec.json.encode({"index": 0, "task": worker.task, "payload": {}})
        headers = {"content-type": "application/x-ndjson"}
        answer = client.post(f"/api/v3/batches/{batch}/items", content=item + b"\n", headers=headers)
        assert answer.status_code == 200, answer.text
    return batch


def _started(worker: RawWorker, **options: Any) -> Run:
    """Return a run that the worker has begun."""
    worker.trigger(**options)
    run = worker.take()
    assert isinstance(worker.start(run), Ack)
    return run


# --- work ---------------------------------------------------------------------------------------------------


def test_a_worker_gets_as_many_runs_as_it_has_credits(worker: RawWorker) -> None:
    ids = [worker.trigger() for _ in range(3)]
    worker.send(Credits(-5), Credits(2))
    given = [worker.next(Run) for _ in range(2)]
    assert [run.execution.run.id for run in given] == ids[:2]
    for run in given:
        worker.start(run)
        worker.succeed(run)
    assert worker.run(ids[2])["status"] == "QUEUED"
    assert worker.take().execution.run.id == ids[2]


def test_a_run_comes_with_all_that_its_code_needs(worker: RawWorker) -> None:
    run_id = worker.trigger(tags=["t"], metadata={"m": 1}, machine="micro", priority=2, maxDuration=60)
    run = worker.take().execution
    assert (run.run.id, run.run.payload, run.run.payload_type) == (run_id, "{}", "application/json")
    assert (run.run.tags, run.run.metadata, run.run.priority, run.run.max_duration) == (
        ["t"],
        {"m": 1},
        2,
        60,
    )
    assert (run.task.id, run.task.file_path, run.attempt.number) == (worker.task, "raw.py", 1)
    assert (run.machine.name, run.environment.slug, run.queue.name) == (
        "micro",
        "prod",
        f"task/{worker.task}",
    )


def test_a_run_of_a_batch_comes_with_its_batch(worker: RawWorker) -> None:
    """AT-05"""
    batch = _in_a_batch(worker)
    assert worker.take().execution.batch == BatchInfo(batch)


def test_a_start_sent_again_is_answered_alike_and_counts_once(worker: RawWorker) -> None:
    run = _started(worker)
    assert isinstance(worker.start(run), Ack)
    assert worker.run(run.execution.run.id)["attemptCount"] == 1


def test_a_completion_sent_again_is_refused_and_changes_nothing(worker: RawWorker) -> None:
    run = _started(worker)
    assert worker.succeed(run) == Ack(2, attempt_status="RUN_FINISHED")
    again = worker.succeed(run, '"another"')
    assert isinstance(again, Refused) and "not the newest" in again.error
    assert worker.run(run.execution.run.id)["output"] == "done"


def test_a_run_of_another_worker_cannot_be_started(worker: RawWorker, connect_worker: Connect) -> None:
    worker.trigger()
    run = worker.take()
    thief = connect_worker("two")
    thief.hello()
    assert isinstance(thief.start(run), Refused)
    assert isinstance(worker.start(run), Ack)


def test_a_worker_of_another_environment_cannot_touch_a_run(
    worker: RawWorker, connect_worker: Connect
) -> None:
    run = _started(worker)
    run_id = run.execution.run.id
    stranger = connect_worker("stranger", environment="dev")
    stranger.hello()
    error = BuiltInError("Error", "stolen", "")
    answers = [
        stranger.start(run),
        stranger.succeed(run),
        stranger.complete(run, Completion(ok=False, id=run_id, error=error)),
        stranger.ask(lambda seq: Metadata(seq, run_id, [_set("stolen", 1)])),
        stranger.ask(lambda seq: Tags(seq, run_id, ["stolen"])),
        stranger.ask(lambda seq: Release(seq, run_id, run.snapshot)),
    ]
    assert {(type(answer), getattr(answer, "error", "")) for answer in answers} == {
        (Refused, "Run not found")
    }
    shown = worker.run(run_id)
    assert (shown["status"], shown["tags"], "metadata" in shown) == ("EXECUTING", [], False)
    worker.succeed(run)


def test_a_run_that_was_not_started_can_be_handed_back(worker: RawWorker) -> None:
    run_id = worker.trigger()
    run = worker.take()
    assert isinstance(worker.ask(lambda seq: Release(seq, run_id, run.snapshot)), Ack)
    assert worker.run(run_id)["status"] == "QUEUED"
    again = worker.take()
    assert (again.execution.run.id, again.execution.attempt.number) == (run_id, 1)
    worker.start(again)
    assert isinstance(worker.ask(lambda seq: Release(seq, run_id, again.snapshot)), Refused)
    worker.succeed(again)


# --- ends -------------------------------------------------------------------------------------------------


def test_a_failure_that_is_tried_again_soon_stays_with_its_worker(worker: RawWorker) -> None:
    run = _started(worker)
    run_id = run.execution.run.id
    failed = Completion(
        ok=False, id=run_id, error=BuiltInError("Error", "first", ""), retry=RetryAt(timestamp=0, delay=10)
    )
    answer = worker.complete(run, failed)
    assert isinstance(answer, Ack) and answer.retry is not None
    assert (answer.attempt_status, answer.retry.attempt, answer.retry.delay_ms) == (
        "RETRY_IMMEDIATELY",
        2,
        10,
    )
    retry = answer.retry
    assert isinstance(worker.ask(lambda seq: Start(seq, run_id, retry.snapshot)), Ack)
    second = Run(retry.snapshot, retry.started_snapshot, run.execution)
    assert isinstance(worker.succeed(second), Ack)
    shown = worker.run(run_id)
    assert (shown["status"], shown["attemptCount"]) == ("COMPLETED", 2)


def test_a_failure_that_is_tried_again_later_returns_to_the_queue(worker: RawWorker) -> None:
    run = _started(worker)
    run_id = run.execution.run.id
    failed = Completion(
        ok=False, id=run_id, error=BuiltInError("Error", "x", ""), retry=RetryAt(timestamp=0, delay=3_600_000)
    )
    assert worker.complete(run, failed) == Ack(2, attempt_status="RETRY_QUEUED")
    assert worker.run(run_id)["isCompleted"] is False
    _cancel(worker, run_id)


def test_a_cancel_reaches_the_worker_and_waits_for_its_word(worker: RawWorker) -> None:
    run = _started(worker)
    run_id = run.execution.run.id
    _cancel(worker, run_id)
    cancel = worker.next(Cancel)
    assert cancel.run == run_id
    assert "finishedAt" not in worker.run(run_id)
    stale = worker.succeed(run)
    assert isinstance(stale, Refused), "the cancel moved the run on"
    late = Run(run.snapshot, cancel.snapshot, run.execution)
    assert worker.succeed(late) == Ack(3, attempt_status="RUN_FINISHED")
    shown = worker.run(run_id)
    assert (shown["status"], "finishedAt" in shown, "output" in shown) == ("CANCELED", True, False)


def test_a_cancel_is_confirmed_by_a_completion(worker: RawWorker) -> None:
    run = _started(worker)
    _cancel(worker, run.execution.run.id)
    confirmed = Run(run.snapshot, worker.next(Cancel).snapshot, run.execution)
    error = InternalError(ErrorCode.TASK_RUN_CANCELLED)
    answer = worker.complete(confirmed, Completion(ok=False, id=run.execution.run.id, error=error))
    assert answer == Ack(2, attempt_status="RUN_FINISHED")
    assert worker.run(run.execution.run.id)["error"] == {"message": "Canceled by user"}


def _cancel(worker: RawWorker, run_id: str) -> None:
    with worker.server.client() as client:
        assert client.post(f"/api/v2/runs/{run_id}/cancel").status_code == 200


# --- data -------------------------------------------------------------------------------------------------


def test_metadata_and_tags_are_kept_while_the_run_goes_on(worker: RawWorker) -> None:
    run = _started(worker, tags=["a"], metadata={"m": 1})
    run_id = run.execution.run.id
    changed = worker.ask(lambda seq: Metadata(seq, run_id, [_set("n", 2)]))
    tagged = worker.ask(lambda seq: Tags(seq, run_id, ["b", "a"]))
    assert isinstance(changed, Ack) and isinstance(tagged, Ack)
    shown = worker.run(run_id)
    assert (shown["metadata"], shown["tags"]) == ({"m": 1, "n": 2}, ["a", "b"])
    refused = worker.ask(lambda seq: Tags(seq, run_id, [str(n) for n in range(10)]))
    assert isinstance(refused, Refused) and "at most 10 tags" in refused.error
    assert worker.run(run_id)["tags"] == ["a", "b"]


def test_metadata_that_comes_with_a_completion_is_kept_even_when_that_is_stale(worker: RawWorker) -> None:
    run = _started(worker)
    run_id = run.execution.run.id
    worker.succeed(run)
    flushed = FlushedMetadata(operations=[_set("late", True)])
    stale = worker.complete(run, Completion(ok=True, id=run_id, output='"no"', flushed_metadata=flushed))
    assert isinstance(stale, Refused)
    shown = worker.run(run_id)
    assert (shown["metadata"], shown["output"]) == ({"late": True}, "done")


def test_lines_of_runs_that_are_not_this_environments_are_dropped(
    worker: RawWorker, connect_worker: Connect, server: RealServer
) -> None:
    run = _started(worker)
    run_id = run.execution.run.id
    stranger = connect_worker("stranger", environment="dev")
    stranger.hello()

    def line(run: str, message: str) -> LogLine:
        return LogLine(run, 1, 1_700_000_000_000, "LOG", "stdout", message)

    forged = stranger.ask(lambda seq: Logs(seq, [line(run_id, "forged"), line("run_unknown", "lost")]))
    own = worker.ask(
        lambda seq: Logs(seq, [line("run_unknown", "lost"), line(run_id, "a\0b " + "x" * 70_000)])
    )
    assert isinstance(forged, Ack) and isinstance(own, Ack)
    (kept,) = server.logs(run_id)
    assert kept["message"].startswith("ab xxx") and len(kept["message"]) <= 65_536
    worker.succeed(run)


# --- silence -----------------------------------------------------------------------------------------------


def test_a_worker_that_fell_silent_is_told_to_leave_its_run(
    start_command: StartCommand, tmp_path: Path, free_port: int
) -> None:
    impatient = RealServer(start_command, tmp_path, free_port, TRIGGER_LITE_RUN_TIMEOUT="1")
    impatient.start()
    with RawWorker(impatient, task="silent", worker_id="worker_1") as worker:
        assert worker.hello().heartbeat_seconds == 0.25
        run = _started(worker)
        run_id = run.execution.run.id
        assert worker.next(Leave).run == run_id
        assert isinstance(worker.succeed(run), Refused)
        assert impatient.reaches(run_id, "QUEUED")["attemptCount"] == 1
        again = worker.take()
        assert (again.execution.run.id, again.execution.attempt.number) == (run_id, 2)
        worker.start(again)
        worker.succeed(again)
        assert impatient.finished(run_id)["output"] == "done"

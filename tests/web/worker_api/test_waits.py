"""What a worker hears of runs that wait, whatever happens to its connection."""

import pytest

from tests.web.worker_api.conftest import Connect, RawWorker
from trigger_lite.protocol.execution import Completion
from trigger_lite.protocol.worker import Ack, Cancel, Complete, Heartbeat, HeldRun, Moved, Run, Version

TOKENS = "/api/v1/waitpoints/tokens"


@pytest.fixture
def worker(connect_worker: Connect) -> RawWorker:
    """A worker that was welcomed."""
    connected = connect_worker()
    connected.hello()
    return connected


def _waiting(worker: RawWorker) -> tuple[Run, str]:
    """Return a started run that waits for a token, and the token's id."""
    worker.trigger()
    run = worker.take()
    assert isinstance(worker.start(run), Ack)
    token = _post(worker, TOKENS)["id"]
    _post(worker, f"/engine/v1/runs/{run.execution.run.id}/waitpoints/tokens/{token}/wait")
    return run, token


def _post(worker: RawWorker, path: str, **body: object) -> dict[str, str]:
    with worker.server.client(worker.environment) as client:
        answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    answered: dict[str, str] = answer.json()
    return answered


def test_a_worker_hears_of_every_step_of_a_wait(worker: RawWorker) -> None:
    """WP-07, WP-08: it waits, it goes on with what was waited for; the run completes under the newest."""
    run, token = _waiting(worker)
    blocked = worker.next(Moved)
    assert (blocked.run, blocked.execution_status) == (run.execution.run.id, "EXECUTING_WITH_WAITPOINTS")
    assert blocked.snapshot > run.started_snapshot
    _post(worker, f"{TOKENS}/{token}/complete", data={"approved": True})
    resumed = worker.next(Moved)
    assert (resumed.execution_status, resumed.snapshot > blocked.snapshot) == ("EXECUTING", True)
    assert [(waited.id, waited.output) for waited in resumed.waitpoints] == [(token, '{"approved":true}')]
    done = Completion(ok=True, id=run.execution.run.id, output="1")
    answer = worker.ask(lambda seq: Complete(seq, run.execution.run.id, resumed.snapshot, done))
    assert isinstance(answer, Ack) and answer.attempt_status == "RUN_FINISHED"


def test_a_worker_that_was_away_hears_where_its_run_stands(
    worker: RawWorker, connect_worker: Connect
) -> None:
    """WP-04: the token was completed while nobody listened."""
    run, token = _waiting(worker)
    worker.close()
    _post(worker, f"{TOKENS}/{token}/complete", data="done")
    again = connect_worker()
    welcome = again.hello(HeldRun(run.execution.run.id, run.started_snapshot))
    [known] = welcome.runs
    assert known.execution_status == "EXECUTING" and known.snapshot > run.started_snapshot
    told = again.next(Moved)
    assert told.snapshot == known.snapshot
    assert [(waited.output, waited.output_type) for waited in told.waitpoints] == [("done", "text/plain")]


def test_a_heartbeat_that_names_an_older_snapshot_is_told_the_newest(worker: RawWorker) -> None:
    """HB-01: whatever got lost on the way is said again."""
    run, _ = _waiting(worker)
    first = worker.next(Moved)
    worker.send(Heartbeat([HeldRun(run.execution.run.id, run.started_snapshot)]))
    again = worker.next(Moved)
    assert again == first


def test_a_run_that_needs_a_slot_goes_on_though_its_worker_has_no_room(worker: RawWorker) -> None:
    """Q-24: the slot that another run gave back is its own, before any new run's."""
    first, token = _waiting_in_queue_of_one(worker)
    worker.trigger(queue={"name": "just-one"})
    second = worker.take()
    worker.start(second)
    _post(worker, f"{TOKENS}/{token}/complete")
    steps = [worker.next(Moved) for _ in range(2)]
    assert [step.execution_status for step in steps] == ["EXECUTING_WITH_WAITPOINTS", "QUEUED_EXECUTING"]
    worker.succeed(second)
    last = worker.next(Moved)
    assert (last.run, last.execution_status) == (first.execution.run.id, "EXECUTING")
    assert [waited.id for waited in last.waitpoints] == [token]


def _waiting_in_queue_of_one(worker: RawWorker) -> tuple[Run, str]:
    with worker.server.client() as client:
        ref = client.get("/api/v1/whoami").json()["project"]["externalRef"]
        manifest = {
            "contentHash": "with a queue",
            "tasks": [{"id": worker.task, "retry": {"maxAttempts": 1}}],
            "queues": [{"name": "just-one", "concurrencyLimit": 1}],
        }
        answer = client.post(f"/api/v1/projects/{ref}/background-workers", json={"metadata": manifest})
    worker.send(Version(answer.json()["id"]))
    worker.trigger(queue={"name": "just-one"})
    run = worker.take()
    worker.start(run)
    token = _post(worker, TOKENS)["id"]
    _post(worker, f"/engine/v1/runs/{run.execution.run.id}/waitpoints/tokens/{token}/wait")
    return run, token


def test_a_run_that_waits_can_be_cancelled(worker: RawWorker) -> None:
    """CN-03: the worker is asked to stop it, under a newer snapshot than any step of the wait."""
    run, _ = _waiting(worker)
    blocked = worker.next(Moved)
    with worker.server.client() as client:
        assert client.post(f"/api/v2/runs/{run.execution.run.id}/cancel").status_code == 200
    cancel = worker.next(Cancel)
    assert cancel.snapshot > blocked.snapshot

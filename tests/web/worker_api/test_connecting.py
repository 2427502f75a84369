"""Who is let in by the worker's door, and what a connection that begins wrong is told."""

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.real_server import RealServer
from tests.web.worker_api.conftest import Connect, RawWorker, held, open_socket, register
from trigger_lite.protocol.worker import PROTOCOL_VERSION, Ack, Credits, HeldRun, Run, Welcome

_SECONDS = 10.0


@pytest.mark.parametrize("key", [None, "tr_prod_unknown", ""])
def test_a_key_that_is_not_known_is_refused_before_the_connection(
    server: RealServer, key: str | None
) -> None:
    with pytest.raises(InvalidStatus) as refused, open_socket(server, key):
        raise AssertionError("it was let in")
    assert refused.value.response.status_code == 401
    assert "API key" in json.loads(refused.value.response.body or b"")["error"]


def _hello(version: str, **changes: Any) -> str:
    hello = {
        "type": "hello",
        "protocol": PROTOCOL_VERSION,
        "workerId": "w",
        "name": "n",
        "versionId": version,
    }
    return json.dumps([{**hello, **changes}])


@pytest.mark.parametrize(
    ("first", "code", "said"),
    [
        (lambda _: "not JSON", 1007, "JSON"),
        (lambda _: "{}", 1007, "array"),
        (lambda _: '[{"type": "nonsense"}]', 1007, "nonsense"),
        (lambda _: '[{"type": "hello"}]', 1007, "protocol"),
        (lambda _: "[" * 100_000, 1007, ""),
        (lambda _: "[]", 1008, "The first message must be hello"),
        (lambda _: '[{"type": "credits", "count": 1}]', 1008, "The first message must be hello"),
        (lambda _: b"[]", 1008, "A frame must be text, not bytes"),
        (lambda version: _hello(version, protocol=99), 1008, "This server speaks worker protocol 1"),
        (lambda _: _hello("worker_unknown"), 1008, "'worker_unknown' is not registered in this environment"),
    ],
)
def test_a_connection_that_begins_wrong_is_closed_with_the_reason(
    server: RealServer, first: Callable[[str], str | bytes], code: int, said: str
) -> None:
    version = register(server, "resize")
    with open_socket(server, server.key()) as socket:
        socket.send(first(version))
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(_SECONDS)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, said in closed.value.rcvd.reason) == (code, True), closed.value.rcvd
    assert server.process.is_running and "Traceback" not in server.process.output


def test_a_version_of_another_environment_is_not_known(server: RealServer) -> None:
    version = register(server, "resize", environment="dev")
    with open_socket(server, server.key("prod")) as socket:
        socket.send(_hello(version))
        with pytest.raises(ConnectionClosed, match="is not registered in this environment"):
            socket.recv(_SECONDS)


def test_a_worker_is_welcomed_and_told_how_often_to_beat(connect_worker: Connect) -> None:
    assert connect_worker().hello() == Welcome(heartbeat_seconds=15.0, runs=[])


def test_nonsense_in_the_middle_closes_the_connection_and_loses_no_run(connect_worker: Connect) -> None:
    first = connect_worker()
    first.hello()
    run_id = first.trigger()
    run = first.take()
    first.start(run)
    first.socket.send("nonsense")
    with pytest.raises(ConnectionClosed):
        first.next(Run)
    second = connect_worker()
    (known,) = second.hello(held(run)).runs
    assert (known.run, known.execution_status, known.attempt) == (run_id, "EXECUTING", 1)
    second.succeed(run)
    assert second.run(run_id)["output"] == "done"


# --- coming back ------------------------------------------------------------------------------------------


def test_a_run_that_never_arrived_returns_to_its_place_in_line(connect_worker: Connect) -> None:
    first = connect_worker()
    first.hello()
    run_id = first.trigger()
    first.take()
    first.close()
    second = connect_worker()
    assert second.hello().runs == []
    again = second.take()
    assert (again.execution.run.id, again.execution.attempt.number) == (run_id, 1)
    second.start(again)
    second.succeed(again)
    assert second.run(run_id)["attemptCount"] == 1


def test_a_run_on_its_way_to_a_worker_that_says_goodbye_is_given_to_another_at_once(
    connect_worker: Connect,
) -> None:
    """HB-10, LK-08: nobody waits until it is missed, and no delivery is counted."""
    with connect_worker("one") as first:
        first.hello()
        run_id = first.trigger()
        run = first.take()
        assert run.execution.run.id == run_id
    second = connect_worker("two", version_id=first.version_id)
    second.hello()
    again = second.take()
    assert (again.execution.run.id, again.execution.attempt.number) == (run_id, 1)
    assert isinstance(second.start(again), Ack)


def test_a_run_of_a_worker_whose_connection_broke_is_kept_for_it(connect_worker: Connect) -> None:
    """HB-08, HB-09: it may have begun, and come back."""
    first = connect_worker("one")
    first.hello()
    run_id = first.trigger()
    run = first.take()
    first.socket.socket.shutdown(socket.SHUT_RDWR)
    other = connect_worker("two", version_id=first.version_id)
    other.hello()
    other.send(Credits(1))
    back = connect_worker("one", version_id=first.version_id)
    welcome = back.hello(HeldRun(run_id, run.snapshot))
    assert [known.run for known in welcome.runs] == [run_id]
    assert isinstance(back.start(run), Ack)


def test_runs_that_are_over_or_were_never_there_are_not_welcomed(connect_worker: Connect) -> None:
    first = connect_worker()
    first.hello()
    first.trigger()
    run = first.take()
    first.start(run)
    first.succeed(run)
    first.close()
    second = connect_worker()
    unknown = HeldRun("run_unknown", "snapshot_unknown")
    assert second.hello(held(run), unknown).runs == []


def test_a_run_that_was_cancelled_meanwhile_is_shown_as_such(connect_worker: Connect) -> None:
    first = connect_worker()
    first.hello()
    run_id = first.trigger()
    run = first.take()
    first.start(run)
    first.close()
    _cancel(first, run_id)
    (known,) = connect_worker().hello(held(run)).runs
    assert (known.execution_status, known.snapshot != run.started_snapshot) == ("PENDING_CANCEL", True)


def _cancel(worker: RawWorker, run_id: str) -> None:
    with worker.server.client() as client:
        assert client.post(f"/api/v2/runs/{run_id}/cancel").status_code == 200


def test_the_newer_of_two_connections_of_one_worker_gets_the_runs(connect_worker: Connect) -> None:
    older = connect_worker()
    older.hello()
    newer = connect_worker()
    newer.hello()
    run_id = newer.trigger()
    older.send(Credits(1))
    assert newer.take().execution.run.id == run_id
    older.close()
    other_id = newer.trigger()
    assert newer.take().execution.run.id == other_id

"""The worker's socket: what it refuses, what it survives, and that no answer is lost or made up."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from tests.support.serving import Serving, WireWorker, serving
from trigger_lite.protocol import worker
from trigger_lite.protocol.execution import Completion, FlushedMetadata
from trigger_lite.protocol.metadata import Operation
from trigger_lite.store.query import Query
from trigger_lite.store.transaction import Tx


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Serving]:
    async with serving(tmp_path) as running:
        yield running


def _line(run: str, message: str, **more: object) -> worker.LogLine:
    plain = {"run": run, "attempt": 1, "at": 1_790_000_000_000, "level": "INFO", "source": "stdout"}
    return msgspec.convert({**plain, "message": message, **more}, worker.LogLine)


async def _take(server: Serving, played: WireWorker, payload: object = None) -> worker.Run:
    """Trigger a run and return it as the worker is sent it."""
    await server.trigger("resize", payload)
    await played.send(worker.Credits(1))
    return await played.receive(worker.Run)


def _end(run: worker.Run, *, output: str = "1") -> Completion:
    return Completion(ok=True, id=run.execution.run.id, output=output, output_type="application/json")


# ---- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        pytest.param("[]", 1008, id="nothing said"),
        pytest.param('[{"type": "credits", "count": 1}]', 1008, id="no hello"),
        pytest.param("[", 1007, id="no JSON"),
        pytest.param('[{"type": "unheard"}]', 1007, id="unknown message"),
        pytest.param('[{"type": "hello", "x": ' + "[" * 100_000 + "]" * 100_000 + "}]", 1007, id="too deep"),
        pytest.param(b"[]", 1008, id="bytes"),
        pytest.param(
            '[{"type": "hello", "protocol": 1, "workerId": "worker 1", "name": "", "versionId": "x"}]',
            1007,
            id="no name of a worker",
        ),
        pytest.param(
            '[{"type": "hello", "protocol": 9, "workerId": "worker_1", "name": "", "versionId": "x"}]',
            1008,
            id="another protocol",
        ),
        pytest.param(
            '[{"type": "hello", "protocol": 1, "workerId": "worker_1", "name": "", "versionId": "\\u0000"}]',
            1008,
            id="unknown version",
        ),
    ],
)
async def test_a_connection_that_begins_wrong_is_closed_with_a_reason(
    server: Serving, caplog: pytest.LogCaptureFixture, frame: str | bytes, code: int
) -> None:
    async with server.socket() as socket:
        await socket.send(frame)
        assert await WireWorker(socket).closed() == code
        assert socket.close_reason
    assert "Traceback" not in caplog.text


async def test_a_frame_that_is_no_message_ends_the_connection_and_nothing_else(
    server: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    version = await server.register("resize")
    async with server.worker(version) as played:
        await played.socket.send("[" * 100_000)
        assert await played.closed() == 1007
    async with server.worker(version) as played:
        assert (await _take(server, played)).execution.task.id == "resize"
    assert "Traceback" not in caplog.text


# ---- what is out of bounds ----------------------------------------------------------------------------


async def test_lines_with_values_out_of_bounds_are_kept_within_them(server: Serving) -> None:
    version = await server.register("resize")
    deep: dict[str, object] = {}
    for _ in range(300):
        deep = {"in": deep}
    async with server.worker(version) as played:
        run = (await _take(server, played)).execution.run.id
        lines = [
            _line(run, "late", at=2**70, attempt=2**40),
            _line(run, "early", at=-(2**70), attempt=-1),
            _line(run, "long", attributes={"text": "x" * 100_000}),
            _line(run, "large", attributes={"number": 2**70}),
            _line(run, "deep", attributes=deep),
            _line(run, "x" * 100_000, attributes={"a": 1}),
        ]
        await played.send(worker.Logs(1, lines))
        assert (await played.receive(worker.Ack)).seq == 1
    shown = (await server.call("GET", f"/api/v1/runs/{run}/logs"))["lines"]
    assert [line["message"][:5] for line in shown] == ["late", "early", "long", "large", "deep", "xxxxx"]
    assert (shown[0]["at"], shown[0]["attempt"]) == (253_402_300_799_999, 250)
    assert (shown[1]["at"], shown[1]["attempt"]) == (0, 0)
    assert [line.get("attributes") for line in shown] == [None] * 5 + [{"a": 1}]
    assert len(shown[5]["message"]) == worker.MAX_LOG_BYTES


async def test_metadata_that_cannot_be_stored_is_refused_and_the_next_message_taken(server: Serving) -> None:
    version = await server.register("resize")
    path = "$." + ".".join("a" * 5_000)
    async with server.worker(version) as played:
        run = await _take(server, played)
        await played.send(
            worker.Metadata(1, run.execution.run.id, [Operation("set", path, 1)]),
            worker.Metadata(2, run.execution.run.id, [Operation("set", "steps", 2**62)]),
            worker.Metadata(3, run.execution.run.id, [Operation("increment", "steps", 2**62)]),
            worker.Metadata(4, run.execution.run.id, [Operation("increment", "steps", 2**62)]),
        )
        assert (await played.receive(worker.Refused)).seq == 1
        assert [(await played.receive(worker.Ack)).seq for _ in range(3)] == [2, 3, 4]
    assert (await server.run(run.execution.run.id))["metadata"]["steps"] == 3 * 2**62


# ---- order --------------------------------------------------------------------------------------------


async def test_what_a_run_printed_is_on_disk_before_its_end(server: Serving) -> None:
    """Whoever follows the log stops at the end; lines that came later would never be seen."""
    version = await server.register("resize")
    async with server.worker(version) as played:
        for _ in range(20):
            run = await _take(server, played)
            name = run.execution.run.id
            following = asyncio.create_task(
                server.call("GET", f"/api/v1/runs/{name}/wait", params={"seconds": 10, "since": ""})
            )
            await played.send(
                worker.Start(1, name, run.snapshot),
                worker.Logs(2, [_line(name, f"line {n}") for n in range(200)]),
                worker.Complete(3, name, run.started_snapshot, _end(run)),
            )
            while (await following)["status"] != "COMPLETED":
                following = asyncio.create_task(server.call("GET", f"/api/v1/runs/{name}/wait?seconds=10"))
            log = await server.call("GET", f"/api/v1/runs/{name}/logs", params={"limit": 1000})
            assert (len(log["lines"]), log["finished"]) == (200, True)


async def test_lines_of_runs_known_and_unknown_stay_in_their_order(server: Serving) -> None:
    """After a reconnect the first lines are of a run that must be looked up."""
    version = await server.register("resize")
    async with server.worker(version) as played:
        run = (await _take(server, played)).execution.run.id
    async with server.worker(version) as played:
        messages = [worker.Logs(n, [_line(run, str(n))]) for n in range(40)]
        await played.send(*messages)
        assert sorted([(await played.receive(worker.Ack)).seq for _ in messages]) == list(range(40))
    shown = (await server.call("GET", f"/api/v1/runs/{run}/logs"))["lines"]
    assert [line["message"] for line in shown] == [str(n) for n in range(40)]


async def test_lines_of_another_environments_run_are_dropped(server: Serving) -> None:
    version = await server.register("resize")
    await server.register("resize", environment="dev")
    other = await server.trigger("resize", environment="dev")
    async with server.worker(version) as played:
        await played.send(worker.Logs(1, [_line(other, "forged"), _line("run_nowhere", "forged")]))
        assert (await played.receive(worker.Ack)).seq == 1
    log = await server.call("GET", f"/api/v1/runs/{other}/logs", environment="dev")
    assert log["lines"] == []


async def test_an_inbox_of_one_takes_a_completion_with_its_metadata(tmp_path: Path) -> None:
    async with serving(tmp_path, inbox=1) as server:
        version = await server.register("resize")
        async with server.worker(version) as played:
            run = await _take(server, played)
            name = run.execution.run.id
            flushed = FlushedMetadata(operations=[Operation("set", "a", 1)])
            completion = msgspec.structs.replace(_end(run), flushed_metadata=flushed)
            await played.send(
                worker.Start(1, name, run.snapshot),
                worker.Complete(2, name, run.started_snapshot, completion),
            )
            assert [(await played.receive(worker.Ack)).seq for _ in range(2)] == [1, 2]
        assert (await server.run(name))["metadata"] == {"a": 1}


# ---- a database out of order -----------------------------------------------------------------------------


class FullDisk:
    """Lets the state database grow no more, until the block ends."""

    def __init__(self, server: Serving) -> None:
        self._store = server.services.store

    async def __aenter__(self) -> None:
        pages = await self._store.write(lambda tx: tx.first(Query("PRAGMA page_count", int)) or 0)
        await self._limit(pages)

    async def __aexit__(self, *_: object) -> None:
        await self._limit(1_000_000)

    async def _limit(self, pages: int) -> None:
        def limit(tx: Tx) -> None:
            tx.all(Query(f"PRAGMA max_page_count = {pages}", int))

        await self._store.write(limit)


async def test_a_result_that_found_the_disk_full_is_sent_again_and_kept(server: Serving) -> None:
    """Answered neither with yes nor with no: a refusal would make the worker forget what is not stored."""
    version = await server.register("resize")
    output = msgspec.json.encode("x" * 1_000_000).decode()
    async with server.worker(version) as played:
        run = await _take(server, played)
        name = run.execution.run.id
        await played.send(worker.Start(1, name, run.snapshot))
        assert (await played.receive(worker.Ack)).seq == 1
        complete = worker.Complete(2, name, run.started_snapshot, _end(run, output=output))
        async with FullDisk(server):
            await played.send(complete)
            assert await played.closed() == 1013
            assert played.received == []
    held = [worker.HeldRun(name, run.started_snapshot)]
    async with server.worker(version, runs=held) as played:
        await played.send(complete)
        assert (await played.receive(worker.Ack)).attempt_status == "RUN_FINISHED"
    assert len((await server.run(name))["output"]) == 1_000_000


async def test_what_follows_a_message_that_was_not_stored_is_not_refused_for_want_of_it(
    server: Serving,
) -> None:
    """A start that failed makes its completion stale; the worker must hear of neither."""
    version = await server.register("resize")
    async with server.worker(version) as played:
        run = await _take(server, played)
        name = run.execution.run.id
        big = Operation("set", "a", "x" * 200_000)
        messages = [
            worker.Metadata(1, name, [big]),
            worker.Start(2, name, run.snapshot),
            worker.Complete(3, name, run.started_snapshot, _end(run)),
        ]
        async with FullDisk(server):
            await played.send(*messages[:2])
            await played.send(messages[2])
            assert await played.closed() == 1013
            assert not [m for m in played.received if isinstance(m, worker.Refused)]
    async with server.worker(version, runs=[worker.HeldRun(name, run.snapshot)]) as played:
        await played.send(*messages)
        assert sorted([(await played.receive(worker.Ack)).seq for _ in messages]) == [1, 2, 3]
    assert (await server.run(name))["status"] == "COMPLETED"


# ---- two connections ----------------------------------------------------------------------------------


async def test_a_worker_that_connects_again_is_served_over_the_new_connection_only(server: Serving) -> None:
    version = await server.register("resize")
    async with server.worker(version) as old:
        await old.send(worker.Credits(5))
        async with server.worker(version) as new:
            await new.send(worker.Credits(1))
            run = await server.trigger("resize")
            assert (await new.receive(worker.Run)).execution.run.id == run
        assert old.received == []

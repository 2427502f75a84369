"""Starting, standing by and stopping: in order, in time, and nothing is left behind."""

import asyncio
import shlex
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.support.postgres import Cluster
from tests.support.processes import Process, trigger_lite_command
from tests.support.serving import SECONDS, Serving, serving
from trigger_lite.config import Settings
from trigger_lite.protocol import worker
from trigger_lite.server import serve_async
from trigger_lite.store.database import DatabaseUnusable
from trigger_lite.store.folder import DataFolder, FolderUnusable
from trigger_lite.store.query import Query


def _settings(folder: Path, port: int, **more: object) -> Settings:
    return Settings(data=folder, port=port, **more)  # type: ignore[arg-type]


# ---- the stop --------------------------------------------------------------------------------------


async def test_the_stop_answers_who_waits_and_lets_go_of_workers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A long poll of half a minute, the log of a run and an idle worker hold up nothing."""
    async with serving(tmp_path) as server:
        version = await server.register("resize")
        run = await server.trigger("resize")
        async with server.worker(version) as played:
            path = f"/api/v1/runs/{run}"
            updated = (await server.run(run))["updatedAt"]
            polls = [
                asyncio.create_task(server.call("GET", f"{path}/wait?seconds=30&since={updated}")),
                asyncio.create_task(server.call("GET", f"{path}/logs?wait=30")),
            ]
            await _until_they_wait(server, 2)
            began = time.monotonic()
            server.stop.set()
            async with asyncio.timeout(SECONDS):
                shown, log = await asyncio.gather(*polls)
            assert (shown["status"], log["finished"]) == ("QUEUED", False)
            assert await played.closed() == 1012
    assert time.monotonic() - began < 2
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def _until_they_wait(server: Serving, count: int) -> None:
    async with asyncio.timeout(SECONDS):
        while sum(len(events) for events in server.services.watch.waiting.values()) < count:
            await server.services.store.read(lambda tx: tx.now)


async def test_a_result_in_flight_at_the_stop_is_kept(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        version = await server.register("resize")
        run = await server.trigger("resize")
        async with server.worker(version) as played:
            await played.send(worker.Credits(1))
            given = await played.receive(worker.Run)
            await played.send(worker.Start(1, run, given.snapshot))
            await played.receive(worker.Ack)
            server.stop.set()
            await played.closed()
    async with serving(tmp_path) as server:
        held = [worker.HeldRun(run, given.started_snapshot)]
        async with server.worker(version, runs=held) as played:
            assert (await server.run(run))["status"] == "EXECUTING"


# ---- a start that fails -------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["trigger.db", "telemetry.db"])
async def test_a_start_that_fails_half_way_leaves_nothing_open(
    tmp_path: Path, free_port: int, broken: str
) -> None:
    data = DataFolder(tmp_path / "data")
    data.prepare()
    (data.path / broken).write_text("this is no database, and long enough to be taken for one" * 20)
    with pytest.raises(DatabaseUnusable, match=broken):
        await serve_async(_settings(data.path, free_port), ready=lambda _info: None)
    for thread in threading.enumerate():
        if thread.name == "store-writer":
            thread.join(SECONDS)
            assert not thread.is_alive()
    data.lock()
    data.unlock()
    with socket.socket() as again:
        again.bind(("127.0.0.1", free_port))


@pytest.mark.parametrize(
    "url", ["postgresql://me:hidden@host:port/name", "postgresql://me:hidden@[::1/name", "postgresql://"]
)
async def test_a_database_url_that_is_none_is_refused_without_showing_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(DatabaseUnusable) as refused:
        await serve_async(_settings(tmp_path, 0, database_url=url), ready=lambda _info: None)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("blocked", ["lock", "secret", "connection.json", "secret.new"])
async def test_a_file_of_the_folder_that_cannot_be_used_is_named(tmp_path: Path, blocked: str) -> None:
    (tmp_path / blocked).mkdir()
    with pytest.raises(FolderUnusable, match=f"{blocked.removesuffix('.new')} cannot be"):
        await serve_async(_settings(tmp_path, 0), ready=lambda _info: None)


def test_a_disk_without_room_for_a_database_is_said_in_one_line(tmp_path: Path, free_port: int) -> None:
    serve = shlex.join([*trigger_lite_command(), "serve", "--port", str(free_port), "--data", "data"])
    no_cache = {"PYTHONDONTWRITEBYTECODE": "1"}  # else the limit would cut off what other tests import
    command = ["sh", "-c", f"ulimit -f 8; exec {serve}"]
    with Process(command, directory=tmp_path, environment=no_cache) as process:
        assert process.wait_for_exit() == 2
    assert len(process.lines) == 1 and process.lines[0].startswith("Error: The "), process.output


async def test_a_body_that_breaks_off_is_no_defect(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(tmp_path) as server:
        head = f"POST /api/v1/tasks/a/trigger HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {server.key()}\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
        writer.write(f"{head}content-length: 1000\r\nexpect: 100-continue\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 100")
        writer.write(b"{")
        writer.close()
        await writer.wait_closed()
        await server.trigger("resize")
    assert "Traceback" not in caplog.text


# ---- two servers ------------------------------------------------------------------------------------


@pytest.mark.postgres
async def test_a_second_server_stands_by_says_so_and_takes_over(
    postgres_cluster: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with postgres_cluster.database() as url:
        began, stop = asyncio.Event(), asyncio.Event()
        async with serving(tmp_path, database_url=url) as first:
            second = asyncio.create_task(
                serve_async(
                    _settings(tmp_path / "second", 0, database_url=url),
                    ready=lambda _info: began.set(),
                    stop=stop,
                )
            )
            async with asyncio.timeout(SECONDS):
                while "stands by" not in caplog.text:
                    await first.run(await first.trigger("resize"))
            assert not began.is_set()
        async with asyncio.timeout(SECONDS):
            await began.wait()
            stop.set()
            assert await second == 0


@pytest.mark.postgres
async def test_a_server_that_stands_by_can_be_stopped(
    postgres_cluster: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with postgres_cluster.database() as url:
        stop = asyncio.Event()
        async with serving(tmp_path, database_url=url) as first:
            settings = _settings(tmp_path / "second", 0, database_url=url)
            second = asyncio.create_task(serve_async(settings, ready=lambda _info: None, stop=stop))
            async with asyncio.timeout(SECONDS):
                while "stands by" not in caplog.text:
                    await first.run(await first.trigger("resize"))
                stop.set()
                assert await second == 0


@pytest.mark.postgres
async def test_a_server_that_lost_its_database_for_a_moment_goes_on(
    postgres_cluster: Cluster, tmp_path: Path
) -> None:
    """What was committed when the connection broke was announced to nobody: it is looked up again."""
    with postgres_cluster.database() as url:
        async with serving(tmp_path, database_url=url, start_timeout=0.5) as server:
            version = await server.register("resize")
            run = await server.trigger("resize")
            await server.services.store.write(lambda tx: tx.all(_CLAIMED_UNHEARD))
            async with server.client() as client:
                await _break_connections(server)
                async with asyncio.timeout(SECONDS):
                    while (await client.get(f"/api/v3/runs/{run}")).status_code != 200:
                        await _nudge(client)
                async with server.worker(version) as played:
                    await played.send(worker.Credits(1))
                    assert (await played.receive(worker.Run)).execution.run.id == run


# Leaves a run as a claim does whose answer was lost on the way.
_CLAIMED_UNHEARD = Query(
    """UPDATE run SET execution_status = 'PENDING_EXECUTING', status = 'DEQUEUED', queued = 0, holds_slot = 1,
         worker_id = 'worker_gone' RETURNING id""",
    str,
)


async def _break_connections(server: Serving) -> None:
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    with pytest.raises(Exception, match="out of order"):
        await server.services.store.write(lambda tx: tx.all(Query(kill, bool)))


async def _nudge(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/tasks/other/trigger", json={})
    assert answer.status_code in (200, 503)

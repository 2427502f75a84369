"""Batches whose sender or server fails in the middle."""

import http.client
import json
import signal
import time
from pathlib import Path
from typing import Any

from tests.journeys.batches.conftest import write_jobs
from tests.support.processes import StartCommand
from tests.support.real_server import RealServer

COUNT = 300
ND = {"content-type": "application/x-ndjson"}


def lines(folder: Path) -> list[bytes]:
    """The items: each run leaves a mark of its own in the folder."""
    items = [
        {"index": n, "task": "leaves_a_mark", "payload": {"folder": str(folder), "number": n}}
        for n in range(COUNT)
    ]
    return [json.dumps(item).encode() + b"\n" for item in items]


def announce(server: RealServer) -> str:
    with server.client() as client:
        return str(client.post("/api/v3/batches", json={"runCount": COUNT}).json()["id"])


def begin_stream(server: RealServer, batch: str, pieces: list[bytes]) -> http.client.HTTPConnection:
    """Send some pieces of a body whose end does not come."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)
    connection.putrequest("POST", f"/api/v3/batches/{batch}/items")
    for name, value in {
        "authorization": f"Bearer {server.key()}",
        "transfer-encoding": "chunked",
        **ND,
    }.items():
        connection.putheader(name, value)
    connection.endheaders()
    for piece in pieces:
        connection.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    return connection


def send(server: RealServer, batch: str, body: bytes) -> dict[str, Any]:
    with server.client() as client:
        answer = client.post(f"/api/v3/batches/{batch}/items", content=body, headers=ND)
    assert answer.status_code == 200, answer.text
    taken: dict[str, Any] = answer.json()
    return taken


def batch_when(server: RealServer, batch: str, *, received: int = 0, finished: int = 0) -> dict[str, Any]:
    """Return a batch once so many of its items came and so many of its runs are over."""
    deadline = time.monotonic() + 30
    with server.client() as client:
        while time.monotonic() < deadline:
            found: dict[str, Any] = client.get(f"/api/v2/batches/{batch}").json()
            if found["received"] >= received and found["finished"] >= finished:
                return found
    raise AssertionError(f"{found['received']} of {received} received, {found['finished']} over")


def marks(folder: Path) -> dict[int, list[str]]:
    """The runs that left a mark, by number."""
    return {int(file.name): file.read_text().split() for file in folder.iterdir()}


def test_a_stream_that_broke_is_sent_again_whole(server: RealServer, tmp_path: Path) -> None:
    """BA-02, BA-04: runs begin while items arrive; in the end each item ran once."""
    batch = announce(server)
    sent = lines(tmp_path)
    # The last piece ends in the middle of an item.
    connection = begin_stream(server, batch, [b"".join(sent[:100]), sent[100][:20]])
    batch_when(server, batch, received=100, finished=100)
    connection.close()
    taken = send(server, batch, b"".join(sent))
    assert (taken["itemsAccepted"], taken["itemsDeduplicated"], taken["sealed"]) == (200, 100, True)
    found = batch_when(server, batch, finished=COUNT)
    assert found["status"] == "COMPLETED"
    assert marks(tmp_path) == {number: [run] for number, run in enumerate(found["runs"])}
    assert send(server, batch, b"".join(sent))["itemsAccepted"] == 0


def test_a_batch_survives_the_end_of_its_server(
    start_command: StartCommand, tmp_path: Path, free_port: int
) -> None:
    """BA-04, LK-04: what was taken before is on disk; the rest is sent to the next server."""
    server = RealServer(start_command, tmp_path, free_port)
    server.start()
    folder = tmp_path / "marks"
    folder.mkdir()
    server.start_worker(write_jobs(tmp_path), "--concurrency", "2")
    batch = announce(server)
    sent = lines(folder)
    connection = begin_stream(server, batch, [b"".join(sent[:150])])
    batch_when(server, batch, received=150)
    server.process.send(signal.SIGKILL)
    server.process.wait_for_exit()
    connection.close()
    server.start()
    taken = send(server, batch, b"".join(sent))
    assert taken["sealed"] and taken["itemsAccepted"] == COUNT - 150
    found = batch_when(server, batch, finished=COUNT)
    assert (found["status"], len(set(found["runs"]))) == ("COMPLETED", COUNT)
    assert set(marks(folder)) == set(range(COUNT))

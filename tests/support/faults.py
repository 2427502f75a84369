"""What goes wrong around a server: its disk fills up, takes no writes, or its database does not answer."""

import errno
import os
import resource
import shlex
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.support.processes import Process, StartCommand, trigger_lite_command
from tests.support.real_server import RealServer

SECONDS: Final = 30.0
_NAMESPACE: Final = ("unshare", "--mount", "--map-root-user")


def on_a_small_disk(command: str, mount_point: Path, *, megabytes: int, **environment: str) -> Process:
    """Start a shell command that alone sees a disk of this size at `mount_point`; its folder is above that.

    Skips where that is not allowed.
    """
    probe = subprocess.run([*_NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True)
    if probe.returncode != 0:
        pytest.skip("this machine's kernel forbids to mount a disk of one's own, even in a namespace")
    mount_point.mkdir()
    mount = f"mount -t tmpfs -o size={megabytes}m,mode=0700 none {shlex.quote(str(mount_point))}"
    whole = [*_NAMESPACE, "sh", "-c", f"{mount} && {command}"]
    return Process(whole, directory=mount_point.parent, environment=environment)


def on_small_disk(start_command: StartCommand, folder: Path, port: int, *, megabytes: int) -> RealServer:
    """Return a server that has its data on a disk of its own, of this size, and is started."""

    def start(*arguments: str | Path, directory: Path = folder, **environment: str) -> Process:
        if arguments[0] != "serve":
            return start_command(*arguments, directory=directory, **environment)
        serve = shlex.join([*trigger_lite_command(), *(str(argument) for argument in arguments)])
        return on_a_small_disk(f"exec {serve}", folder / "data", megabytes=megabytes, **environment)

    server = RealServer(start, folder, port)
    server.start()
    server.data = Path(f"/proc/{server.process.pid}/root{server.data}")
    return server


@contextmanager
def full_disk(server: RealServer) -> Iterator[None]:
    """Fill the disk of a server to its last byte."""
    filler = server.data / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            _fill(file.fileno(), size)
    try:
        yield
    finally:
        filler.unlink()


def _fill(descriptor: int, size: int) -> None:
    try:
        while True:
            os.write(descriptor, b"\0" * size)
    except OSError as error:
        assert error.errno == errno.ENOSPC, error


@contextmanager
def unwritable_files(server: RealServer) -> Iterator[None]:
    """Let every write of a server to a file fail, as on a disk that was made read-only."""
    before = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def locked_database(server: RealServer) -> Iterator[None]:
    """Keep a server's database locked, as one whose commit does not come to an end does."""
    with closing(sqlite3.connect(server.data / "trigger.db", isolation_level=None, timeout=SECONDS)) as other:
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")


@contextmanager
def reading_database(url: str, _server: RealServer) -> Iterator[None]:
    """Let a PostgreSQL database only read, for everyone who connects from now on; who is connected is not."""
    name = url.rpartition("/")[2]
    _execute(url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    _execute(url, _END_CONNECTIONS)
    try:
        yield
    finally:
        _execute(url, f"ALTER DATABASE {name} RESET default_transaction_read_only")
        _execute(url, _END_WRITERS)


@contextmanager
def stopped_database(url: str, _server: RealServer) -> Iterator[None]:
    """Stop the processes of PostgreSQL that write for a server: they neither answer nor hang up."""
    writers = [pid for (pid,) in _execute(url, _WRITERS)]
    assert writers
    for pid in writers:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in writers:
            os.kill(pid, signal.SIGCONT)


# The one writer of each database holds an advisory lock.
_WRITERS: Final = """SELECT pid FROM pg_locks WHERE locktype = 'advisory'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
_END_WRITERS: Final = f"SELECT pg_terminate_backend(pid) FROM ({_WRITERS}) AS writers"
_END_CONNECTIONS: Final = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""


def _execute(url: str, statement: str) -> list[Any]:
    import psycopg

    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        connection.execute("SET default_transaction_read_only = off")
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


# ---- what the server says meanwhile -------------------------------------------------------------------


def triggered(client: httpx.Client, payload: Any = None) -> httpx.Response:
    """Trigger once; what was accepted before the fault was noticed is answered when it is over."""
    return client.post("/api/v1/tasks/echo/trigger", json={"payload": payload}, timeout=120)


def until(what: str, is_so: Callable[[], bool], *, seconds: float = SECONDS) -> None:
    """Ask until it is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"


def is_ready(client: httpx.Client) -> bool:
    return client.get("/readyz").status_code == 200

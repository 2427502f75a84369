"""A private PostgreSQL cluster for one test process: made, started, and gone with it."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from scripts.system_packages import find_postgresql
from tests.support.processes import Account, Process, clean_environment

_OWNER: Final = "trigger"
# Nothing here must survive a power cut, so nothing waits for the disk.
_SETTINGS: Final = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "shared_buffers=32MB",
    "max_connections=60",
)


@dataclass(frozen=True)
class Cluster:
    """A running server that takes connections on loopback."""

    port: int
    _numbers: Iterator[int] = field(default_factory=lambda: count(1), repr=False)

    @contextmanager
    def database(self) -> Iterator[str]:
        """Yield the URL of a new, empty database that is dropped afterwards."""
        name = f"test_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name}")
        try:
            yield f"postgresql://{_OWNER}@127.0.0.1:{self.port}/{name}"
        finally:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        import psycopg

        address = f"postgresql://{_OWNER}@127.0.0.1:{self.port}/postgres"
        with psycopg.connect(address, autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement.encode())


@contextmanager
def cluster(port: int) -> Iterator[Cluster]:
    """Make a cluster in a temporary folder, serve it on `port`, and remove it at the end."""
    programs = find_postgresql()
    assert programs is not None, "find_postgresql() was asked before"
    account = _account()
    # Not pytest's folder: a Unix socket's path must be short, and other accounts may not enter that one.
    folder = Path(tempfile.mkdtemp(prefix="tl-pg-"))
    try:
        if account:
            os.chown(folder, account.user, account.group)
        _initialise(programs, folder, account)
        with _serving(programs, folder, port=port, account=account):
            yield Cluster(port)
    finally:
        shutil.rmtree(folder)


def _account() -> Account | None:
    """Return who must own the server: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    raise AssertionError("PostgreSQL does not run as root, and there is no account postgres or nobody")


def _initialise(programs: Path, folder: Path, account: Account | None) -> None:
    options = ["--auth=trust", f"--username={_OWNER}", "--encoding=UTF8", "--no-locale", "--no-sync"]
    finished = subprocess.run(
        [programs / "initdb", "--pgdata", folder / "data", *options],
        cwd=folder,
        env=clean_environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        user=account.user if account else None,
        group=account.group if account else None,
        extra_groups=[] if account else None,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


@contextmanager
def _serving(programs: Path, folder: Path, *, port: int, account: Account | None) -> Iterator[None]:
    address = ("listen_addresses=127.0.0.1", f"port={port}", f"unix_socket_directories={folder}")
    options = [part for setting in (*address, *_SETTINGS) for part in ("-c", setting)]
    command = [str(programs / "postgres"), "-D", str(folder / "data"), *options]
    with Process(command, directory=folder, account=account) as server:
        server.wait_for_line("ready to accept connections", seconds=30)
        yield
        _stop(server)


def _stop(server: Process) -> None:
    # SIGINT is PostgreSQL's fast shutdown: it ends open sessions instead of waiting for them.
    server.send(signal.SIGINT)
    server.wait_for_exit(seconds=30)

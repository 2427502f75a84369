"""What a server or a command refuses to start with: one line, exit code 2, nothing changed."""

import re
import socket
import sqlite3
import sys
from pathlib import Path

import pytest

from tests.support.processes import AS_ORDINARY, Process, StartCommand, trigger_lite_command
from tests.support.real_server import RealServer


def refusal(process: Process, *, code: int = 2) -> str:
    """Return the one line that a command refuses with."""
    assert process.wait_for_exit() == code, process.output
    assert len(process.lines) == 1, process.output
    assert process.lines[0].startswith("Error: ")
    return process.lines[0].removeprefix("Error: ")


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["serve", "--prot", "3040"], "No such option '--prot'. Did you mean '--port'?"),
        (["serve", "--run-timout", "5"], "No such option '--run-timout'. Did you mean '--run-timeout'?"),
        (["sevre"], "No such command 'sevre'. Did you mean 'serve'?"),
        (["serve", "--port", "many"], "--port is 'many', but must be a whole number"),
        (["serve", "--log-level", "warn"], "'warn' is not a level; did you mean 'warning'?"),
        (["serve", "--run-timeout", "0"], "--run-timeout is 0, but must be at least 0.1"),
    ],
)  # fmt: skip
def test_an_unknown_option_or_value_is_named_with_the_nearest(
    start_command: StartCommand, tmp_path: Path, arguments: list[str], wanted: str
) -> None:
    assert refusal(start_command(*arguments)).endswith(wanted)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("variable", "value", "wanted"),
    [
        ("TRIGGER_LITE_PROT", "1", "TRIGGER_LITE_PROT is not a setting; did you mean TRIGGER_LITE_PORT?"),
        ("TRIGGER_LITE_PORT", "x", "TRIGGER_LITE_PORT is 'x', but must be a whole number"),
        ("TRIGGER_LITE_LOG_LEVEL", "loud", "but must be one of debug, info, warning, error"),
    ],
)  # fmt: skip
def test_an_unknown_setting_is_named_with_the_nearest(
    start_command: StartCommand, tmp_path: Path, variable: str, value: str, wanted: str
) -> None:
    line = refusal(start_command("serve", directory=tmp_path, **{variable: value}))
    assert line.startswith(variable) and line.endswith(wanted), line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("port", ["65536", "99999999"])
def test_a_port_that_cannot_be_is_refused(start_command: StartCommand, tmp_path: Path, port: str) -> None:
    assert refusal(start_command("serve", "--port", port)) == f"--port is {port}, but must be at most 65535"
    assert not list(tmp_path.iterdir())


def test_a_port_in_use_is_refused_before_anything_is_made(server: RealServer, free_port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port))
        taken.listen()
        line = refusal(server.start(wait=False))
    assert line == f"127.0.0.1:{free_port} is in use by another program. Choose another with --port."
    assert not server.data.exists()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_an_address_of_another_machine_is_refused(server: RealServer, host: str) -> None:
    line = refusal(server.start("--host", host, wait=False))
    assert re.match(rf"Cannot listen on {host}:\d+: .*[^.]\. Choose another with --host\.$", line), line
    assert not server.data.exists()


def test_a_data_folder_that_is_not_writable_is_refused(tmp_path: Path, free_port: int) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o555)
    command: list[str | Path] = [*trigger_lite_command(), "serve", "--port", str(free_port), "--data", data]
    with Process([sys.executable, "-c", AS_ORDINARY, *command], directory=tmp_path) as process:
        wanted = f"The data folder {data} is not writable. Change its owner, or choose one with --data."
        assert refusal(process) == wanted
    data.chmod(0o755)
    assert not list(data.iterdir())


def test_a_data_folder_that_cannot_be_made_is_refused(server: RealServer) -> None:
    server.data.write_text("a file, not a folder")
    line = refusal(server.start(wait=False))
    assert line.startswith(f"The data folder {server.data} cannot be made:")
    assert line.endswith("Choose another with --data.")
    assert server.data.read_text() == "a file, not a folder"


@pytest.mark.parametrize(("file", "table"), [("trigger.db", "state"), ("telemetry.db", "telemetry")])
def test_a_data_folder_of_a_newer_version_is_refused_and_left_alone(
    server: RealServer, file: str, table: str
) -> None:
    server.start()
    server.process.stop()
    with sqlite3.connect(server.data / file) as database:
        database.execute(f"INSERT INTO {table}_migration VALUES (9999, '9999_of_the_future')")
    before = list(database.iterdump())
    line = refusal(server.start(wait=False))
    assert line == (
        "The database has the schema change '9999_of_the_future', which this version does not know. "
        "Run the newer trigger-lite that made it, or restore a backup from before."
    )
    assert list(database.iterdump()) == before
    database.close()


def test_a_data_folder_that_is_served_already_is_refused(
    server: RealServer, start_command: StartCommand
) -> None:
    server.start()
    line = refusal(start_command("serve", "--port", "0", "--data", server.data))
    assert re.fullmatch(
        rf"The data folder {server.data} is already served by another process \(pid \d+\)\. "
        r"Stop that one first, or choose another folder with --data\.",
        line,
    ), line
    with server.client() as client:
        assert client.get("/readyz").json() == {"status": "ready"}


def test_a_folder_of_tasks_that_is_not_there_is_refused_before_anything_is_made(server: RealServer) -> None:
    line = refusal(server.start("jbos", wait=False))
    assert line == "There is no folder 'jbos'; name the folder that holds your tasks"
    assert not server.data.exists()

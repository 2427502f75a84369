"""`trigger-lite doctor`: what it looks at, what it says, what it puts right, and when it does not."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Outcome, RunCommand, refusal
from tests.support.builders import a_run, a_started_run, a_task, a_token, a_version, wait_for
from tests.support.harness import Harness, harness
from tests.support.postgres import Cluster
from trigger_lite.server import STATE_LEASE, TELEMETRY_LEASE
from trigger_lite.store.database import Database, PostgresDatabase, SqliteDatabase
from trigger_lite.store.folder import DataFolder
from trigger_lite.store.migrate import migrate


@contextmanager
def changing(state: Database, telemetry: Database) -> Iterator[Harness]:
    """Both databases, brought up to date as a server's start does, and the engine over one of them."""
    connection = telemetry.connect()
    migrate(connection, telemetry.dialect, "telemetry")
    connection.close()
    with harness(state) as engine:
        engine.now = time.time_ns() // 1_000_000
        yield engine


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data folder of a server that is stopped, with a run in each state that has rows elsewhere."""
    folder = DataFolder(tmp_path / "trigger-lite-data")
    folder.prepare()
    folder.lock()
    folder.secret()
    folder.unlock()
    state = SqliteDatabase(folder.state, synchronous="OFF")
    with changing(state, SqliteDatabase(folder.telemetry, synchronous="OFF")) as engine:
        fill(engine)
    return folder.path


def fill(engine: Harness) -> None:
    a_version(engine, a_task(queue={"concurrencyLimit": 5}))
    wait_for(engine, a_started_run(engine), a_token(engine))
    a_started_run(engine), a_run(engine), a_run(engine, delay="1h")


def change(data: Path, *statements: str) -> None:
    with closing(sqlite3.connect(data / "trigger.db")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def looked(outcome: Outcome) -> dict[str, Any]:
    """What --json said, check by check."""
    return {check["name"]: check for check in json.loads(outcome.out)["checks"]}


def found(run: RunCommand, *arguments: str) -> list[str]:
    """The names of the checks that found something."""
    outcome = run("doctor", "--json", *arguments)
    names = [name for name, check in looked(outcome).items() if not check["ok"]]
    assert outcome.code == int(bool(names)), outcome
    return names


# ---- a sound one ------------------------------------------------------------------------------------


def test_a_sound_installation_is_said_to_be_one(run: RunCommand, data: Path) -> None:
    outcome = run("doctor")
    first, *checks, _, last = outcome.out.splitlines()
    assert (outcome.code, outcome.err) == (0, "")
    assert first == "No server runs on it now."
    assert all(line.startswith("✓ ") for line in checks), outcome.out
    assert last == f"All {len(checks)} checks are well."


def test_looking_changes_nothing(run: RunCommand, data: Path) -> None:
    before = (data / "trigger.db").read_bytes()
    assert found(run) == []
    assert (data / "trigger.db").read_bytes() == before


# ---- what is found ----------------------------------------------------------------------------------

_DAMAGE = {
    "slots of environments": "UPDATE environment SET held = held + 1 WHERE slug = 'prod'",
    "lanes": "UPDATE lane SET waiting = 99",
    "places in line": "UPDATE run SET lane_id = 'lane_gone' WHERE queued = 1",
    "waits that are over": "UPDATE waitpoint SET status = 'COMPLETED', completed_at = 1",
    "marks of runs": "UPDATE run SET holds_slot = 1 WHERE execution_status = 'DELAYED'",
}


@pytest.mark.parametrize("name", [name for name in _DAMAGE if name != "marks of runs"])
def test_what_can_be_put_right_is_said_and_put_right_by_fix(run: RunCommand, data: Path, name: str) -> None:
    change(data, _DAMAGE[name])
    outcome = run("doctor")
    (line,) = [line for line in outcome.out.splitlines() if line.startswith(f"✗ {name}  ")]
    assert outcome.code == 1 and line.partition(name)[2].split()[0] == "1", line
    assert "--fix: " in outcome.out
    assert outcome.out.splitlines()[-1] == "Run 'trigger-lite doctor --fix' to put right what can be."
    fixed = run("doctor", "--fix")
    assert (fixed.code, "✗" in fixed.out) == (0, False), fixed.out
    assert found(run) == []


def test_what_cannot_be_put_right_is_said_with_what_to_do(run: RunCommand, data: Path) -> None:
    change(data, _DAMAGE["marks of runs"])
    outcome = run("doctor", "--fix")
    assert outcome.code == 1
    assert "next: keep a copy of the data folder and report it" in outcome.out
    assert "'trigger-lite doctor --fix'" not in outcome.out


def test_programs_are_told_count_examples_and_remedy(run: RunCommand, data: Path) -> None:
    change(data, _DAMAGE["places in line"])
    check = looked(run("doctor", "--json"))["places in line"]
    assert check.pop("examples")[0].startswith("run_")
    assert check == {
        "name": "places in line",
        "ok": False,
        "text": "runs wait in a lane that does not exist",
        "count": 1,
        "remedy": "put them in line again, at their old places",
        "isFixable": True,
    }


def test_files_that_others_may_read_are_found_and_closed(run: RunCommand, data: Path) -> None:
    data.chmod(0o755)
    (data / "secret").chmod(0o644)
    assert looked(run("doctor", "--json"))["permissions"]["examples"] == [str(data), str(data / "secret")]
    assert run("doctor", "--fix").code == 0
    assert (data.stat().st_mode & 0o777, (data / "secret").stat().st_mode & 0o777) == (0o700, 0o600)


def test_a_clock_that_is_behind_the_data_is_found(run: RunCommand, data: Path) -> None:
    ahead = (time.time_ns() // 1_000_000) + 3_600_000
    change(data, f"UPDATE run SET updated_at = {ahead}")
    assert found(run) == ["clock"]
    assert "from now" in looked(run("doctor", "--json"))["clock"]["text"]


@pytest.mark.parametrize(
    ("statement", "text", "remedy"),
    [
        ("DELETE FROM state_migration WHERE number = 2", "an older version wrote it", "start the server"),
        ("INSERT INTO state_migration VALUES (99, '99_later')", "a newer version wrote it", "the newer"),
    ],
)
def test_a_database_of_another_version_is_said_and_its_rows_are_left_alone(
    run: RunCommand, data: Path, statement: str, text: str, remedy: str
) -> None:
    change(data, statement)
    checks = looked(run("doctor", "--json"))
    assert checks["state schema"]["text"] == text and remedy in checks["state schema"]["remedy"]
    assert "lanes" not in checks


def test_a_newer_database_is_not_touched_by_fix(run: RunCommand, data: Path) -> None:
    change(data, "INSERT INTO state_migration VALUES (99, '99_later')")
    assert "which this version does not know" in refusal(run("doctor", "--fix"))


def test_a_damaged_file_is_found(run: RunCommand, data: Path) -> None:
    size = (data / "trigger.db").stat().st_size
    with (data / "trigger.db").open("r+b") as file:
        for offset in range(4096 * 8, size, 4096 * 3):
            file.seek(offset)
            file.write(b"\xff" * 64)
    outcome = run("doctor", "--json")
    if outcome.code == 1:
        check = looked(outcome)["state database"]
        assert not check["ok"] and "backup" in check["remedy"]
    else:
        assert "cannot be read" in refusal(outcome)


def test_data_over_its_size_is_found(run: RunCommand, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIGGER_LITE_KEEP_DATA", "0.1MB")
    assert found(run) == ["size of the data"]
    monkeypatch.setenv("TRIGGER_LITE_KEEP_DATA", "much")
    assert "TRIGGER_LITE_KEEP_DATA is 'much'" in refusal(run("doctor"))


# ---- beside a server --------------------------------------------------------------------------------


@pytest.fixture
def served(data: Path) -> Iterator[Path]:
    """The folder, taken as a server takes it."""
    folder = DataFolder(data)
    folder.lock()
    yield data
    folder.unlock()


def test_an_installation_that_is_served_is_looked_at_and_left_alone(run: RunCommand, served: Path) -> None:
    change(served, _DAMAGE["lanes"])
    outcome = run("doctor")
    assert outcome.code == 1
    assert outcome.out.splitlines()[0].startswith("A server runs on it (pid ")
    assert outcome.out.splitlines()[-1].startswith("Stop the server, then run")
    refused = refusal(run("doctor", "--fix"))
    assert refused.startswith("A server runs on this installation (pid ") and "Stop it first" in refused
    assert found(run) == ["lanes"]


def test_what_is_overdue_is_a_finding_only_where_a_server_should_have_done_it(
    run: RunCommand, data: Path
) -> None:
    change(data, "UPDATE run SET delay_until = 1 WHERE execution_status = 'DELAYED'")
    assert found(run) == []
    folder = DataFolder(data)
    folder.lock()
    assert found(run) == ["delays"]
    folder.unlock()


# ---- what cannot be looked at -------------------------------------------------------------------------


def test_a_folder_that_is_none_is_refused(run: RunCommand, tmp_path: Path) -> None:
    assert refusal(run("doctor")).startswith("trigger-lite-data is no data folder of a server")
    assert not list(tmp_path.iterdir())


def test_a_database_that_cannot_be_reached_is_refused(run: RunCommand, free_port: int) -> None:
    url = f"postgresql://me:hidden@127.0.0.1:{free_port}/none"
    refused = refusal(run("doctor", "--database-url", url))
    assert refused.startswith("The database cannot be read") and "hidden" not in refused


# ---- PostgreSQL -------------------------------------------------------------------------------------


@pytest.mark.postgres
def test_a_database_at_a_url_is_looked_at_and_put_right(run: RunCommand, postgres_cluster: Cluster) -> None:
    with postgres_cluster.database() as url:
        state = PostgresDatabase(url, lease=STATE_LEASE)
        with changing(state, PostgresDatabase(url, lease=TELEMETRY_LEASE)) as engine:
            fill(engine)
            assert found(run, "--database-url", url) == []
            engine.change("UPDATE lane SET waiting = 99")
            assert found(run, "--database-url", url) == ["lanes"]
            assert "Stop it first" in refusal(run("doctor", "--fix", "--database-url", url))
        assert run("doctor", "--fix", "--database-url", url).code == 0
        assert found(run, "--database-url", url) == []

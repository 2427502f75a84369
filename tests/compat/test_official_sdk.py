"""The unmodified npm packages of Trigger.dev against a real server and a Python worker."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from scripts.system_packages import NODE
from tests.support.processes import Process
from tests.support.real_server import RealServer, running_server

pytestmark = pytest.mark.journey
_SDK: Final = Path(__file__).parent / "sdk"
_INSTALL_SECONDS: Final = 300
_TASKS: Final = """
import os
import threading
from typing import TypedDict

from trigger_lite import Fire, schedules, task


class Counted(TypedDict):
    count: int


@task
def echo(payload):
    return payload


@task
def fail(payload):
    raise ValueError("it failed on purpose")


@task
def hold(payload):
    threading.Event().wait()


@task
def crash(payload):
    os._exit(7)


@task
def typed(payload: Counted) -> int:
    return payload["count"]


@task
def kinds(payload):
    return {name: type(value).__name__ for name, value in payload.items()}


@schedules.task
def nightly(fire: Fire):
    return fire.external_id
"""


def _names() -> list[str]:
    """Return the checks that the files hold; those made in a loop stand there once."""
    text = "\n".join(
        (_SDK / name).read_text()
        for name in re.findall(r'import "\./(\w+\.mjs)"', (_SDK / "main.mjs").read_text())
    )
    looped = re.findall(
        r'^  (?:"([^"]+)"|(\w+)): ', text.partition("const VALUES = {")[2].partition("};")[0], re.M
    )
    values = [f"payload: {quoted or plain}" for quoted, plain in looped]
    return values + re.findall(r'^check\("([^"]+)"', text, re.M)


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checks with the SDK installed from the lock."""
    reason = NODE.missing()
    if reason is not None:
        pytest.skip(reason)
    copy = tmp_path_factory.mktemp("sdk") / "sdk"
    shutil.copytree(_SDK, copy, ignore=shutil.ignore_patterns("node_modules"))
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    installed = subprocess.run(
        command, cwd=copy, env=os.environ, capture_output=True, text=True, timeout=_INSTALL_SECONDS
    )
    if installed.returncode != 0:
        pytest.skip(f"npm could not install the official SDK: {installed.stderr.strip()}")
    return copy


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, _ports: Iterator[int]) -> Iterator[RealServer]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "jobs").mkdir()
    (folder / "jobs" / "tasks.py").write_text(_TASKS)
    with running_server(folder, next(_ports)) as running:
        running.start_worker(folder / "jobs")
        yield running


@pytest.fixture(scope="module")
def outcomes(sdk: Path, server: RealServer) -> dict[str, dict[str, Any]]:
    """How each check came out, by its name."""
    environment = {"TRIGGER_API_URL": server.url, "TRIGGER_SECRET_KEY": server.key()}
    with Process(["node", "main.mjs"], directory=sdk, environment=environment) as checks:
        assert checks.wait_for_exit(seconds=110) == 0, checks.output
        lines = [json.loads(line) for line in checks.lines if line.startswith("{")]
    return {line["name"]: line for line in lines}


def test_every_check_was_made(outcomes: dict[str, dict[str, Any]]) -> None:
    assert sorted(outcomes) == sorted(_names())


@pytest.mark.parametrize("name", _names())
def test_the_official_sdk_finds(name: str, outcomes: dict[str, dict[str, Any]]) -> None:
    assert outcomes[name]["ok"], outcomes[name].get("error")


def test_the_lock_names_no_address() -> None:
    lock = json.loads((_SDK / "package-lock.json").read_text())
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
    assert {lock["packages"][f"node_modules/@trigger.dev/{name}"]["version"] for name in ("sdk", "core")} == {
        "4.8.3"
    }

"""What every test may ask for: a database of either kind, a free port, a real command, a browser."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from scripts.system_packages import CHROMIUM, FAKETIME, POSTGRESQL, SystemPackage
from tests.support import ports, postgres
from tests.support.machine_clock import MachineClock
from tests.support.processes import Process, StartCommand, trigger_lite_command

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FORBIDDEN: Final = "this machine's kernel forbids"
"""How the reason begins of a test that no installation of anything would let run here."""
_DATABASES: Final = {"sqlite": ("sqlite",), "postgres": ("postgres",), "both": ("sqlite", "postgres")}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=sorted(_DATABASES),
        default="both",
        help="on which database tests with a `database_url` run (default: both)",
    )
    parser.addoption(
        "--model-steps",
        type=int,
        default=4_000,
        help="random steps of the model of the engine on each database (default: 4000)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test that uses a database, directly or through another fixture, on each kind."""
    used = {"database_url", "database_kind"} & set(metafunc.fixturenames)
    if not used:
        return
    marks = {"postgres": [pytest.mark.postgres], "sqlite": []}
    kinds = _DATABASES[metafunc.config.getoption("--database")]
    parameters = [pytest.param(kind, marks=marks[kind]) for kind in kinds]
    metafunc.parametrize(used.pop(), parameters, indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs more than Python by where it lies or what it uses, so that no test forgets to."""
    for item in items:
        if "journeys" in item.path.parts:
            item.add_marker(pytest.mark.journey)
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI=true a skipped test is a failed one, but for what the machine's kernel forbids to anybody."""
    report = yield
    forbidden = FORBIDDEN in str(report.longrepr)
    if (
        os.environ.get("CI") == "true"
        and report.skipped
        and not hasattr(report, "wasxfail")
        and not forbidden
    ):
        report.outcome = "failed"
        report.longrepr = f"With CI=true nothing may be skipped: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """With CI=true a file that skips itself whole has failed, too."""
    report = yield
    if os.environ.get("CI") == "true" and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"With CI=true nothing may be skipped: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def _ports() -> Iterator[int]:
    return ports.free_ports()


@pytest.fixture
def free_port(_ports: Iterator[int]) -> int:
    """A loopback port on which nothing listens and that no other test is given."""
    return next(_ports)


@pytest.fixture(scope="session")
def postgres_cluster(_ports: Iterator[int]) -> Iterator[postgres.Cluster]:
    """A PostgreSQL server of this test process's own."""
    _require(POSTGRESQL)
    with postgres.cluster(next(_ports)) as running:
        yield running


@pytest.fixture
def database_kind(request: pytest.FixtureRequest) -> str:
    """`sqlite` or `postgres`, for fixtures that keep a database of their own from test to test."""
    kind: str = request.param
    return kind


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a new, empty database; the test runs once for each kind that `--database` names."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'trigger.db'}"
        return
    running: postgres.Cluster = request.getfixturevalue("postgres_cluster")
    with running.database() as url:
        yield url


@pytest.fixture
def start_command(tmp_path: Path) -> Iterator[StartCommand]:
    """Start the real `trigger-lite` with these arguments; whatever still runs is ended after the test.

    The test fails when a command that it stopped itself left a process behind.
    """
    started: list[Process] = []

    def start(*arguments: str | Path, directory: Path = tmp_path, **environment: str) -> Process:
        process = Process([*trigger_lite_command(), *arguments], directory=directory, environment=environment)
        started.append(process)
        return process

    yield start
    for process in reversed(started):
        if process.is_running:
            process.stop()
        process.assert_nothing_left()


@pytest.fixture
def machine_clock(tmp_path: Path) -> MachineClock:
    """A clock of the machine that only the processes see that are given its environment."""
    _require(FAKETIME)
    return MachineClock(tmp_path)


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """A headless Chromium. Tests that use it are not `async`."""
    _require(CHROMIUM)
    from tests.support.browser import chromium

    with chromium() as running:
        yield running


@pytest.fixture
def browser_page(browser: "Browser") -> "Iterator[Page]":
    """A page with a profile of its own; the test fails on script errors and requests to other hosts."""
    from tests.support.browser import watched_page

    with watched_page(browser) as page:
        yield page


def _require(package: SystemPackage) -> None:
    reason = package.missing()
    if reason is not None:
        pytest.skip(reason)

import json
from collections.abc import Callable

import click
import pytest

from trigger_lite.cli.worker_lines import DevPrinter, JsonPrinter, ProblemPrinter, WorkerPrinter
from trigger_lite.worker.events import (
    Disconnected,
    DuplicateTask,
    ImportFailed,
    LogPrinted,
    Problem,
    Reconnected,
    Registered,
    Reloaded,
    ReloadFailed,
    RunFinished,
    RunStarted,
    Stopping,
    WorkerEvent,
)

RUN = "run_06fd3vk2m8q1s0t9u4abcdef"
CANCELED = "trigger.dev internal error (TASK_RUN_CANCELLED)"


def _finished(error: str | None = None) -> RunFinished:
    return RunFinished(RUN, "resize", 1, 1.25, error)


def _lines(*events: WorkerEvent, retries: bool = True) -> list[str]:
    """Return what the printer of `dev` writes, without colours and times."""
    written: list[str] = []
    printer = DevPrinter(written.append, retries=retries)
    for event in events:
        printer.notice(event)
    return [click.unstyle(line)[len("12:00:00 ") :] for line in written]


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Registered("20261123.1", ("a", "b")), "2 tasks ready as version 20261123.1: a, b"),
        (RunStarted(RUN, "resize", 1), f"▶ resize·cdef  {RUN}"),
        (RunStarted(RUN, "resize", 2), f"▶ resize·cdef  attempt 2  {RUN}"),
        (_finished(), "✓ resize·cdef completed in 1.2s"),
        (_finished("away"), "✗ resize·cdef attempt 1 failed after 1.2s: away"),
        (_finished(CANCELED), "– resize·cdef cancelled after 1.2s"),
        (LogPrinted(RUN, "resize", "LOG", "stdout", "50 %\x1b[2J"), "│ resize·cdef 50 % [2J"),
        (LogPrinted(RUN, "resize", "WARN", "log", "careful"), "│ resize·cdef WARN  careful"),
        (ImportFailed("jobs/a.py", 3, "NameError: x"), "✗ jobs/a.py:3: NameError: x"),
        (
            DuplicateTask("a", "jobs/a.py:1", "jobs/b.py:2"),
            "✗ Two tasks have the id 'a': jobs/a.py:1 and jobs/b.py:2; give one of them another id",
        ),
        (ReloadFailed("refused"), "✗ not reloaded, the version before stays (refused)"),
        (Disconnected("it is away", 2.0), "no connection (it is away); trying again in 2.0s"),
        (Reconnected(3), "connected again, 3 results sent again"),
        (Stopping(0, 30.0), "stopping"),
        (Stopping(2, 30.0), "stopping: 2 runs may finish within 30s; Ctrl-C again ends them now"),
        (Problem("something"), "something"),
    ],
)
def test_each_event_is_one_line(event: WorkerEvent, line: str) -> None:
    assert _lines(event) == [line]


def test_a_reload_says_what_is_new_and_what_is_gone() -> None:
    lines = _lines(Registered("1", ("a", "b")), Reloaded("2", ("b", "c")), Reloaded("3", ("b", "c")))
    assert lines[1:] == ["↻ reloaded as version 2 (new: c; gone: a)", "↻ reloaded as version 3"]


def test_a_failed_import_is_not_told_twice() -> None:
    failure = ImportFailed("jobs/a.py", 3, "NameError: x")
    assert _lines(failure, ReloadFailed(str(failure)))[1] == "✗ not reloaded; the version before stays"


def test_the_first_failure_says_once_that_dev_makes_no_retries() -> None:
    lines = _lines(_finished(CANCELED), _finished("away"), _finished("away"), retries=False)
    assert [("No attempt is made again in dev" in line) for line in lines] == [False, True, False]


def test_a_worker_prints_twenty_runs_a_second_and_counts_the_rest() -> None:
    written: list[str] = []
    planned: list[Callable[[], None]] = []
    printer = WorkerPrinter(
        written.append, seconds=lambda: 7.0, later=lambda _, function: planned.append(function)
    )
    for number in range(50):
        printer.notice(RunStarted(RUN, "resize", 1))
        printer.notice(_finished("away" if number % 10 == 9 else None))
    assert len(written) == 20
    (tell,) = planned
    tell()
    assert click.unstyle(written[-1]).endswith("… and 27 completed, 3 failed")


def test_a_quiet_worker_prints_problems_alone() -> None:
    written: list[str] = []
    printer = ProblemPrinter(written.append)
    for event in (RunStarted(RUN, "resize", 1), _finished("away"), Problem("something")):
        printer.notice(event)
    assert [click.unstyle(line)[9:] for line in written] == ["something"]


def test_events_for_programs_are_one_object_a_line() -> None:
    written: list[str] = []
    printer = JsonPrinter(written.append)
    printer.notice(_finished("away"))
    printer.notice(LogPrinted(RUN, "resize", "LOG", "stdout", "not here"))
    (line,) = (json.loads(line) for line in written)
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": "RunFinished",
        "run": RUN,
        "task": "resize",
        "attempt": 1,
        "seconds": 1.25,
        "error": "away",
    }

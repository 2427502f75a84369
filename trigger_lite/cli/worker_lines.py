"""What `worker` and `dev` print of a worker's life: one line for each thing that happened."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import click
import msgspec

from trigger_lite.cli.log_lines import level_text
from trigger_lite.cli.output import dim, printable, reason_text
from trigger_lite.cli.times import spoken_seconds
from trigger_lite.protocol.run_errors import ErrorCode
from trigger_lite.worker.events import (
    Connected,
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
    WorkerObserver,
)

_NO_RETRIES: Final = """
         No attempt is made again in dev. To have that, write in trigger.toml:  [dev]  retries = true"""
_LINES_PER_SECOND: Final = 20
_SHOWN_TASKS: Final = 12
_LEVELS_WORTH_A_WORD: Final = frozenset({"DEBUG", "TRACE", "WARN", "ERROR"})
Print = Callable[[str], None]
Clock = Callable[[], float]
Later = Callable[[float, Callable[[], None]], object]


def print_line(line: str) -> None:
    """Print a line at once, also into a pipe; colours are left out where nobody wants them."""
    click.echo(line)


def call_later(seconds: float, function: Callable[[], None]) -> None:
    """Call a function later, in the worker's event loop: a thread would be in the way of its forks."""
    import asyncio

    asyncio.get_running_loop().call_later(seconds, function)


class DevPrinter(WorkerObserver):
    """Prints each run's whole life: start, every line it prints, end.

    `retries` tells whether failed attempts are made again; if not, the first failure says how to have that.
    """

    def __init__(self, write: Print = print_line, *, retries: bool = True) -> None:
        self._write = write
        self._hint = "" if retries else _NO_RETRIES
        self._tasks: frozenset[str] = frozenset()
        self._last_fault = ""

    def notice(self, event: WorkerEvent) -> None:
        match event:
            case RunStarted():
                attempt = f"  attempt {event.attempt}" if event.attempt > 1 else ""
                name = f"{_run_name(event.task, event.run)}{attempt}"
                text = f"{click.style('▶', fg='cyan')} {name}  {dim(event.run)}"
            case RunFinished():
                text = _finished(event) + self._hint_once(event)
            case LogPrinted():
                text = _printed(event)
            case Registered():
                text = f"{_count(event.tasks)} ready as version {event.version}: {_names(event.tasks)}"
                self._tasks = frozenset(event.tasks)
            case Reloaded():
                text = (
                    f"{click.style('↻', fg='cyan')} reloaded as version {event.version}{self._changes(event)}"
                )
                self._tasks = frozenset(event.tasks)
            case ReloadFailed() if event.reason == self._last_fault:
                text = f"{_cross()} not reloaded; the version before stays"
            case _:
                text = worker_text(event)
        if isinstance(event, ImportFailed | DuplicateTask):
            self._last_fault = str(event)
        if text:
            self._write(f"{_now()} {text}")

    def _hint_once(self, event: RunFinished) -> str:
        if event.error is None or is_cancellation(event.error):
            return ""
        hint, self._hint = self._hint, ""
        return hint

    def _changes(self, event: Reloaded) -> str:
        new, gone = set(event.tasks) - self._tasks, self._tasks - set(event.tasks)
        parts = ([f"new: {_names(sorted(new))}"] if new else []) + (
            [f"gone: {_names(sorted(gone))}"] if gone else []
        )
        return f" ({'; '.join(parts)})" if parts else ""


class WorkerPrinter(WorkerObserver):
    """Prints how runs end, at most twenty lines a second: what is more is counted and told a second later.

    `seconds` is a clock, and `later` calls a function after some seconds.
    """

    def __init__(
        self, write: Print = print_line, *, seconds: Clock = time.monotonic, later: Later = call_later
    ) -> None:
        self._write = write
        self._seconds = seconds
        self._later = later
        self._second = -1
        self._printed = 0
        self._counted: Counter[str] = Counter()

    def notice(self, event: WorkerEvent) -> None:
        if isinstance(event, RunStarted | LogPrinted):
            return  # the dashboard and `trigger-lite logs` have them
        if isinstance(event, RunFinished):
            self._finished(event)
        elif text := worker_text(event):
            self._write(f"{_now()} {text}")

    def _finished(self, event: RunFinished) -> None:
        second = int(self._seconds())
        if second != self._second:
            self._second, self._printed = second, 0
        self._printed += 1
        if self._printed <= _LINES_PER_SECOND:
            self._write(f"{_now()} {_finished(event)}  {dim(event.run)}")
            return
        if not self._counted:
            self._later(1.0, self._tell_counted)
        self._counted[_outcome(event)] += 1

    def _tell_counted(self) -> None:
        counted, self._counted = self._counted, Counter()
        parts = [f"{count:,} {what}" for what, count in sorted(counted.items())]
        self._write(f"{_now()} {dim('… and ' + ', '.join(parts))}")


class ProblemPrinter(WorkerObserver):
    """Prints what is not about single runs, and nothing of those."""

    def __init__(self, write: Print = print_line) -> None:
        self._write = write

    def notice(self, event: WorkerEvent) -> None:
        if text := worker_text(event):
            self._write(f"{_now()} {text}")


class JsonPrinter(WorkerObserver):
    """Prints every event but log lines as one JSON object a line."""

    def __init__(self, write: Print = print_line) -> None:
        self._write = write

    def notice(self, event: WorkerEvent) -> None:
        if not isinstance(event, LogPrinted):
            fields = {name: value for name, value in msgspec.to_builtins(event).items() if value is not None}
            line = {"time": _utc(), "event": fields.pop("type"), **fields}
            if isinstance(event, RunFinished):
                line["seconds"] = round(event.seconds, 6)
            self._write(msgspec.json.encode(line).decode())


def worker_text(event: WorkerEvent) -> str:
    """Return the line for an event that is not about a single run; empty when it says nothing new."""
    match event:
        case Registered():
            return f"registered {_count(event.tasks)} as version {event.version}: {_names(event.tasks)}"
        case Reloaded():
            return f"reloaded as version {event.version}: {_names(event.tasks)}"
        case ImportFailed():
            return f"{_cross()} {_place(event)}: {printable(event.message)}"
        case DuplicateTask():
            return f"{_cross()} {printable(str(event))}"
        case ReloadFailed():
            return f"{_cross()} not reloaded, the version before stays ({printable(event.reason)})"
        case Disconnected():
            wait = spoken_seconds(event.retry_seconds)
            return click.style(
                f"no connection ({printable(event.reason)}); trying again in {wait}", fg="yellow"
            )
        case Reconnected():
            return f"connected again{f', {event.resent} results sent again' if event.resent else ''}"
        case Connected():
            return "connected; waiting for runs"
        case Stopping():
            return _stopping(event)
        case Problem():
            return click.style(printable(event.message), fg="yellow")
        case _:
            return ""


def is_cancellation(error: str) -> bool:
    """Tell whether an attempt's error says that somebody cancelled the run."""
    return ErrorCode.TASK_RUN_CANCELLED in error


def _place(event: ImportFailed) -> str:
    return click.style(printable(f"{event.file}:{event.line}"), bold=True)


def _stopping(event: Stopping) -> str:
    if not event.running:
        return "stopping"
    noun = "run" if event.running == 1 else "runs"
    return f"stopping: {event.running} {noun} may finish within {event.grace:g}s; Ctrl-C again ends them now"


def _finished(event: RunFinished) -> str:
    name, took = _run_name(event.task, event.run), spoken_seconds(event.seconds)
    if event.error is None:
        return f"{click.style('✓', fg='green')} {name} completed in {took}"
    if is_cancellation(event.error):
        return f"{click.style('–', fg='yellow')} {name} cancelled after {took}"
    return f"{_cross()} {name} attempt {event.attempt} failed after {took}: {reason_text(event.error)}"


def _outcome(event: RunFinished) -> str:
    if event.error is None:
        return "completed"
    return "cancelled" if is_cancellation(event.error) else "failed"


def _printed(event: LogPrinted) -> str:
    word = f"{level_text(event.level)} " if event.level in _LEVELS_WORTH_A_WORD else ""
    return f"{dim('│')} {dim(_run_name(event.task, event.run))} {word}{printable(event.message)}"


def _run_name(task: str, run: str) -> str:
    """Return the task, and enough of the run's id to tell runs at the same time apart."""
    return f"{printable(task)}·{run[-4:]}"


def _names(tasks: "tuple[str, ...] | list[str]") -> str:
    shown = ", ".join(printable(task) for task in tasks[:_SHOWN_TASKS])
    return f"{shown} and {len(tasks) - _SHOWN_TASKS} more" if len(tasks) > _SHOWN_TASKS else shown or "none"


def _count(tasks: tuple[str, ...]) -> str:
    return "1 task" if len(tasks) == 1 else f"{len(tasks)} tasks"


def _cross() -> str:
    return click.style("✗", fg="red")


def _now() -> str:
    return dim(time.strftime("%H:%M:%S"))


def _utc() -> str:
    from trigger_lite.protocol.times import iso

    return iso(time.time_ns() // 1_000_000)

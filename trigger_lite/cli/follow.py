"""Following one run until it is over: its state and its newest log line, as they change."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import click
import msgspec

from trigger_lite.cli.api import POLL_SECONDS, Api
from trigger_lite.cli.live_line import LiveLine
from trigger_lite.cli.output import cut, dim, printable, reason_text, status_text
from trigger_lite.cli.times import seconds_between, spoken_seconds
from trigger_lite.protocol.runs import RunDetail

_TICK: Final = 0.1
_SPINNER: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_SHOWN_METADATA: Final = 4
_LONGEST_VALUE: Final = 30
_WAITS_FOR: Final = {
    "PENDING_VERSION": "no worker offers this task yet",
    "QUEUED": "in the queue",
    "DELAYED": "not yet due",
}


class _News(msgspec.Struct, frozen=True):
    """What one of the two watching threads saw."""

    run: RunDetail | None = None
    line: str | None = None
    error: Exception | None = None


def follow_run(api: Api, run_id: str) -> RunDetail:
    """Show a run's progress on stderr until it is over, and return it.

    Raises BadInput or CommandFailed when the server cannot be asked any longer.
    """
    news: queue.SimpleQueue[_News] = queue.SimpleQueue()
    _watch(news, api.patient(), lambda patient: _watch_run(patient, run_id, news))
    with LiveLine() as live:
        if live.is_live:
            _watch(news, api.patient(), lambda patient: _watch_logs(patient, run_id, news))
        return _show_until_over(news, live)


def _show_until_over(news: "queue.SimpleQueue[_News]", live: LiveLine) -> RunDetail:
    run: RunDetail | None = None
    last_line = ""
    while True:
        try:
            seen = news.get(timeout=_TICK)
        except queue.Empty:
            seen = _News()
        if seen.error is not None:
            raise seen.error
        run, last_line = seen.run or run, seen.line or last_line
        if run is None:
            continue
        if run.is_completed:
            return run
        live.update(_moving_line(run, last_line) if live.is_live else _still_line(run))


def _watch(news: "queue.SimpleQueue[_News]", api: Api, work: Callable[[Api], _News]) -> None:
    """Do this work in a thread of its own; what it returns or raises is the last news of it."""

    def watch() -> None:
        try:
            last = work(api)
        except Exception as error:
            last = _News(error=error)
        api.close()
        news.put(last)

    threading.Thread(target=watch, name="follow run", daemon=True).start()


def _watch_run(api: Api, run_id: str, news: "queue.SimpleQueue[_News]") -> _News:
    run = api.get_run(run_id).run
    while not run.is_completed:
        news.put(_News(run=run))
        run = api.poll_run(run_id, run.updated_at)
    return _News(run=run)


def _watch_logs(api: Api, run_id: str, news: "queue.SimpleQueue[_News]") -> _News:
    after = 0
    while True:
        page = api.log_page(run_id, after, wait=POLL_SECONDS)
        if page.lines:
            news.put(_News(line=page.lines[-1].message))
        elif page.finished:
            return _News()
        after = page.next


def _moving_line(run: RunDetail, last_line: str) -> str:
    now = time.time()
    sign = _SPINNER[int(now * 10) % len(_SPINNER)]
    elapsed = seconds_between(run.created_at, None, now) or 0.0
    parts = [f"{click.style(sign, fg='cyan')} {printable(run.task_identifier)}", status_text(run.status)]
    parts += _facts(run)
    if run.status in _WAITS_FOR:
        parts.append(_WAITS_FOR[run.status])
    parts.append(dim(f"{elapsed:.0f}s"))
    if last_line:
        parts.append(dim(printable(last_line)))
    return "  ".join(parts)


def _still_line(run: RunDetail) -> str:
    """Return the line without what changes by itself, for a log file."""
    attempt = f", attempt {run.attempt_count}" if (run.attempt_count or 0) > 1 else ""
    waits = f" ({_WAITS_FOR[run.status]})" if run.status in _WAITS_FOR else ""
    status = "starting" if run.status == "DEQUEUED" else status_text(run.status)
    return f"{printable(run.task_identifier)} is {status}{attempt}{waits}"


def _facts(run: RunDetail) -> list[str]:
    facts = [f"attempt {run.attempt_count}"] if (run.attempt_count or 0) > 1 else []
    progress = progress_text(run.metadata)
    return [*facts, progress] if progress else facts


def progress_text(metadata: dict[str, Any] | None) -> str:
    """Return the first short values of a run's metadata: `rows=1200 file=a.csv`."""
    shown = []
    for name, value in (metadata or {}).items():
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            text = f"{value:.4g}" if isinstance(value, float) else str(value)
            shown.append(f"{printable(name)}={cut(text, _LONGEST_VALUE)}")
    return " ".join(shown[:_SHOWN_METADATA])


def ending_line(run: RunDetail) -> str:
    """Return how a run ended, in one line: `✓ resize completed in 1.2s`."""
    seconds = seconds_between(run.created_at, run.finished_at, time.time()) or 0.0
    if run.is_success:
        sign = click.style("✓", fg="green")
    else:
        sign = click.style("–", fg="yellow") if run.is_cancelled else click.style("✗", fg="red")
    attempts = run.attempt_count or 0
    after = f" after {attempts} attempts" if attempts > 1 else ""
    how = f"{status_text(run.status)}{after} in {spoken_seconds(seconds)}"
    line = f"{sign} {printable(run.task_identifier)} {how}"
    if run.error is None or run.is_success:
        return line
    return f"{line}: {reason_text(run.error.message, run.error.name)}"

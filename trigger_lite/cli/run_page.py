"""What `runs get` shows of one run to a person."""

from collections.abc import Iterator
from typing import Final

from trigger_lite.cli.output import dim, json_lines, printable, reason_text, status_text
from trigger_lite.cli.times import age, local_time, seconds_between, spoken_seconds
from trigger_lite.protocol.runs import RunDetail

_LABEL_WIDTH: Final = 12


def run_page(run: RunDetail, address: str, *, now: float) -> Iterator[str]:
    """Yield the lines; `now` is Unix seconds."""
    for label, text in _facts(run, now):
        if text:
            yield f"{dim(label.ljust(_LABEL_WIDTH))}{text}"
    yield f"{dim('page'.ljust(_LABEL_WIDTH))}{address}"
    for label, value in (("payload", run.payload), ("metadata", run.metadata), ("output", run.output)):
        if value is not None:
            yield from ("", dim(label), *json_lines(value))
    if run.error is not None:
        yield from ("", dim("error"), reason_text(run.error.message, run.error.name))
        if run.error.stack_trace:
            yield from (dim(printable(line)) for line in run.error.stack_trace.splitlines())


def _facts(run: RunDetail, now: float) -> Iterator[tuple[str, str]]:
    yield "run", run.id
    yield "task", printable(run.task_identifier)
    yield "status", status_text(run.status)
    yield "waits", "" if run.waiting_for is None else printable(run.waiting_for.text)
    yield "created", f"{local_time(run.created_at)}  ({age(run.created_at, now)})"
    yield "delayed to", local_time(run.delayed_until) if run.delayed_until and not run.started_at else ""
    waited = seconds_between(run.created_at, run.started_at, now)
    yield "started", f"after {spoken_seconds(waited or 0)}" if run.started_at else ""
    took = seconds_between(run.started_at, run.finished_at, now)
    yield "took", spoken_seconds(took) if took is not None else ""
    yield "attempts", str(run.attempt_count) if run.attempt_count else ""
    yield "version", run.version or ""
    yield "tags", printable(", ".join(run.tags))
    yield "idempotency", printable(run.idempotency_key or "")
    yield "test", "yes" if run.is_test else ""
    if run.related_runs.parent is not None:
        yield "parent", f"{run.related_runs.parent.id} ({printable(run.related_runs.parent.task_identifier)})"
    for child in run.related_runs.children or []:
        yield "child", f"{child.id} ({printable(child.task_identifier)}) {status_text(child.status)}"

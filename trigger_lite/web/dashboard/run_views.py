"""What the page of one run shows: a frozen context for each of its parts."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, NamedTuple
from urllib.parse import urlencode

from markupsafe import Markup

from trigger_lite.engine.line_reasons import Reason
from trigger_lite.engine.origins import origin_of
from trigger_lite.engine.run_json import decode_metadata, decode_tags
from trigger_lite.protocol.durations import format_duration
from trigger_lite.protocol.statuses import TERMINAL, RunStatus
from trigger_lite.store.bulk_actions import BulkMark
from trigger_lite.store.runs import RunData, RunRow, SnapshotRow
from trigger_lite.web.dashboard import json_tree
from trigger_lite.web.dashboard.error_views import ErrorView, error_view
from trigger_lite.web.dashboard.list_views import Timing, took_of
from trigger_lite.web.dashboard.log_views import LogView
from trigger_lite.web.dashboard.statuses import StatusView, status_view
from trigger_lite.web.dashboard.steps import Attempt, Step, attempts_of, steps_of
from trigger_lite.web.dashboard.texts import ago, bytes_of, day, duration, one_line, short_id, shown

CHILDREN: Final = 50
"""Children listed on a page."""


class RunFacts(NamedTuple):
    """What one read of the database gives the page of a run."""

    run: RunRow
    data: RunData
    snapshots: list[SnapshotRow]
    reason: Reason
    version: str | None
    parent: RunRow | None
    children: list[RunRow]
    marks: tuple[BulkMark, ...] = ()


@dataclass(frozen=True)
class HeadView:
    """The top of the page: which run, how it stands, and what one can do to it.

    `progress` is a percentage when the metadata hold `progress`, as a part of one or of a hundred;
    `reschedule_href` is empty unless the run is delayed.
    """

    id: str
    task: str
    task_href: str
    status: StatusView
    took: Timing
    progress: int | None
    can_cancel: bool
    cancel_href: str
    replay_href: str
    edit_href: str
    reschedule_href: str
    is_test: bool


@dataclass(frozen=True)
class StepView:
    """A point of the timeline and the gap that follows; `gap.since` is set while the gap is still growing."""

    word: str
    kind: str
    icon: str
    at: int
    gap: Timing | None


@dataclass(frozen=True)
class TimelineView:
    """The strip: why the run is in its present state, with a countdown inside, and how it came there."""

    reason: str
    reason_until: Timing | None
    reason_more: str
    steps: tuple[StepView, ...]
    hidden: int


@dataclass(frozen=True)
class AttemptView:
    number: int
    outcome: str
    status: StatusView
    started_at: int
    started: str
    took: Timing
    worker: str
    cause: str
    retry_after: str
    error: ErrorView | None


@dataclass(frozen=True)
class PacketView:
    """A value given or made. `tree` is foldable JSON, `text` plain text; both empty when there is nothing."""

    id: str
    title: str
    size: str
    tree: Markup | None
    text: str
    raw_href: str
    nothing: str


@dataclass(frozen=True)
class ResultView:
    """How the run ended: an error, or what it returned, or neither while it lives."""

    error: ErrorView | None
    error_kind: str
    output: PacketView | None


@dataclass(frozen=True)
class FactView:
    """A detail: label and value; `href` when the value leads somewhere."""

    label: str
    value: str
    href: str = ""
    is_code: bool = False


@dataclass(frozen=True)
class RelativeView:
    href: str
    short: str
    task: str
    status: StatusView
    role: str


@dataclass(frozen=True)
class FamilyView:
    relatives: tuple[RelativeView, ...]
    more_children: str


@dataclass(frozen=True)
class DetailsView:
    facts: tuple[FactView, ...]
    tags: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RunView:
    """Everything the page of one run shows; each part is replaced on its own while the run lives."""

    template: ClassVar[str] = "run.html"

    id: str
    environment: str
    list_href: str
    head: HeadView
    timeline: TimelineView
    result: ResultView
    attempts: tuple[AttemptView, ...]
    payload: PacketView
    metadata: PacketView
    details: DetailsView
    family: FamilyView
    log: LogView
    live_href: str


_SOURCES: Final = {
    "sdk": "SDK",
    "cli": "command line",
    "api": "HTTP API",
    "dashboard": "dashboard",
    "schedule": "schedule",
}
_STEPS_SHOWN: Final = 24
_ATTEMPTS_SHOWN: Final = 20


def run_view(facts: RunFacts, *, slug: str, now: int, log: LogView, live_href: str) -> RunView:
    base = f"/{slug}/runs/{facts.run.id}"
    return RunView(
        id=facts.run.id,
        environment=slug,
        list_href=f"/{slug}/runs",
        head=head_view(facts, slug=slug, now=now),
        timeline=timeline_view(facts, now),
        result=result_view(facts, base),
        attempts=tuple(attempt_views(facts, now)),
        payload=payload_view(facts, base),
        metadata=metadata_view(facts, base),
        details=details_view(facts, slug),
        family=family_view(facts, slug),
        log=log,
        live_href=live_href,
    )


def head_view(facts: RunFacts, *, slug: str, now: int) -> HeadView:
    run = facts.run
    base = f"/{slug}/runs/{run.id}"
    return HeadView(
        id=run.id,
        task=shown(run.task_id, 256),
        task_href=_list_href(slug, "task", run.task_id),
        status=status_view(run),
        took=took_of(run, now),
        progress=progress_of(facts.data.metadata),
        can_cancel=RunStatus(run.status) not in TERMINAL,
        cancel_href=f"{base}/cancel",
        replay_href=f"{base}/replay",
        edit_href=f"{base}/edit",
        reschedule_href=f"{base}/reschedule" if run.status == RunStatus.DELAYED else "",
        is_test=bool(run.is_test),
    )


def progress_of(metadata: str | None) -> int | None:
    """Return the progress that metadata tell, in percent; what is no number between 0 and 100 is none."""
    value = decode_metadata(metadata).get("progress")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        return None
    return round(value * 100 if value <= 1 else value)


def timeline_view(facts: RunFacts, now: int) -> TimelineView:
    """Return the strip; a run with very many steps shows its first and its newest ones."""
    run = facts.run
    status = status_view(run)
    final = (
        Step(status.word, status.kind, status.icon, run.completed_at)
        if run.completed_at is not None
        else None
    )
    steps = steps_of(run, facts.snapshots, final=final)
    hidden = max(0, len(steps) - _STEPS_SHOWN)
    if hidden:
        steps = [*steps[:2], *steps[2 + hidden :]]
    following: list[Step | None] = [*steps[1:], None]
    views = [_step_view(step, after, run, now) for step, after in zip(steps, following, strict=True)]
    reason = facts.reason
    return TimelineView(
        reason=shown(reason.text, 300),
        reason_until=None
        if reason.until is None
        else Timing(duration(reason.until - now), until=reason.until),
        reason_more=shown(reason.more, 300),
        steps=tuple(views),
        hidden=hidden,
    )


def _step_view(step: Step, after: Step | None, run: RunRow, now: int) -> StepView:
    if after is not None:
        gap = Timing(duration(after.at - step.at))
    elif run.completed_at is None:
        gap = Timing(duration(now - step.at), since=step.at)
    else:
        gap = None
    return StepView(step.word, step.kind, step.icon, step.at, gap)


_OUTCOMES: Final = {
    "running": StatusView("executing", "dot", "Running"),
    "succeeded": StatusView("completed", "check", "Succeeded"),
    "failed": StatusView("failed", "cross", "Failed"),
    "stopped": StatusView("canceled", "barred", "Stopped"),
}


def attempt_views(facts: RunFacts, now: int) -> list[AttemptView]:
    found = attempts_of(facts.run, facts.snapshots)
    if len(found) == 1 and found[0].error is None:
        return []  # the timeline has said it all
    return [_attempt_view(attempt, now, is_last=attempt is found[-1]) for attempt in found[-_ATTEMPTS_SHOWN:]]


def _attempt_view(attempt: Attempt, now: int, *, is_last: bool) -> AttemptView:
    ended = attempt.ended_at
    took = (
        Timing(duration(now - attempt.started_at), since=attempt.started_at)
        if ended is None
        else Timing(duration(ended - attempt.started_at))
    )
    error = None if attempt.error is None or attempt.outcome == "stopped" else error_view(attempt.error)
    cause = (
        "" if error is None else one_line(f"{error.name}: {error.message}" if error.name else error.message)
    )
    retry = "" if attempt.retry_at is None or ended is None else duration(attempt.retry_at - ended)
    return AttemptView(
        number=attempt.number,
        outcome=attempt.outcome,
        status=_OUTCOMES[attempt.outcome],
        started_at=attempt.started_at,
        started=ago(attempt.started_at, now),
        took=took,
        worker=shown(attempt.worker_id or "", 100),
        cause=cause,
        retry_after=retry,
        # The last one's is the run's own error, shown above; of the others the frames say enough.
        error=None if error is None or (is_last and attempt.retry_at is None) else _brief(error),
    )


def _brief(error: ErrorView) -> ErrorView:
    return replace(error, raw="") if error.frames else error


# ---- values -----------------------------------------------------------------------------------------


def result_view(facts: RunFacts, base: str) -> ResultView:
    run, data = facts.run, facts.data
    failed = data.error is not None and RunStatus(run.status) in TERMINAL and run.status != RunStatus.CANCELED
    error = error_view(data.error) if failed and data.error is not None else None
    if run.status != RunStatus.COMPLETED_SUCCESSFULLY:
        return ResultView(error, status_view(run).kind, None)
    kind = data.output_type or "application/json"
    nothing = _removed(run) or "The task returned nothing."
    output = packet_view("output", "Output", data.output, kind, base, nothing=nothing)
    return ResultView(None, "", output)


def payload_view(facts: RunFacts, base: str) -> PacketView:
    nothing = _removed(facts.run) or "No payload was given."
    data = facts.data
    return packet_view("payload", "Payload", data.payload, data.payload_type, base, nothing=nothing)


def metadata_view(facts: RunFacts, base: str) -> PacketView:
    text = facts.data.metadata if decode_metadata(facts.data.metadata) else None
    nothing = _removed(facts.run) or "No metadata was set."
    return packet_view("metadata", "Metadata", text, "application/json", base, nothing=nothing)


def _removed(run: RunRow) -> str:
    """Say that retention removed what was here, and when."""
    return f"Removed by age or size on {day(run.pruned_at)}." if run.pruned_at is not None else ""


def packet_view(name: str, title: str, text: str | None, kind: str, base: str, *, nothing: str) -> PacketView:
    if text is None or text == "":
        return PacketView(f"p-{name}", title, "", None, "", "", nothing)
    value: Any = json_tree.parse(text, kind)
    plain = isinstance(value, str) and kind not in ("application/json", "application/super+json")
    return PacketView(
        id=f"p-{name}",
        title=title,
        size=bytes_of(text),
        tree=None if plain else json_tree.render(value),
        text=shown(value, 20_000) if plain else "",
        raw_href=f"{base}/{name}",
        nothing="",
    )


# ---- details ----------------------------------------------------------------------------------------


def details_view(facts: RunFacts, slug: str) -> DetailsView:
    tags = tuple((shown(tag, 128), _list_href(slug, "tag", tag)) for tag in decode_tags(facts.run.tags))
    return DetailsView(tuple(fact for fact in _facts(facts, slug) if fact.value), tags)


def _facts(facts: RunFacts, slug: str) -> list[FactView]:
    run = facts.run
    replayed = run.replay_of or ""
    worker = run.worker_id or next((s.worker_id for s in reversed(facts.snapshots) if s.worker_id), None)
    return [
        FactView("Run", run.id, is_code=True),
        FactView("Version", facts.version or "", is_code=True),
        FactView("Queue", shown(run.queue_name, 128)),
        FactView("Concurrency key", shown(run.concurrency_key or "", 256)),
        FactView("Triggered by", _source(run.source)),
        *_tree_facts(run),
        *_batch_facts(run, slug),
        FactView("Replay of", short_id(replayed), f"/{slug}/runs/{replayed}", is_code=True)
        if replayed
        else FactView("Replay of", ""),
        FactView("Machine", run.machine or ""),
        FactView("Worker", shown(worker or "", 100), is_code=True),
        FactView(
            "Attempts", f"{run.attempt} of {run.max_attempts}" if run.max_attempts else f"{run.attempt}"
        ),
        FactView("Max duration", _seconds(run.max_duration)),
        FactView("TTL", _seconds(run.ttl)),
        FactView("Priority", duration(run.priority_ms) if run.priority_ms else ""),
        FactView("Idempotency key", shown(run.idempotency_key or "", 128), is_code=True),
        FactView("Debounce key", shown(run.debounce_key or "", 128), is_code=True),
        FactView("Time in code", duration(run.usage_ms) if run.usage_ms else ""),
        *(
            FactView(f"{mark.kind.capitalize()} in bulk", short_id(mark.id), f"/{slug}/bulk/{mark.id}", True)
            for mark in facts.marks
        ),
    ]


def _batch_facts(run: RunRow, slug: str) -> list[FactView]:
    if run.batch_id is None:
        return []
    item = f"{short_id(run.batch_id)}, item {run.batch_index or 0:,}"
    return [FactView("Batch", item, f"/{slug}/batches/{run.batch_id}", is_code=True)]


def _source(name: str) -> str:
    return _SOURCES.get(name, shown(name, 60))


def _tree_facts(run: RunRow) -> list[FactView]:
    """Say where the tree that a child belongs to began (TR-25)."""
    origin = origin_of(run)
    if run.annotations is None:
        return []
    schedule = FactView("Tree's schedule", origin.root_schedule_id or "", is_code=True)
    return [FactView("Tree begun by", _source(origin.root_source)), schedule]


def _seconds(seconds: int | None) -> str:
    return format_duration(seconds) if seconds else ""


def family_view(facts: RunFacts, slug: str) -> FamilyView:
    run = facts.run
    relatives = []
    if facts.parent is not None:
        relatives.append(_relative(facts.parent, slug, "Parent"))
    relatives += [_relative(child, slug, "Child") for child in facts.children[:CHILDREN]]
    more = f"More than {CHILDREN} children" if len(facts.children) > CHILDREN else ""
    if run.root_id is not None and run.root_id != run.parent_id:
        href = f"/{slug}/runs/{run.root_id}"
        root = RelativeView(href, short_id(run.root_id), "", StatusView("neutral", "up", ""), "Root")
        relatives.insert(0, root)
    return FamilyView(tuple(relatives), more)


def _relative(run: RunRow, slug: str, role: str) -> RelativeView:
    href = f"/{slug}/runs/{run.id}"
    return RelativeView(href, short_id(run.id), shown(run.task_id, 256), status_view(run), role)


def _list_href(slug: str, name: str, value: str) -> str:
    return f"/{slug}/runs?{urlencode({name: value})}"

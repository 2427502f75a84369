"""What the open page of a run is sent: those of its parts that changed, and new log lines."""

from dataclasses import dataclass
from typing import Final

from trigger_lite.protocol.statuses import RunStatus
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.web.dashboard.dashboard import Dashboard, now_ms
from trigger_lite.web.dashboard.guard import mask
from trigger_lite.web.dashboard.hub import Viewer
from trigger_lite.web.dashboard.log_views import LinesView, known_level, line_view, read_following
from trigger_lite.web.dashboard.reads import read_run
from trigger_lite.web.dashboard.run_views import (
    RunFacts,
    attempt_views,
    details_view,
    family_view,
    head_view,
    metadata_view,
    result_view,
    timeline_view,
)

_IN_LINE: Final = frozenset({RunStatus.PENDING, RunStatus.DELAYED, RunStatus.PENDING_VERSION})


@dataclass(frozen=True)
class NewLinesView:
    """Lines to add at the end of the log; `skipped` when there were too many to send them all."""

    lines: LinesView
    skipped: bool


class RunStream:
    """The page of one run, its log narrowed to a level."""

    def __init__(
        self, dashboard: Dashboard, environment: EnvironmentRow, facts: RunFacts, form_token: str
    ) -> None:
        self._dashboard = dashboard
        self._environment = environment
        self._run_id = facts.run.id
        self._form_token = form_token
        self._level = ""
        self._sent = self._stable_parts(facts)
        self._is_in_line = facts.run.status in _IN_LINE
        self.line = 0
        self.run_ids = frozenset({facts.run.id})

    @classmethod
    async def open(
        cls,
        dashboard: Dashboard,
        environment: EnvironmentRow,
        run_id: str,
        *,
        level: str,
        line: int,
        form_token: str,
    ) -> "RunStream":
        """Raises RunNotFound when the environment has no such run."""
        connected = dashboard.services.dispatcher.connected(environment.id)
        facts = await dashboard.services.store.read(read_run, environment.id, run_id, connected)
        stream = cls(dashboard, environment, facts, form_token)
        stream._level, stream.line = known_level(level), line
        return stream

    async def updates(self, viewer: Viewer) -> list[str]:
        sent = []
        moved_up, viewer.has_line_moved = viewer.has_line_moved and self._is_in_line, False
        viewer.has_new_runs = False
        if viewer.take_changed() or moved_up:
            sent.append(await self._changed_parts())
        if viewer.has_new_lines:
            viewer.has_new_lines = False
            sent.append(await self._new_lines())
        return [html for html in sent if html]

    async def _changed_parts(self) -> str:
        connected = self._dashboard.services.dispatcher.connected(self._environment.id)
        facts = await self._dashboard.services.store.read(
            read_run, self._environment.id, self._run_id, connected
        )
        self._is_in_line = facts.run.status in _IN_LINE
        stable = self._stable_parts(facts)
        changed = [html for name, html in stable.items() if self._sent.get(name) != html]
        self._sent = stable
        return "".join([*self._moving_parts(facts), *changed])

    def _moving_parts(self, facts: RunFacts) -> list[str]:
        """Parts that hold times, and so are new with every change."""
        pages, now = self._dashboard.pages, now_ms()
        head = head_view(facts, slug=self._environment.slug, now=now)
        token = mask(self._form_token)
        return [
            pages.fragment("_head.html", (head, token), swapped=True),
            pages.fragment("_timeline.html", timeline_view(facts, now), swapped=True),
            pages.fragment("_attempts.html", attempt_views(facts, now), swapped=True),
        ]

    def _stable_parts(self, facts: RunFacts) -> dict[str, str]:
        """Parts that look the same until what they show changes: replaced only then, lest they unfold."""
        slug, pages = self._environment.slug, self._dashboard.pages
        base = f"/{slug}/runs/{facts.run.id}"
        return {
            "result": pages.fragment("_result.html", result_view(facts, base), swapped=True),
            "metadata": pages.fragment("_packet.html", metadata_view(facts, base), swapped=True),
            "details": pages.fragment("_details.html", details_view(facts, slug), swapped=True),
            "family": pages.fragment("_family.html", family_view(facts, slug), swapped=True),
        }

    async def _new_lines(self) -> str:
        rows, skipped = await self._dashboard.services.telemetry.read(
            read_following, self._run_id, self._level, self.line
        )
        if not rows:
            return ""
        self.line = rows[-1].seq
        lines = LinesView(tuple(line_view(row) for row in rows), older_href="")
        return self._dashboard.pages.fragment("_new_lines.html", NewLinesView(lines, skipped))

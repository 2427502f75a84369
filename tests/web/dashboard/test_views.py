"""Every template shows only what its context's dataclass documents."""

import dataclasses
from pathlib import Path
from typing import Any

import jinja2
import pytest
from jinja2 import nodes

from trigger_lite.web.dashboard import (
    batch_views,
    bulk_views,
    edit,
    error_views,
    list_views,
    log_views,
    pages,
    queue_views,
    refused,
    run_stream,
    run_views,
    schedule_views,
    sign_in,
    token_page_views,
)

TEMPLATES = Path(pages.__file__).parent / "templates"
# The context of each template; those without one hold macros or the frame, or take a plain list.
CONTEXTS: dict[str, Any] = {
    "_count.html": list_views.TabView,
    "_details.html": run_views.DetailsView,
    "_family.html": run_views.FamilyView,
    "_line.html": log_views.LineView,
    "_lines.html": log_views.LinesView,
    "_log.html": log_views.LogView,
    "_new_lines.html": run_stream.NewLinesView,
    "_new_runs.html": list_views.NewRunsView,
    "_packet.html": run_views.PacketView,
    "_result.html": run_views.ResultView,
    "_rows.html": list_views.RowView,
    "_timeline.html": run_views.TimelineView,
    "_empty.html": list_views.ListView,
    "batch.html": batch_views.BatchView,
    "batches.html": batch_views.BatchListView,
    "bulk.html": bulk_views.BulkView,
    "bulk_list.html": bulk_views.BulkListView,
    "bulk_new.html": bulk_views.NewBulkView,
    "edit.html": edit.EditView,
    "queue.html": queue_views.QueueView,
    "queues.html": queue_views.QueueListView,
    "refused.html": refused.RefusedView,
    "run.html": run_views.RunView,
    "runs.html": list_views.ListView,
    "schedules.html": schedule_views.ScheduleListView,
    "token.html": token_page_views.TokenPageView,
    "tokens.html": token_page_views.TokenListView,
    "sign_in.html": sign_in.SignInView,
}
WITHOUT_CONTEXT = {
    "_attempts.html",
    "_error.html",
    "_head.html",
    "_live.html",
    "_row.html",
    "_status.html",
    "main.html",
    "shell.html",
}


def _attributes(template: str, name: str) -> set[str]:
    tree = jinja2.Environment(autoescape=True).parse((TEMPLATES / template).read_text())
    return {
        found.attr
        for found in tree.find_all(nodes.Getattr)
        if isinstance(found.node, nodes.Name) and found.node.name == name
    }


def _fields(context: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(context)}


def test_every_template_has_its_context() -> None:
    assert {path.name for path in TEMPLATES.glob("*.html")} == set(CONTEXTS) | WITHOUT_CONTEXT


@pytest.mark.parametrize("template", sorted(CONTEXTS))
def test_a_template_uses_what_its_context_has(template: str) -> None:
    assert _attributes(template, "view") <= _fields(CONTEXTS[template])


def test_the_parts_of_a_row_a_step_and_an_error_are_documented() -> None:
    assert _attributes("_head.html", "head") <= _fields(run_views.HeadView)
    assert _attributes("_attempts.html", "attempt") <= _fields(run_views.AttemptView)
    assert _attributes("_timeline.html", "step") <= _fields(run_views.StepView)
    assert _attributes("_error.html", "view") <= _fields(error_views.ErrorView)
    assert _attributes("_error.html", "frame") <= _fields(error_views.FrameView)
    assert _attributes("runs.html", "tab") <= _fields(list_views.TabView)
    assert _attributes("runs.html", "chip") <= _fields(list_views.ChipView)
    assert _attributes("schedules.html", "row") <= _fields(schedule_views.ScheduleRowView)
    assert _attributes("queues.html", "row") <= _fields(queue_views.QueueRowView)
    assert _attributes("queue.html", "key") <= _fields(queue_views.KeyView)
    assert _attributes("queue.html", "fact") <= _fields(run_views.FactView)
    assert _attributes("bulk_list.html", "row") <= _fields(bulk_views.BulkRowView)
    assert _attributes("bulk.html", "item") <= _fields(bulk_views.FailedItemView)
    assert _attributes("batches.html", "row") <= _fields(batch_views.BatchRowView)
    assert _attributes("batch.html", "item") <= _fields(batch_views.BatchItemView)
    assert _attributes("batch.html", "fact") <= _fields(run_views.FactView)
    assert _attributes("_empty.html", "empty") <= _fields(list_views.EmptyView)
    assert _attributes("shell.html", "shell") <= _fields(pages.Shell)


@pytest.mark.parametrize("context", sorted(set(CONTEXTS.values()), key=lambda context: str(context)))
def test_contexts_are_frozen(context: Any) -> None:
    assert context.__dataclass_params__.frozen


def test_no_template_switches_escaping_off() -> None:
    for path in TEMPLATES.glob("*.html"):
        text = path.read_text()
        assert "| safe" not in text and "|safe" not in text and "autoescape" not in text, path.name

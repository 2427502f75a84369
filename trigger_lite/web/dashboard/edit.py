"""Replaying a run with another payload, version or machine."""

from dataclasses import dataclass
from typing import ClassVar, Final

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from trigger_lite.engine.replay import check_overrides, replay_run
from trigger_lite.protocol.errors import BadRequest, Refusal
from trigger_lite.protocol.machines import PRESETS
from trigger_lite.protocol.tasks import ReplayRun
from trigger_lite.store import runs
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.runs import RunData, RunRow
from trigger_lite.store.transaction import Reader
from trigger_lite.web.dashboard.dashboard import Dashboard, now_ms
from trigger_lite.web.dashboard.guard import read_checked_form
from trigger_lite.web.dashboard.reads import require_run
from trigger_lite.web.dashboard.texts import bytes_of, escaped_json, short_id, shown
from trigger_lite.web.errors import refusal_status

MAX_EDITED: Final = 262_144
"""Characters of a payload that a form takes."""
MAX_FORM_BYTES: Final = 2_097_152
_JSON: Final = ("application/json", "application/super+json")


@dataclass(frozen=True)
class EditView:
    """The form: what the run had, or what was typed; `note` says why the payload is not there to edit."""

    template: ClassVar[str] = "edit.html"

    task: str
    short: str
    run_href: str
    post_href: str
    payload: str
    payload_kind: str
    note: str
    version: str
    machine: str
    machines: tuple[str, ...]
    error: str


class _Typed(msgspec.Struct, frozen=True):
    """The fields of the form."""

    payload: str
    version: str
    machine: str


async def edit_page(dashboard: Dashboard, request: Request) -> Response:
    environment = dashboard.environment(request)
    run, data = await _read(dashboard, environment, request)
    view = _view(run, data, environment.slug, _Typed(_editable(data) or "", "", run.machine or ""))
    return dashboard.reply(request, view, dashboard.shell(request, f"Replay {view.task}", "runs"))


async def submit(dashboard: Dashboard, request: Request) -> Response:
    """Replay the run as the form says; a form that cannot be is shown again with the reason."""
    environment = dashboard.environment(request)
    form = await read_checked_form(request, limit=MAX_FORM_BYTES)
    run, data = await _read(dashboard, environment, request)
    typed = _Typed(
        form.get("payload", "").replace("\r\n", "\n"),
        form.get("version", "").strip(),
        form.get("machine", ""),
    )
    try:
        overrides = check_overrides(_replay(run, data, typed), now=now_ms())
        made = await dashboard.services.store.write(replay_run, environment, run.id, "dashboard", overrides)
    except Refusal as refusal:
        view = _view(run, data, environment.slug, typed, refusal.message)
        shell = dashboard.shell(request, f"Replay {view.task}", "runs")
        return dashboard.reply(request, view, shell, status=refusal_status(refusal)[0])
    return RedirectResponse(f"/{environment.slug}/runs/{made.run_id}", 303)


def _replay(run: RunRow, data: RunData, typed: _Typed) -> ReplayRun:
    """Return what the form changes. Raises BadRequest when the payload is not what its type says."""
    body = ReplayRun(
        version=typed.version or None, machine=None if typed.machine == run.machine else typed.machine or None
    )
    if typed.payload == (_editable(data) or ""):
        return body
    kind = data.payload_type
    if kind not in _JSON:
        return msgspec.structs.replace(body, payload=typed.payload, payload_type=kind)
    try:
        text = msgspec.json.format(typed.payload, indent=-1)
    except msgspec.DecodeError as error:
        raise BadRequest(f"The payload is not JSON: {error}") from error
    payload = text if kind == "application/super+json" else msgspec.Raw(text.encode())
    return msgspec.structs.replace(body, payload=payload, payload_type=kind)


def _editable(data: RunData) -> str | None:
    """Return the payload as a form shows it, or None when it is not there or too large for one."""
    text = data.payload
    if text is None or len(text) > MAX_EDITED:
        return None
    if data.payload_type not in _JSON:
        return text
    try:
        return escaped_json(msgspec.json.format(text, indent=2))
    except msgspec.DecodeError:
        return text


def _view(run: RunRow, data: RunData, slug: str, typed: _Typed, error: str = "") -> EditView:
    href = f"/{slug}/runs/{run.id}"
    return EditView(
        task=shown(run.task_id, 256),
        short=short_id(run.id),
        run_href=href,
        post_href=f"{href}/edit",
        payload=typed.payload,
        payload_kind="JSON" if data.payload_type in _JSON else "text",
        note=_note(run, data),
        version=typed.version,
        machine=typed.machine,
        machines=tuple(PRESETS),
        error=error,
    )


def _note(run: RunRow, data: RunData) -> str:
    if run.pruned_at is not None:
        return "The payload of this run is kept no more; write one."
    if data.payload is not None and len(data.payload) > MAX_EDITED:
        return f"The payload has {bytes_of(data.payload)}, too much for a form; left empty, it stays."
    return ""


async def _read(
    dashboard: Dashboard, environment: EnvironmentRow, request: Request
) -> tuple[RunRow, RunData]:
    def read(tx: Reader) -> tuple[RunRow, RunData]:
        run = require_run(tx, environment.id, request.path_params["run_id"])
        return run, runs.get_data(tx, run.id)

    return await dashboard.services.store.read(read)

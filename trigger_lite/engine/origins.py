"""Where runs come from: who asked, and what the first of their tree goes back to (TR-25).

A run without a parent says so in its own columns; what children inherit is kept in `annotations`.
"""

import msgspec

from trigger_lite.store.runs import RunRow


class _Inherited(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    root_trigger_source: str
    root_schedule_id: str | None = None


class Origin(msgspec.Struct, frozen=True):
    """`source` is who asked (sdk, api, cli, dashboard, schedule, …), `action` trigger, replay or test."""

    source: str
    action: str
    root_source: str
    root_schedule_id: str | None


def origin_of(run: RunRow) -> Origin:
    """Return where a run comes from."""
    action = "replay" if run.replay_of else "test" if run.is_test else "trigger"
    if run.annotations is None:
        return Origin(run.source, action, run.source, run.schedule_id)
    inherited = msgspec.json.decode(run.annotations, type=_Inherited)
    return Origin(run.source, action, inherited.root_trigger_source, inherited.root_schedule_id)


def inherited_annotations(parent: RunRow | None) -> str | None:
    """Return what a run keeps of the tree it belongs to; None for the first of a tree."""
    if parent is None:
        return None
    origin = origin_of(parent)
    return msgspec.json.encode(_Inherited(origin.root_source, origin.root_schedule_id)).decode()

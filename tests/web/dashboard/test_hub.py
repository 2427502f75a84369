"""The hub tells open pages apart, remembers a little, and bears a limited number of them."""

import pytest

from trigger_lite.engine.bus import Bus
from trigger_lite.engine.events import LogsAdded, RunChanged
from trigger_lite.protocol.errors import ServerBusy
from trigger_lite.web.dashboard.hub import MAX_VIEWERS, RING, Hub, Position


def _change(bus: Bus, *run_ids: str) -> None:
    bus.publish([RunChanged("env", run_id, "task") for run_id in run_ids])


async def test_a_viewer_hears_of_its_own_runs_only() -> None:
    bus = Bus()
    with Hub(bus).viewing("env", frozenset({"run_1"})) as viewer:
        _change(bus, "run_2")
        assert not await viewer.wait(0)
        _change(bus, "run_1", "run_1")
        assert await viewer.wait(1)
        assert viewer.take_changed() == {"run_1"}
        assert viewer.take_changed() == set()


async def test_new_lines_are_told_apart_from_changes() -> None:
    bus = Bus()
    with Hub(bus).viewing("env", frozenset({"run_1"})) as viewer:
        bus.publish([LogsAdded("", "run_1", 5)])
        assert viewer.has_new_lines and not viewer.take_changed()


def test_what_changed_since_a_position_is_remembered_for_a_while() -> None:
    bus = Bus()
    hub = Hub(bus)
    both = frozenset({"run_1", "run_2"})
    before = hub.position
    assert hub.changed_since(before, both) == set()
    _change(bus, "run_1", "run_3")
    assert hub.changed_since(before, both) == {"run_1"}
    _change(bus, *["run_3"] * RING)
    assert hub.changed_since(before, both) == set(both)
    assert hub.changed_since(Position("other", before.seq), both) is None


def test_there_is_a_limit_to_open_pages() -> None:
    hub = Hub(Bus())
    open_pages = [hub.viewing("env", frozenset()) for _ in range(MAX_VIEWERS)]
    for page in open_pages:
        page.__enter__()
    with pytest.raises(ServerBusy), hub.viewing("env", frozenset()):
        pass
    open_pages[0].__exit__(None, None, None)
    with hub.viewing("env", frozenset()):
        assert hub.viewers == MAX_VIEWERS


async def test_closing_wakes_everyone_and_lets_nobody_in() -> None:
    hub = Hub(Bus())
    with hub.viewing("env", frozenset()) as viewer:
        hub.close()
        assert await viewer.wait(1)
    assert hub.is_closed
    with pytest.raises(ServerBusy), hub.viewing("env", frozenset()):
        pass

"""Debounce as Python code asks for it (DB-06, DB-08)."""

from datetime import timedelta
from typing import Any

import pytest

from tests.support.edge import Edge, Reply
from trigger_lite import Debounce, DefinitionError, task
from trigger_lite.protocol.tasks import DebounceOption


@pytest.mark.parametrize(
    ("debounce", "wire"),
    [
        (Debounce("k", "5s"), DebounceOption("k", "5s")),
        (Debounce("k", 90), DebounceOption("k", "1m30s")),
        (Debounce("k", timedelta(hours=1)), DebounceOption("k", "1h")),
        (Debounce("k", 0.2), DebounceOption("k", "1s")),
        (Debounce("k", "5s", mode="trailing"), DebounceOption("k", "5s", "trailing")),
        (Debounce("k", "5s", "leading", "1m"), DebounceOption("k", "5s", max_delay="1m")),
    ],
)
def test_a_debounce_has_its_form_on_the_wire(debounce: Debounce, wire: DebounceOption) -> None:
    """DB-08: leading unless said otherwise; times in whole seconds, rounded up."""
    assert debounce.option() == wire


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"key": "", "delay": "5s"}, "key must have 1 to 512 characters"),
        ({"key": "k" * 513, "delay": "5s"}, "key must have 1 to 512 characters"),
        ({"key": "k", "delay": "soon"}, "delay: 'soon' is not a duration"),
        ({"key": "k", "delay": 0}, "delay must be a second or more, not 0"),
        ({"key": "k", "delay": None}, "delay: "),
        ({"key": "k", "delay": "5s", "mode": "both"}, 'mode must be "leading" or "trailing", not \'both\''),
        ({"key": "k", "delay": "5s", "max_delay": "5s"}, "max_delay '5s' must be longer than delay '5s'"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_written(given: dict[str, Any], message: str) -> None:
    """DB-06: before anything is sent."""
    with pytest.raises(DefinitionError, match=message):
        Debounce(**given)


def _sent(edge: Edge) -> list[Any]:
    return [request.body["options"].get("debounce") for request in edge.requests]


def test_a_trigger_sends_it(edge: Edge) -> None:
    """DB-01: for one trigger, or for all of a task; None switches the task's own off."""
    edge.on("POST", "/api/v1/tasks/.*/trigger", Reply(body={"id": "run_1"}))

    @task(debounce=Debounce("all", "5s"))
    def reindex() -> None: ...

    reindex.trigger()
    reindex.with_(debounce=Debounce("mine", "1m")).trigger()
    reindex.with_(debounce=None).trigger()
    assert _sent(edge) == [{"key": "all", "delay": "5s"}, {"key": "mine", "delay": "1m"}, None]


@pytest.mark.parametrize("wrong", ["5s", 5, {"key": "k", "delay": "5s"}])
def test_anything_else_is_refused(wrong: Any) -> None:
    with pytest.raises(DefinitionError, match=r'debounce must be Debounce\("key", "5s"\)'):

        @task(debounce=wrong)
        def reindex() -> None: ...

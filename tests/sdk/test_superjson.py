import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest

from trigger_lite import PayloadError
from trigger_lite.sdk.superjson import plain_member, revive

WHEN = "2030-01-01T00:00:00.000Z"
MOMENT = datetime(2030, 1, 1, tzinfo=UTC)


def packet(value: Any, values: Any, **meta: Any) -> str:
    return json.dumps({"json": value, "meta": {"values": values, **meta}})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"json":{"a":1}}', {"a": 1}),
        (packet(WHEN, ["Date"]), MOMENT),
        (packet({"a": {"b": WHEN}}, {"a.b": ["Date"]}), {"a": {"b": MOMENT}}),
        (packet({"a": [1, WHEN]}, {"a.1": ["Date"]}), {"a": [1, MOMENT]}),
        (packet({"a.b": WHEN}, {"a\\.b": ["Date"]}), {"a.b": MOMENT}),
        (packet({"a\\": WHEN}, {"a\\\\": ["Date"]}, v=1), {"a\\": MOMENT}),
        (packet({"s": [WHEN]}, {"s": ["set", {"0": ["Date"]}]}), {"s": {MOMENT}}),
        (packet([["k", WHEN]], ["map", {"0.1": ["Date"]}]), {"k": MOMENT}),
        (packet({"s": [[1, 2]]}, {"s": ["set"]}), {"s": {(1, 2)}}),
        (packet({"n": "12345678901234567890"}, {"n": ["bigint"]}), {"n": 12345678901234567890}),
        (packet("Infinity", ["number"]), math.inf),
        (packet({"a": None, "b": 1}, {"a": ["undefined"]}), {"b": 1}),
        (packet(None, ["undefined"]), None),
        (packet({"r": "/x/g"}, {"r": ["regexp"]}), {"r": "/x/g"}),
        (packet({"u": "https://example.com/"}, {"u": ["URL"]}), {"u": "https://example.com/"}),
        (packet({"c": {"x": 1}}, {"c": [["class", "Point"]]}), {"c": {"x": 1}}),
    ],
)
def test_notes_are_followed(text: str, value: Any) -> None:
    assert revive(text) == value


def test_the_plain_member_ignores_the_notes() -> None:
    assert plain_member(packet({"a": WHEN}, {"a": ["Date"]})) == {"a": WHEN}


@pytest.mark.parametrize(
    "text",
    [
        "3",
        "{}",
        packet({"a": 1}, {"b": ["Date"]}),
        packet({"a": "yesterday"}, {"a": ["Date"]}),
        packet([], {"5": ["Date"]}),
        packet([], {"x": ["Date"]}),
        packet(3, {"a.b": ["set"]}),
        packet({"a": 1}, "Date"),
        packet({"a": 1}, {"a": "Date"}),
        packet({"a": 1}, []),
        packet({"a": 1}, {"a": [["set"], 3]}),
        '{"json":1,"meta":3}',
        '{"json":{},"meta":{"values":{"a":[]}}}',
        packet({"a": [[{}, 1]]}, {"a": ["map"]}),
        packet({"a": [{}]}, {"a": ["set"]}),
        packet("many", ["number"]),
    ],
)
def test_what_is_no_superjson_is_refused(text: str) -> None:
    with pytest.raises(PayloadError, match="not SuperJSON"):
        revive(text)

import hashlib
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from trigger_lite import DefinitionError, Queue, UnknownOption, run_inline, task
from trigger_lite.protocol.tasks import IdempotencyKeyOptions, QueueOption, TriggerOptions
from trigger_lite.protocol.times import parse_iso_ms
from trigger_lite.sdk.options import RunOptions, trigger_options


def wire(**options: Any) -> TriggerOptions:
    return trigger_options("resize.trigger", RunOptions(**options))  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ({"delay": "1h30m"}, "delay", "1h30m"),
        ({"delay": 90}, "delay", "1m30s"),
        ({"delay": timedelta(days=1)}, "delay", "1d"),
        ({"delay": datetime(2030, 1, 1, tzinfo=UTC)}, "delay", "2030-01-01T00:00:00.000Z"),
        ({"ttl": "10m"}, "ttl", 600),
        ({"ttl": 0.2}, "ttl", 1),
        ({"ttl": 0}, "ttl", 0),
        ({"tags": "one"}, "tags", ["one"]),
        ({"tags": ["a", " ", "b", "a"]}, "tags", ["a", "b"]),
        ({"key": 7}, "concurrency_key", 7),
        ({"idempotency_key_ttl": "1d"}, "idempotency_key_ttl", "86400s"),
        ({"queue": "crm"}, "queue", QueueOption("crm")),
        ({"queue": Queue("crm", concurrency=3)}, "queue", QueueOption("crm")),
        ({"priority": 5}, "priority", 5.0),
        ({"priority": -5}, "priority", -5.0),
        ({"priority": "1m"}, "priority", 60.0),
        ({"max_attempts": 2}, "max_attempts", 2),
        ({"max_duration": "1h"}, "max_duration", 3600.0),
        ({"machine": "micro"}, "machine", "micro"),
        ({"metadata": {"at": datetime(2030, 1, 1, tzinfo=UTC)}}, "metadata", {"at": "2030-01-01T00:00:00Z"}),
        ({"version": "20300101.1"}, "lock_to_version", "20300101.1"),
        ({"test": True}, "test", True),
    ],
)
def test_each_option_has_its_form_on_the_wire(options: dict[str, Any], field: str, value: object) -> None:
    assert getattr(wire(**options), field) == value


def test_a_delay_of_part_of_a_second_is_sent_as_a_time() -> None:
    before = time.time() * 1000
    at = parse_iso_ms(wire(delay=0.5).delay or "")
    assert at is not None
    assert before + 499 <= at <= time.time() * 1000 + 501


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delay": "soon"}, "resize.trigger: delay: 'soon' is not a duration"),
        ({"delay": datetime(2030, 1, 1)}, "has no time zone"),  # noqa: DTZ001 - that is the mistake
        ({"delay": None}, "delay"),
        ({"ttl": -1}, "ttl: -1 is not a duration"),
        ({"tags": ["x" * 129]}, "a tag has at most 128"),
        ({"queue": "no good"}, "queue name 'no good'"),
        ({"priority": "much"}, "priority: 'much' is not a duration"),
        ({"max_attempts": 0}, "max_attempts must be 1 to 250, not 0"),
        ({"max_attempts": "2"}, "max_attempts: "),
        ({"max_duration": "long"}, "max_duration: 'long'"),
        ({"machine": "large"}, "no machine 'large'; did you mean 'large-"),
        ({"metadata": [1]}, "metadata must be a dict, not list"),
        ({"metadata": {"x": object()}}, "metadata: a value of type `object`"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        wire(**options)


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(UnknownOption, match="no option 'dealy'; did you mean 'delay'"):
        wire(dealy="1h")


def test_an_idempotency_key_is_hashed_as_other_clients_do() -> None:
    options = wire(idempotency_key="sync:org_42")
    assert options.idempotency_key == hashlib.sha256(b"sync:org_42").hexdigest()
    assert options.idempotency_key_options == IdempotencyKeyOptions("sync:org_42", "run")


def test_a_hashed_idempotency_key_is_left_alone() -> None:
    options = wire(idempotency_key="0" * 64)
    assert options.idempotency_key == "0" * 64
    assert options.idempotency_key_options is None


def test_inside_a_run_the_parent_is_named_and_keys_belong_to_it() -> None:
    @task
    def parent() -> list[str | None]:
        options = wire(idempotency_key="once")
        return [options.parent_run_id, options.idempotency_key]

    hashed = hashlib.sha256(b"once-run_local").hexdigest()
    assert run_inline(parent).unwrap() == ["run_local", hashed]


def test_the_environment_may_name_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIGGER_LITE_VERSION", "20300101.2")
    assert wire().lock_to_version == "20300101.2"
    assert wire(version="20300101.1").lock_to_version == "20300101.1"

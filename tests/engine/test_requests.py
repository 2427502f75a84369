"""What a trigger's body may say, and what is made of it: rules that need no database (TR, ID)."""

from typing import Any

import msgspec
import pytest

from trigger_lite.engine.requests import DEFAULT_KEY_LIFE_MS, RunRequest, check_trigger
from trigger_lite.protocol.errors import BadRequest, TooLarge, Unprocessable
from trigger_lite.protocol.tasks import TriggerTask

NOW = 1_790_000_000_000
BIGINT = 2**63 - 1
INTEGER = 2**31 - 1


def _check(body: str | bytes | dict[str, Any]) -> RunRequest:
    """Check a body as it comes over HTTP."""
    raw = msgspec.json.encode(body) if isinstance(body, dict) else body
    decoded = msgspec.json.decode(raw, type=TriggerTask)
    return check_trigger("resize", decoded, now=NOW, source="sdk", request_key=None)


def _option(name: str, value: Any) -> RunRequest:
    return _check({"options": {name: value}})


def _raw_payload(text: str) -> RunRequest:
    return _check(f'{{"payload":{text}}}')


def _raw_option(name: str, text: str) -> RunRequest:
    return _check(f'{{"options":{{"{name}":{text}}}}}')


# ---- payload ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        "null",
        "1",
        '"text"',
        "[1,2]",
        '{"a":{"b":[null,true,1.5]}}',
        str(2**70),
        "-" + str(2**70),
        '"é \U0001f600"',
    ],
)
def test_a_json_payload_is_stored_as_it_was_given(payload: str) -> None:
    """TR-24: the payload comes back unchanged, whatever JSON it is."""
    request = _raw_payload(payload)
    assert (request.payload, request.payload_type) == (payload, "application/json")


def test_without_a_payload_there_is_none() -> None:
    """TR-24: absent is not null."""
    assert _check({}).payload is None
    assert _check({"payload": None}).payload == "null"


def test_text_of_another_type_is_stored_raw() -> None:
    """TR-24: the payload type is kept, and says how to read the text."""
    request = _check({"payload": '{"json":1}', "options": {"payloadType": "application/super+json"}})
    assert (request.payload, request.payload_type) == ('{"json":1}', "application/super+json")
    raw = _check({"payload": r"C:\u0000", "options": {"payloadType": "text/plain"}})
    assert raw.payload == r"C:\u0000"


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (r'"a\u0000b"', '"ab"'),
        (r'{"\u0000k":["\u0000"]}', '{"k":[""]}'),
        (r'"C:\\u0000x"', r'"C:\\u0000x"'),
        (r'"\\\u0000"', r'"\\"'),
        (r'"\\\\u0000"', r'"\\\\u0000"'),
    ],
)
def test_null_bytes_leave_the_payload_and_nothing_else_does(given: str, stored: str) -> None:
    r"""TR-03: null bytes are stripped; a backslash followed by the letters u0000 is none."""
    assert _raw_payload(given).payload == stored


def test_a_payload_over_three_megabytes_is_refused() -> None:
    """TR-03: 3 145 728 bytes are allowed, one more is not."""
    fits = "x" * (3_145_728 - 2)
    assert _check({"payload": fits}).payload == f'"{fits}"'
    with pytest.raises(TooLarge, match="3145728"):
        _check({"payload": fits + "x"})


def test_the_payload_limit_counts_bytes_not_letters() -> None:
    """TR-03: a letter may be several bytes."""
    with pytest.raises(TooLarge):
        _check({"payload": "é" * 1_600_000})


# ---- metadata and tags ------------------------------------------------------------------------------


def test_metadata_over_a_quarter_megabyte_is_refused_not_cut() -> None:
    """TR-04: 262 144 bytes."""
    assert _option("metadata", {"a": "x" * (262_144 - 8)}).metadata is not None
    with pytest.raises(TooLarge, match="262144"):
        _option("metadata", {"a": "x" * (262_144 - 7)})


@pytest.mark.parametrize("metadata", ["no object", "[1]", [1], 5, "{"])
def test_metadata_that_is_no_object_is_refused(metadata: Any) -> None:
    """TR-04: metadata is a JSON object, or the text of one."""
    with pytest.raises(BadRequest, match="object"):
        _option("metadata", metadata)


def test_metadata_may_come_as_text_and_with_big_numbers() -> None:
    """TR-24: as official clients send it, unchanged."""
    assert _option("metadata", '{"a":1}').metadata == '{"a":1}'
    assert _raw_option("metadata", '{"n":' + str(2**70) + "}").metadata == f'{{"n":{2**70}}}'


def test_blank_and_repeated_tags_are_dropped() -> None:
    """TR-05: what is left is counted."""
    assert _option("tags", ["a", " ", "", "b", "a"]).tags == ("a", "b")


def test_a_single_string_is_one_tag() -> None:
    """TR-05: a lone tag needs no list."""
    assert _option("tags", "org_1").tags == ("org_1",)


def test_eleven_tags_are_refused() -> None:
    """TR-05: at most 10."""
    assert len(_option("tags", [str(n) for n in range(10)]).tags) == 10
    with pytest.raises(Unprocessable, match="10 tags"):
        _option("tags", [str(n) for n in range(11)])


# ---- queue ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("emails", "emails"),
        ("a b!c", "abc"),
        ("task/x_y-z", "task/x_y-z"),
        ("é…", None),
        ("q" * 200, "q" * 128),
    ],
)
def test_a_queue_name_is_reduced_to_what_is_allowed(given: str, kept: str | None) -> None:
    """TR-06: letters, digits, _ - / and 128 characters; nothing left means the task's own queue."""
    assert _option("queue", {"name": given}).queue_name == kept


def test_a_queue_may_be_nested_twice() -> None:
    """TR-06: some clients wrap the queue object in another."""
    assert _option("queue", {"name": {"name": "emails"}}).queue_name == "emails"


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ("7", "7"),
        ("-1.5", "-1.5"),
        ("7.0", "7"),
        ("1" + "0" * 30, "1" + "0" * 30),
        ('""', ""),
        ('"*:="', "*:="),
    ],
)
def test_a_concurrency_key_becomes_text(given: str, key: str) -> None:
    """TR-07: numbers are written out; Q-14: any text is a key."""
    assert _raw_option("concurrencyKey", given).concurrency_key == key


def test_a_number_too_long_for_a_float_is_still_a_key() -> None:
    """TR-07: no number that JSON can write breaks the server."""
    digits = "1" + "0" * 400
    assert _raw_option("concurrencyKey", digits).concurrency_key == digits


# ---- times ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delay", "until"),
    [
        ("1s", NOW + 1_000),
        ("1h30m", NOW + 5_400_000),
        ("30m1h", NOW + 5_400_000),
        ("1hr", NOW + 3_600_000),
        ("2w", NOW + 1_209_600_000),
        ("2026-09-22T00:00:00Z", 1_790_035_200_000),
        ("2026-09-22", 1_790_035_200_000),
        ("2026-09-22T02:00:00.500+02:00", 1_790_035_200_500),
    ],
)
def test_a_future_delay_is_a_duration_or_a_date(delay: str, until: int) -> None:
    """TR-09: durations of w, d, h or hr, m, s in any order; ISO dates, without a zone in UTC."""
    assert _option("delay", delay).delay_until == until


@pytest.mark.parametrize("delay", ["0s", "2020-01-01T00:00:00Z", "2026-09-01"])
def test_a_past_or_zero_delay_means_at_once(delay: str) -> None:
    """TR-09: it is no error."""
    assert _option("delay", delay).delay_until is None


@pytest.mark.parametrize(
    "delay",
    [
        "soon",
        "",
        "1.5h",
        "-1h",
        "1 h",
        "1y",
        "10",
        "1h" * 51,
        "2026-13-01",
        "tomorrow",
        "9" * 90 + "w",
        "99999999w",
    ],
)
def test_an_unparsable_delay_is_refused(delay: str) -> None:
    """TR-09: no decimals, no negatives, at most 100 characters, nothing beyond what a date can hold."""
    with pytest.raises(BadRequest, match="delay"):
        _option("delay", delay)


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [
        (90, 90),
        ("90s", 90),
        ("1h30m", 5_400),
        (0, 0),
        ("0", 0),
        ("0s", 0),
        (10**30, INTEGER),
        ("9999w", INTEGER),
    ],
)
def test_a_ttl_is_seconds_or_a_duration_and_zero_switches_it_off(ttl: str | int, seconds: int) -> None:
    """TR-11: a number means seconds."""
    assert _raw_option("ttl", str(ttl) if isinstance(ttl, int) else f'"{ttl}"').ttl == seconds


@pytest.mark.parametrize("ttl", ["soon", "1.5h", "", "-3"])
def test_an_unparsable_ttl_is_refused(ttl: str) -> None:
    """TR-11: and the message names it."""
    with pytest.raises(BadRequest, match="ttl"):
        _option("ttl", ttl)


def test_without_a_ttl_the_task_decides() -> None:
    """TR-11: not given is not zero."""
    assert _check({}).ttl is None


@pytest.mark.parametrize(
    ("seconds", "milliseconds"),
    [(10, 10_000), (-3, -3_000), (0.0015, 2), (1e9, INTEGER), (-1e9, -INTEGER), (1e308, INTEGER)],
)
def test_priority_is_seconds_rounded_to_ms_within_32_bits(seconds: float, milliseconds: int) -> None:
    """TR-13: whatever the number."""
    assert _option("priority", seconds).priority_ms == milliseconds


# ---- limits of a run --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"), [(1, 5), (0, 5), (60, 60), (2_147_483_647, INTEGER), (1e300, INTEGER), (7.9, 7)]
)
def test_max_duration_is_clamped(given: float, kept: int) -> None:
    """TR-17: at least 5 seconds, at most 2 147 483 647, which means none."""
    assert _option("maxDuration", given).max_duration == kept


def test_max_attempts_beyond_what_any_run_gets_is_clamped() -> None:
    """AT-04: 250, whatever is asked for."""
    assert _option("maxAttempts", 5).max_attempts == 5
    assert _raw_option("maxAttempts", str(10**12)).max_attempts == 250


def test_an_unknown_machine_becomes_the_default() -> None:
    """TR-18: a known one is kept."""
    assert _option("machine", "large-2x").machine == "large-2x"
    assert _option("machine", "mainframe").machine == "small-1x"


def test_region_is_accepted_and_ignored() -> None:
    """TR-19: there is one place."""
    assert _option("region", "eu-central-1") == _check({})


def test_flags_and_types_are_stored_as_given() -> None:
    """TR-24: the test flag, the seed metadata, the payload type."""
    request = _check({"payload": 1, "options": {"test": True, "metadata": {"a": 1}}})
    assert (request.is_test, request.metadata, request.payload_type) == (True, '{"a":1}', "application/json")


# ---- idempotency ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ttl", "life"),
    [
        ("30s", 30_000),
        ("10m", 600_000),
        ("2h", 7_200_000),
        ("7d", 604_800_000),
        (None, DEFAULT_KEY_LIFE_MS),
        ("1w", DEFAULT_KEY_LIFE_MS),
        ("1h30m", DEFAULT_KEY_LIFE_MS),
        ("soon", DEFAULT_KEY_LIFE_MS),
    ],
)
def test_a_key_lives_thirty_days_or_as_told(ttl: str | None, life: int) -> None:
    """ID-02: a number with s, m, h or d; anything else is ignored."""
    options = {"idempotencyKey": "k"} | ({} if ttl is None else {"idempotencyKeyTTL": ttl})
    assert _check({"options": options}).idempotency_life_ms == life


def test_a_key_told_to_live_for_ages_still_fits_the_database() -> None:
    """ID-02: the end of its life is a date."""
    life = _check(
        {"options": {"idempotencyKey": "k", "idempotencyKeyTTL": "9" * 30 + "d"}}
    ).idempotency_life_ms
    assert NOW + life < BIGINT


def test_a_key_of_2049_characters_is_refused() -> None:
    """ID-08: 2048 are allowed; the original key is kept for display."""
    shown = {"key": "order-1", "scope": "run"}
    request = _check({"options": {"idempotencyKey": "k" * 2048, "idempotencyKeyOptions": shown}})
    assert request.idempotency_options == '{"key":"order-1","scope":"run"}'
    with pytest.raises(msgspec.ValidationError):
        _option("idempotencyKey", "k" * 2049)


# ---- what databases cannot hold ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "read"),
    [
        ("concurrencyKey", "concurrency_key"),
        ("idempotencyKey", "idempotency_key"),
        ("lockToVersion", "version"),
        ("parentRunId", "parent_id"),
        ("payloadType", "payload_type"),
    ],
)
def test_null_bytes_leave_every_text(option: str, read: str) -> None:
    """TR-03: PostgreSQL holds none, in no column."""
    assert getattr(_option(option, "a\0b"), read) == "ab"
    assert _option("tags", ["a\0b"]).tags == ("ab",)

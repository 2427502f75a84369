"""What HTTP answers say about trying again."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from trigger_lite import Retry
from trigger_lite.sdk.status_rules import allowed_after, answer_of, rule_for

NOW = datetime(2030, 1, 1, tzinfo=UTC).timestamp()
SOON = datetime(2030, 1, 1, 0, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "rule"),
    [(429, "headers"), (500, Retry(2)), (502, Retry(3)), (504, Retry(3)), (505, Retry(4)), (404, None)],
)
def test_the_nearest_rule_counts(status: int, rule: object) -> None:
    rules = {"500-504": Retry(3), "5xx": Retry(4), 429: "headers", 500: Retry(2)}
    assert rule_for(status, rules) == rule  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "30"}, 30),
        ({"retry-after": format_datetime(SOON, usegmt=True)}, 30),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"x-ratelimit-reset": str(round(NOW) + 30)}, 30),
        ({"x-ratelimit-reset": str(round(NOW * 1000) + 30_000)}, 30),
        ({"x-ratelimit-reset": "2030-01-01T00:00:30Z"}, 30),
        ({"ratelimit-reset": "30"}, 30),
        ({"x-ratelimit-reset-requests": "1m30.5s"}, 90.5),
        ({"x-ratelimit-reset-requests": "350ms"}, 0.35),
        ({"retry-after": "2029-12-31T00:00:00"}, 0),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "soon"}, None),
        ({}, None),
    ],
)
def test_times_are_read_in_every_form_services_write_them(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert allowed_after(headers, NOW) == (None if seconds is None else pytest.approx(seconds))


def test_what_has_no_status_is_no_answer() -> None:
    class Exit(Exception):
        status = 1

    assert answer_of(ValueError()) is None
    assert answer_of(None) is None
    assert answer_of(Exit()) is None

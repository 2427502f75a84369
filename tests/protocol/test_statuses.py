"""What SDK users read for what is stored (ST)."""

import pytest

from trigger_lite.protocol.statuses import (
    TERMINAL,
    ApiStatus,
    RunStatus,
    api_status,
    is_completed,
    legacy_api_status,
    stored_status,
)

# Stored, read today, read by clients that send no API version.
NAMES = [
    ("DELAYED", "DELAYED", "DELAYED"),
    ("PENDING_VERSION", "PENDING_VERSION", "PENDING_VERSION"),
    ("PENDING", "QUEUED", "QUEUED"),
    ("DEQUEUED", "DEQUEUED", "EXECUTING"),
    ("EXECUTING", "EXECUTING", "EXECUTING"),
    ("WAITING_TO_RESUME", "WAITING", "FROZEN"),
    ("COMPLETED_SUCCESSFULLY", "COMPLETED", "COMPLETED"),
    ("COMPLETED_WITH_ERRORS", "FAILED", "FAILED"),
    ("CANCELED", "CANCELED", "CANCELED"),
    ("SYSTEM_FAILURE", "SYSTEM_FAILURE", "SYSTEM_FAILURE"),
    ("CRASHED", "CRASHED", "CRASHED"),
    ("EXPIRED", "EXPIRED", "EXPIRED"),
    ("TIMED_OUT", "TIMED_OUT", "TIMED_OUT"),
]


@pytest.mark.parametrize(("stored", "today", "legacy"), NAMES)
def test_a_stored_status_is_read_by_its_public_name(stored: str, today: str, legacy: str) -> None:
    """ST-01: and found again by it in a filter."""
    status = RunStatus(stored)
    assert (api_status(status), legacy_api_status(status)) == (today, legacy)
    assert stored_status(today) is status


def test_no_status_is_forgotten() -> None:
    """ST-01: the table above is whole."""
    assert {stored for stored, _, _ in NAMES} == {status.value for status in RunStatus}
    assert {today for _, today, _ in NAMES} == {status.value for status in ApiStatus}


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("FROZEN", RunStatus.WAITING_TO_RESUME),
        ("REATTEMPTING", RunStatus.EXECUTING),
        ("WAITING_FOR_DEPLOY", RunStatus.PENDING_VERSION),
        ("INTERRUPTED", RunStatus.COMPLETED_WITH_ERRORS),
        ("PENDING", None),
        ("queued", None),
        ("", None),
    ],
)
def test_filters_take_the_names_of_old_clients_and_no_others(name: str, stored: RunStatus | None) -> None:
    """ST-01: an unknown name is none."""
    assert stored_status(name) is stored


@pytest.mark.parametrize("status", ApiStatus)
def test_a_run_is_completed_when_it_is_over(status: ApiStatus) -> None:
    """ST-14 ↯: EXPIRED and TIMED_OUT too, or those who poll would never end."""
    over = {"COMPLETED", "CANCELED", "FAILED", "CRASHED", "SYSTEM_FAILURE", "EXPIRED", "TIMED_OUT"}
    assert is_completed(status) == (status.value in over)
    assert {api_status(stored).value for stored in TERMINAL} == over

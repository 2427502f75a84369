"""The filter as it stands in the address."""

from dataclasses import replace
from urllib.parse import parse_qsl

import pytest

from trigger_lite.protocol.statuses import RunStatus
from trigger_lite.web.dashboard.filters import RunQuery, add_words, pack, parse_query, problems, unpack

NOW = 1_790_000_000_000
EVERYTHING = RunQuery(
    status="failed",
    tasks=("sync crm", "a&b"),
    tags=("org_42", "é"),
    last="24h",
    since="2026-11-20",
    until="2026-11-21T10:00:00Z",
    run="run_06",
    after="cnVu",
)


def test_an_address_is_read_as_it_was_written() -> None:
    assert parse_query(parse_qsl(EVERYTHING.query_string()[1:])) == EVERYTHING
    assert RunQuery().query_string() == ""


def test_a_packed_filter_unpacks_to_itself() -> None:
    assert unpack(pack(EVERYTHING)) == EVERYTHING
    assert unpack(pack(RunQuery())) == RunQuery()
    with pytest.raises(ValueError):
        unpack("é")


def test_tabs_and_status_words_become_stored_statuses() -> None:
    assert RunQuery(status="queued").statuses() == (RunStatus.PENDING,)
    assert RunStatus.CRASHED in RunQuery(status="failed").statuses()
    assert RunQuery(status="CRASHED,EXPIRED").statuses() == (RunStatus.CRASHED, RunStatus.EXPIRED)
    assert RunQuery(status="nonsense").statuses() == ()


def test_times_become_unix_milliseconds() -> None:
    found = RunQuery(since="2026-11-20", until="2026-11-20").run_filter("env", NOW)
    assert found.created_to is not None and found.created_from is not None
    assert found.created_to - found.created_from == 86_400_000 - 1
    assert RunQuery(last="1h").run_filter("env", NOW).created_from == NOW - 3_600_000
    assert RunQuery(since="1790000000000").run_filter("env", NOW).created_from == NOW


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([("last", "soon")], "24h or 7d"),
        ([("from", "yesterday")], "2026-11-22"),
        ([("status", "BROKEN")], "CRASHED"),
        ([("status", "failed"), ("last", "24h"), ("from", "2026-11-20"), ("task", "x")], ""),
    ],
)
def test_what_cannot_be_read_is_said_and_narrows_nothing(pairs: list[tuple[str, str]], said: str) -> None:
    found = problems(pairs)
    assert (said in found[0]) if said else found == []
    if said:
        assert not parse_query(pairs).is_narrowed


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("task:sync tag:org_42", RunQuery(tasks=("sync",), tags=("org_42",))),
        ('tag:"two words"', RunQuery(tags=("two words",))),
        ("run_06gc", RunQuery(run="run_06gc")),
        ("sync-crm", RunQuery(tasks=("sync-crm",))),
        ("http://x", RunQuery(tasks=("http://x",))),
        ("status:failed last:24h", RunQuery(status="failed", last="24h")),
        ("", RunQuery()),
    ],
)
def test_typed_words_become_filters(words: str, expected: RunQuery) -> None:
    assert add_words(RunQuery(), words) == expected


def test_typed_words_add_to_what_is_there() -> None:
    both = add_words(RunQuery(status="failed", tags=("a",)), "tag:b")
    assert (both.status, both.tags) == ("failed", ("a", "b"))


def test_a_filter_is_taken_away_alone_and_leads_to_the_first_page() -> None:
    without = EVERYTHING.without("tag", "é")
    assert without == replace(EVERYTHING, tags=("org_42",), after="")


def test_no_address_makes_a_filter_of_thousands() -> None:
    query = parse_query([("tag", str(number)) for number in range(5_000)])
    assert len(query.tags) == 20

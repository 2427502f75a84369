"""Identifiers that sort by time as plain text (ST-07)."""

from hypothesis import given
from hypothesis import strategies as st

from trigger_lite.protocol.ids import IdSource, first_id, is_id, last_id_like, snapshot_id, snapshot_seq

NOW = 1_790_000_000_000


@given(st.lists(st.integers(0, 2**41), min_size=1, max_size=50))
def test_ids_sort_in_the_order_they_were_made_whatever_the_clock_does(times: list[int]) -> None:
    """ST-07: also when it is set back."""
    source = IdSource()
    made = [source.new("run", at) for at in times]
    assert made == sorted(set(made))
    assert all(is_id("run", name) and len(name) == 28 for name in made)


@given(st.integers(0, 2**41), st.integers(1, 2**20 - 1))
def test_a_snapshots_name_gives_its_number_back(at: int, seq: int) -> None:
    """ST-07: for its own run alone."""
    source = IdSource()
    run, other = source.new("run", at), source.new("run", at)
    assert snapshot_seq(run, snapshot_id(run, seq)) == seq
    assert snapshot_seq(other, snapshot_id(run, seq)) is None


def test_a_time_divides_the_ids_before_it_from_those_after() -> None:
    before, after = IdSource().new("run", NOW - 1), IdSource().new("run", NOW)
    assert before < first_id("run", NOW) <= after
    assert before <= last_id_like("run", before[:8])


def test_what_is_no_id_is_told_apart() -> None:
    assert is_id("run", "run_06fd")
    for text in ("run_", "run", "batch_06fd", "run_06fd'", "run_é", "run_a_b", ""):
        assert not is_id("run", text)

"""Which waits a worker lets through, and how many seats they leave."""

from trigger_lite.worker.messages import Park
from trigger_lite.worker.parking import Parking

MB = 1_000_000


def long(memory: int) -> Park:
    return Park(None, memory)


def short(memory: int) -> Park:
    return Park(30.0, memory)


def test_the_long_wait_that_would_pass_the_budget_is_refused() -> None:
    parking = Parking(100 * MB)
    for run in ("a", "b"):
        assert parking.problem(long(40 * MB)) is None
        parking.add(run, long(40 * MB))
    problem = parking.problem(long(40 * MB))
    assert problem is not None
    assert (
        "wait on this worker, 3 with this one, would hold 120 MB, and its budget for them is 100 MB"
        in problem
    )
    assert parking.problem(Park(31.0, 40 * MB)) == problem
    assert parking.problem(short(40 * MB)) is None


def test_what_waits_no_more_makes_room() -> None:
    parking = Parking(100 * MB)
    parking.add("a", long(90 * MB))
    assert parking.problem(long(40 * MB)) is not None
    parking.remove("a")
    parking.remove("a")
    assert parking.problem(long(40 * MB)) is None
    assert parking.free_seats == 0


def test_each_run_that_waits_leaves_its_seat_within_the_budget() -> None:
    parking = Parking(100 * MB)
    parking.add("a", long(40 * MB))
    parking.add("b", short(40 * MB))
    assert parking.free_seats == 2


def test_past_the_budget_short_waits_keep_their_seats() -> None:
    parking = Parking(100 * MB)
    parking.add("a", long(40 * MB))
    parking.add("b", short(40 * MB))
    parking.add("c", short(40 * MB))
    assert parking.free_seats == 1
    parking.remove("b")
    assert parking.free_seats == 2

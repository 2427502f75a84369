"""The clock on the real APScheduler: early, late, failing, and one at a time."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator

import pytest

from trigger_lite.background.clock import Clock, Loop

SECONDS = 10.0


class Ticks:
    """A loop that counts its calls; `answer` is when it asks to be called next (Unix ms)."""

    def __init__(self, *, at_most_seconds: float = 60, name: str = "loop") -> None:
        self.answer: int | None = None
        self.error: Exception | None = None
        self.count = 0
        self.running = 0
        self.most_at_once = 0
        self.gate: asyncio.Event | None = None
        self._called = asyncio.Condition()
        self.loop = Loop(name, at_most_seconds=at_most_seconds, tick=self._tick)

    async def _tick(self) -> int | None:
        self.count += 1
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            async with self._called:
                self._called.notify_all()
            if self.gate is not None:
                await self.gate.wait()
            if self.error is not None:
                raise self.error
            return self.answer
        finally:
            self.running -= 1

    async def reach(self, count: int) -> None:
        """Return when the loop was called that often."""
        async with asyncio.timeout(SECONDS), self._called:
            await self._called.wait_for(lambda: self.count >= count)


def soon(seconds: float = 0.02) -> int:
    return int((time.time() + seconds) * 1000)


@pytest.fixture
async def clock() -> AsyncIterator[Clock]:
    clock = Clock(after_error_seconds=0.05)
    yield clock
    clock.stop()


async def test_every_loop_is_called_at_the_start(clock: Clock) -> None:
    loops = [Ticks(name="a"), Ticks(name="b")]
    clock.start([ticks.loop for ticks in loops])
    for ticks in loops:
        await ticks.reach(1)
    assert clock.is_running


async def test_a_loop_is_called_when_it_asked_to_be(clock: Clock) -> None:
    """TR-10: within a second of the time that a row names."""
    ticks = Ticks()
    ticks.answer = soon(0.2)
    clock.start([ticks.loop])
    await ticks.reach(2)
    assert ticks.answer <= time.time() * 1000 < ticks.answer + 1_000


async def test_a_loop_sleeps_no_longer_than_it_may(clock: Clock) -> None:
    ticks = Ticks(at_most_seconds=0.02)
    ticks.answer = soon(3_600)
    clock.start([ticks.loop])
    await ticks.reach(3)


async def test_a_time_that_is_past_means_at_once(clock: Clock) -> None:
    ticks = Ticks()
    ticks.answer = 0
    clock.start([ticks.loop])
    await ticks.reach(5)


async def test_a_loop_is_woken_early(clock: Clock) -> None:
    """Q-07 ↯: events wake what would sleep on."""
    ticks = Ticks()
    clock.start([ticks.loop])
    await ticks.reach(1)
    clock.wake("loop")
    await ticks.reach(2)
    clock.wake("loop", soon())
    await ticks.reach(3)


async def test_a_later_wake_does_not_put_an_earlier_one_off(clock: Clock) -> None:
    """LK-03: the earliest time counts."""
    ticks = Ticks()
    clock.start([ticks.loop])
    await ticks.reach(1)
    clock.wake("loop", soon(0.05))
    clock.wake("loop", soon(3_600))
    await ticks.reach(2)


async def test_a_loop_never_overlaps_itself_and_a_wake_meanwhile_is_not_lost(clock: Clock) -> None:
    """LK-03: many wakes while it runs are one call afterwards."""
    ticks = Ticks()
    ticks.gate = asyncio.Event()
    clock.start([ticks.loop])
    await ticks.reach(1)
    for _ in range(5):
        clock.wake("loop")
    other = Ticks(name="other")
    await _turns()
    assert ticks.count == 1
    ticks.gate.set()
    await ticks.reach(2)
    await _turns()
    assert (ticks.count, ticks.most_at_once) == (2, 1)
    assert other.count == 0


async def _turns() -> None:
    """Let everything that is due now happen: APScheduler needs a few turns of the loop."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_loop_that_fails_is_called_again(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """LK-03: its error is told, and the others go on."""
    failing, other = Ticks(name="failing"), Ticks(name="other", at_most_seconds=0.02)
    failing.error = ValueError("broken")
    with caplog.at_level(logging.ERROR, logger="trigger_lite"):
        clock.start([failing.loop, other.loop])
        await failing.reach(2)
        await other.reach(3)
    assert "the loop 'failing' failed" in caplog.text
    failing.error = None
    await failing.reach(3)


async def test_after_the_stop_nothing_is_called(clock: Clock) -> None:
    """LK-08: not even what is woken."""
    ticks = Ticks(at_most_seconds=0.01)
    clock.start([ticks.loop])
    await ticks.reach(1)
    clock.stop()
    clock.stop()
    clock.wake("loop")
    await _turns()
    count = ticks.count
    await _turns()
    assert (ticks.count, clock.is_running) == (count, False)


async def test_a_wake_of_an_unknown_loop_is_harmless(clock: Clock) -> None:
    clock.wake("nobody")
    clock.start([])
    clock.wake("nobody", soon())


# ---- the machine's clock is set -----------------------------------------------------------------------


class MachineClock:
    """The machine's clock, which may be set."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.mark.parametrize("jump", [3_600.0, -3_600.0])
async def test_a_clock_that_was_set_calls_every_loop_to_look_anew(
    caplog: pytest.LogCaptureFixture, jump: float
) -> None:
    """ST-04: what is due by the new time starts, and no loop sleeps for the hour that comes again."""
    machine = MachineClock()
    clock = Clock(watch_seconds=0.02, now=machine)
    idle, busy = Ticks(name="idle"), Ticks(name="busy")
    busy.gate = asyncio.Event()
    clock.start([idle.loop, busy.loop])
    try:
        await idle.reach(1)
        await busy.reach(1)
        machine.ahead = jump
        await idle.reach(2)
        busy.gate.set()
        await busy.reach(2)
        idle.answer = int((machine() + 0.02) * 1000)
        clock.wake("idle")
        await idle.reach(4)
    finally:
        clock.stop()
    assert caplog.text.count("clock was set") == 1
    assert f"set {'ahead' if jump > 0 else 'back'} by 3600 s" in caplog.text


async def test_a_clock_that_is_only_nudged_calls_nobody(caplog: pytest.LogCaptureFixture) -> None:
    machine = MachineClock()
    clock = Clock(watch_seconds=0.001, now=machine)
    ticks, other = Ticks(), Ticks(name="other", at_most_seconds=0.02)
    clock.start([ticks.loop, other.loop])
    try:
        for _ in range(3):
            machine.ahead += 1.0
            await other.reach(other.count + 2)
    finally:
        clock.stop()
    assert ticks.count == 1
    assert caplog.text == ""

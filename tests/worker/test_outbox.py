"""Messages on their way to the server."""

import asyncio

import msgspec
import pytest

from trigger_lite.protocol.execution import Completion
from trigger_lite.protocol.worker import Complete, Credits, LogLine, Logs, Start, WorkerMessage
from trigger_lite.worker.outbox import FRAME_TARGET, Outbox


class Wire:
    """Decodes the frames that were sent."""

    def __init__(self) -> None:
        self.frames: list[list[WorkerMessage]] = []

    def send(self, data: bytes) -> None:
        self.frames.append(msgspec.json.decode(data, type=list[WorkerMessage]))


@pytest.fixture
async def outbox() -> Outbox:
    return Outbox(before_flush=lambda: None)


async def end_of_turn() -> None:
    await asyncio.sleep(0)


def a_line(text: str = "hello") -> LogLine:
    return LogLine("run_1", 1, 5, "LOG", "stdout", text)


async def test_all_messages_of_one_turn_leave_in_one_frame(outbox: Outbox) -> None:
    wire = Wire()
    outbox.attach(wire.send)
    outbox.start("run_1", "snapshot_1")
    outbox.say(Credits(3))
    seq = outbox.complete("run_1", "snapshot_2", Completion(ok=True, id="run_1"))
    await end_of_turn()
    assert [[type(message) for message in frame] for frame in wire.frames] == [[Start, Credits, Complete]]
    assert seq == 2


async def test_what_is_not_settled_is_sent_again_in_order_on_the_next_connection(outbox: Outbox) -> None:
    outbox.attach(Wire().send)
    outbox.start("run_1", "snapshot_1")
    outbox.start("run_2", "snapshot_1")
    await end_of_turn()
    outbox.settle(1)
    outbox.detach()
    outbox.say(Credits(1))
    outbox.logs([a_line()])
    wire = Wire()
    assert outbox.attach(wire.send) == 2
    await end_of_turn()
    assert wire.frames == [[Start(2, "run_2", "snapshot_1"), Logs(3, [a_line()])]]


async def test_a_run_that_is_left_takes_its_messages_with_it_but_not_what_it_printed(outbox: Outbox) -> None:
    outbox.start("run_1", "snapshot_1")
    outbox.logs([a_line()])
    outbox.forget_run("run_1")
    wire = Wire()
    assert outbox.attach(wire.send) == 1


async def test_unacknowledged_log_bytes_are_counted_until_settled(outbox: Outbox) -> None:
    outbox.logs([a_line("x" * 1000)])
    assert outbox.unacknowledged_bytes > 1000
    outbox.settle(1)
    assert outbox.unacknowledged_bytes == 0
    assert outbox.settle(1) is None


async def test_long_turns_are_cut_into_several_frames(outbox: Outbox) -> None:
    wire = Wire()
    outbox.attach(wire.send)
    for _ in range(5):
        outbox.logs([a_line("x" * (FRAME_TARGET // 2))])
    await end_of_turn()
    assert [len(frame) for frame in wire.frames] == [2, 2, 1]


async def test_waiting_for_the_last_answer_ends_with_it(outbox: Outbox) -> None:
    assert await outbox.wait_settled(0)
    outbox.start("run_1", "snapshot_1")
    assert not await outbox.wait_settled(0)
    waiting = asyncio.create_task(outbox.wait_settled(10))
    await end_of_turn()
    outbox.settle(1)
    assert await waiting

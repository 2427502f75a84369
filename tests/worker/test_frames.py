"""Frames between processes."""

import os
import socket
import threading

from hypothesis import given
from hypothesis import strategies as st

from trigger_lite.worker.frames import BlockingFrames, frame_of, split_frames


@given(st.lists(st.binary(max_size=300)), st.integers(min_value=1, max_value=50))
def test_frames_survive_any_cutting_of_the_stream(bodies: list[bytes], size: int) -> None:
    stream = b"".join(map(frame_of, bodies))
    buffer, found = bytearray(), []
    for start in range(0, len(stream), size):
        buffer += stream[start : start + size]
        found += split_frames(buffer)
    assert found == bodies
    assert not buffer


def test_a_large_frame_arrives_whole_and_the_end_is_noticed() -> None:
    near, far = socket.socketpair()
    body = os.urandom(3_000_000)

    def send_and_close() -> None:
        BlockingFrames(near).send(body)
        near.close()

    sender = threading.Thread(target=send_and_close)
    sender.start()
    with far:
        frames = BlockingFrames(far)
        assert frames.receive() == body
        assert frames.receive() is None
    sender.join()


def test_descriptors_arrive_with_their_frame_and_are_not_inherited() -> None:
    near, far = socket.socketpair()
    reader, writer = os.pipe()
    with near, far:
        socket.send_fds(near, [frame_of(b"take this")], [writer])
        frames = BlockingFrames(far)
        assert frames.receive_with_fds() == b"take this"
        given_fd = frames.fds.popleft()
        assert not os.get_inheritable(given_fd)
        os.write(given_fd, b"x")
        assert os.read(reader, 10) == b"x"
        for fd in (given_fd, reader, writer):
            os.close(fd)


def test_an_end_that_left_something_unread_is_an_end() -> None:
    near, far = socket.socketpair()
    with near:
        BlockingFrames(near).send(b"never read")
        far.close()  # with unread data: the other side is reset, not ended
        assert BlockingFrames(near).receive() is None
        assert BlockingFrames(near).receive_with_fds() is None

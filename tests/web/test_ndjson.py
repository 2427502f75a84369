"""Lines of JSON, however the body is cut (BA-07)."""

import pytest

from trigger_lite.web.ndjson import HEAD_BYTES, LineReader, LongLine, read_head

BODY = '{"a":"é😀"}\n\n  \r\n{"b":2}\r\n{"c":3}'.encode()
LINES = ['{"a":"é😀"}', '{"b":2}\r', '{"c":3}']


def lines(*pieces: bytes, limit: int = 1_000) -> list[bytes | LongLine]:
    reader = LineReader(limit)
    return [line for piece in pieces for line in reader.feed(piece)] + list(reader.end())


def texts(*pieces: bytes) -> list[str]:
    return [line.decode() for line in lines(*pieces) if isinstance(line, bytes)]


@pytest.mark.parametrize("cut", range(len(BODY) + 1))
def test_lines_are_the_same_wherever_the_body_is_cut(cut: int) -> None:
    """BA-07: in the middle of a character, too; blank lines are left out, the last needs no end."""
    assert texts(BODY[:cut], BODY[cut:]) == LINES


def test_a_body_may_come_byte_by_byte(request: pytest.FixtureRequest) -> None:
    assert texts(*(bytes([byte]) for byte in BODY)) == LINES


@pytest.mark.parametrize("body", [b"", b"\n", b"\n\n \t\n"])
def test_a_body_of_nothing_has_no_lines(body: bytes) -> None:
    assert lines(body) == []


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_line_over_the_limit_is_not_kept_and_the_next_is_read(size: int) -> None:
    """BA-06, BA-07: its size is known before it is decoded, and it may be no text at all."""
    body = b'{"index":3,' + b"\xff" * 9_000 + b'}\n{"b":2}\n' + b"x" * 1_001
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    long, short, last = lines(*pieces)
    assert isinstance(long, LongLine) and isinstance(last, LongLine)
    assert (long.size, last.size, short) == (9_012, 1_001, b'{"b":2}')
    assert long.head.startswith(b'{"index":3,\xff') and len(long.head) <= HEAD_BYTES


def test_a_line_of_just_the_limit_is_a_line() -> None:
    assert lines(b"x" * 1_000 + b"\n") == [b"x" * 1_000]


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b'{"index":7,"task":"a","payload":"xxx', (7, "a")),
        (b' { "task" : "a\\"b" , "index" : 7 , "payload": {"index": 9,', (7, 'a"b')),
        (b'{"index":7,"payload":{"task":"b",', (7, "")),
        (b'{"payload":{"index":9,', (None, "")),
        (b'{"index":7', (None, "")),
        (b'{"index":"7","task":"a",', (None, "")),
        (b'{"task":"\xff","index":7,', (7, "")),
        (b"xxx", (None, "")),
    ],
)
def test_an_items_index_and_task_are_read_off_its_beginning(
    head: bytes, found: tuple[int | None, str]
) -> None:
    """BA-06: of an item too long to be decoded; what its payload says is not taken for it."""
    assert read_head(head) == found

"""Lines of an attempt's output."""

from trigger_lite.protocol.worker import MAX_LOG_BYTES
from trigger_lite.worker.output import LINE_COST, AttemptOutput


def an_output(limit: int = 1_000_000) -> AttemptOutput:
    return AttemptOutput("run_1", 1, limit=limit)


def test_lines_are_put_together_from_pieces_per_source() -> None:
    output = an_output()
    assert output.printed("stdout", b"one\ntw", at=5)[0].message == "one"
    assert output.printed("stderr", b"err\n", at=6)[0].source == "stderr"
    lines = output.printed("stdout", b"o\r\n\nthree", at=7)
    assert [line.message for line in lines] == ["two", ""]
    assert [line.message for line in output.close(at=8)] == ["three"]


def test_invalid_utf8_and_null_bytes_are_replaced() -> None:
    (line,) = an_output().printed("stdout", b"a\xffb\0c\n", at=1)
    assert line.message == "a\ufffdb\ufffdc"


def test_a_long_line_is_cut_and_its_rest_left_out() -> None:
    output = an_output()
    first = output.printed("stdout", b"x" * (MAX_LOG_BYTES + 10), at=1)
    assert len(first) == 1 and first[0].message.endswith(" …")
    assert len(first[0].message.encode()) <= MAX_LOG_BYTES
    assert output.printed("stdout", b"x" * 5000, at=1) == []
    assert [line.message for line in output.printed("stdout", b"x\nnext\n", at=1)] == ["next"]


def test_beyond_the_limit_lines_are_counted() -> None:
    output = an_output(limit=3 * (LINE_COST + 4))
    lines = output.printed("stdout", b"full\n" * 10, at=1)
    assert len(lines) == 3
    assert output.printed("stdout", b"full\n" * 5, at=1) == []
    assert output.said("INFO", "hello", at=1, attributes=None) is None
    (last,) = output.close(at=2)
    assert (last.source, last.message) == ("system", "… 13 more lines (65 bytes) were not kept")
    assert output.close(at=3) == []


def test_a_record_keeps_level_and_attributes() -> None:
    line = an_output().said("WARN", "slow", at=9, attributes={"rows": 3})
    assert line is not None
    assert (line.level, line.source, line.at, line.attributes) == ("WARN", "log", 9, {"rows": 3})

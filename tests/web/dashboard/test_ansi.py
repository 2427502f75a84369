"""Terminal colours become classes."""

import pytest

from trigger_lite.web.dashboard.ansi import Piece, pieces


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("plain", [Piece("", "plain")]),
        ("\x1b[31mred\x1b[0m plain", [Piece("a-1", "red"), Piece("", " plain")]),
        ("\x1b[1;92mbold green\x1b[22m green", [Piece("a-b a-2", "bold green"), Piece("a-2", " green")]),
        ("\x1b[38;5;208mmany\x1b[39m", [Piece("", "many")]),
        ("\x1b[38;2;1;2;3;1mtrue", [Piece("a-b", "true")]),
        ("\x1b[2K\x1b[1Gprogress", [Piece("", "progress")]),
        ("\x1b]8;;https://evil.example\x07link\x1b]8;;\x07", [Piece("", "link")]),
        ("\x1b[mreset", [Piece("", "reset")]),
        ("", []),
    ],
)
def test_a_line_is_cut_where_its_look_changes(line: str, expected: list[Piece]) -> None:
    assert list(pieces(line)) == expected


def test_a_sequence_that_never_ends_takes_no_time() -> None:
    assert "".join(text for _, text in pieces("\x1b[" * 200_000))

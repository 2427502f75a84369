"""Text as people read it."""

import pytest

from trigger_lite.web.dashboard.texts import ago, bytes_of, clock, duration, one_line, short_id, shown


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, "–"),
        (-5, "0 ms"),
        (0, "0 ms"),
        (999, "999 ms"),
        (1_240, "1.2 s"),
        (31_000, "31 s"),
        (125_000, "2 m 05 s"),
        (4_320_000, "1 h 12 m"),
        (273_600_000, "3 d 4 h"),
    ],
)
def test_a_duration_has_two_units_at_most(ms: int | None, text: str) -> None:
    assert duration(ms) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "just now"), (4, "just now"), (12, "12 s ago"), (300, "5 m ago"), (90_000, "1 d ago")],
)
def test_how_long_ago_has_one_unit(seconds: int, text: str) -> None:
    assert ago(1_000_000_000 - seconds * 1_000, 1_000_000_000) == text


def test_what_hides_or_reorders_text_is_made_visible() -> None:
    assert shown("safe\u202eevil") == "safe‹U+202E›evil"
    assert shown("a\x00b\x1b[31mc\u200bd") == "a‹U+0000›b‹U+001B›[31mc‹U+200B›d"
    assert shown("tab\tand\nline") == "tab\tand\nline"


def test_long_text_is_cut_and_says_by_how_much() -> None:
    assert shown("x" * 1_000_000, 10) == "xxxxxxxxxx… (999,990 more characters)"


def test_one_line_is_the_first_that_says_something() -> None:
    assert one_line("\n\n  first \nsecond") == "first"
    assert one_line("") == ""
    assert len(one_line("y" * 1_000_000)) < 200


def test_a_short_id_keeps_what_tells_runs_apart() -> None:
    assert short_id("run_06gc8k3c000cmsgel0h8c9ot") == "run_06gc…c9ot"
    assert short_id("run_short") == "run_short"


def test_sizes_and_clocks() -> None:
    assert (bytes_of("ü"), bytes_of("x" * 4_200), bytes_of("x" * 3_000_000)) == ("2 B", "4.1 KB", "2.9 MB")
    assert clock(1_790_000_000_123) == "14:13:20.123"

import pytest

from trigger_lite.protocol.cron import DAYS, HOURS, MINUTES, MONTHS, WEEKDAYS, parse_cron


@pytest.mark.parametrize(
    ("text", "field", "values"),
    [
        ("5 * * * *", "minutes", {5}),
        ("*/20 * * * *", "minutes", {0, 20, 40}),
        ("10-40/15 * * * *", "minutes", {10, 25, 40}),
        ("50/3 * * * *", "minutes", {50, 53, 56, 59}),
        ("*/90 * * * *", "minutes", {0}),
        ("1,2,2,5-7 * * * *", "minutes", {1, 2, 5, 6, 7}),
        ("0 22-23,0 * * *", "hours", {22, 23, 0}),
        ("0 0 1,15 * *", "days", {1, 15}),
        ("0 0 ? * *", "days", DAYS),
        ("0 0 * Jan,MAR-may *", "months", {1, 3, 4, 5}),
        ("0 0 * * 7", "weekdays", {0}),
        ("0 0 * * 0", "weekdays", {0}),
        ("0 0 * * 5-7", "weekdays", {5, 6, 0}),
        ("0 0 * * mon-fri", "weekdays", {1, 2, 3, 4, 5}),
        ("0 0 * * 1/2", "weekdays", {1, 3, 5, 0}),
        ("0 0 * * 5L", "last_weekdays", {5}),
        ("0 0 * * friL,0l", "last_weekdays", {5, 0}),
    ],
)
def test_a_field_takes_names_ranges_and_steps(text: str, field: str, values: set[int]) -> None:
    """SC-01: 0 and 7 are Sunday, `a/n` goes to the end of the field."""
    assert getattr(parse_cron(text), field) == values


def test_the_last_day_of_the_month_stands_beside_others() -> None:
    """SC-01: `L`."""
    cron = parse_cron("0 0 1,L * *")
    assert cron.days == {1} and cron.has_last_day
    assert parse_cron("0 0 L * *").days == set()


@pytest.mark.parametrize(
    "text", ["* * * * *", "0-59 0-23 1-31 1-12 0-6", "*/1 * *,L jan-dec *,5L", "* * ? * 1-7"]
)
def test_a_field_that_names_everything_restricts_nothing(text: str) -> None:
    cron = parse_cron(text)
    assert (cron.minutes, cron.hours, cron.days, cron.months, cron.weekdays) == (
        *(MINUTES, HOURS, DAYS, MONTHS, WEEKDAYS),
    )
    assert not cron.restricts_days and not cron.restricts_weekdays
    assert not cron.has_last_day and not cron.last_weekdays


def test_blanks_are_made_single() -> None:
    assert parse_cron("  0  5\t* * * ").text == "0 5 * * *"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must have five fields"),
        ("* * * *", "must have five fields"),
        ("0 0 5 * * *", "seconds are not supported"),
        ("@daily", "must have five fields"),
        ("60 * * * *", "'60' is no minute; write 0 to 59"),
        ("0 24 * * *", "'24' is no hour; write 0 to 23"),
        ("0 0 0 * *", "'0' is no day of the month; write 1 to 31"),
        ("0 0 * 13 *", "'13' is no month; write 1 to 12 or jan to dec"),
        ("0 0 * * 8", "'8' is no weekday; write 0 to 7 or sun to sat"),
        ("0 0 * * fri-mon", "'fri-mon' goes backwards; write fri-7,0-mon"),
        ("0 22-2 * * *", "'22-2' goes backwards; write 22-23,0-2"),
        ("*/0 * * * *", "a step must be 1 or more"),
        ("1,,2 * * * *", "'' is no minute; write for example 1, 1-5 or */2"),
        ("-1 * * * *", "'-1' is no minute"),
        ("1.5 * * * *", "'1.5' is no minute"),
        ("１ * * * *", "'１' is no minute"),
        ("99999999999999999999 * * * *", "is no minute"),
        ("0 0 5L * *", "'5L' is no day of the month"),
        ("0 0 L-3 * *", "'L' is no day of the month"),
        ("0 0 * * L", "'L' alone is no weekday; write 5L for the last Friday of the month"),
        ("0 0 * * 1#2", "'1#2' is no weekday"),
        ("0 0 30 2 *", "never happens: none of its months has such a day"),
        ("0 0 31 apr,jun *", "never happens"),
        (f"0 0 * * {'1,' * 200}1", "must have five fields"),
    ],
)
def test_what_is_no_expression_is_refused_in_one_line(text: str, said: str) -> None:
    """SC-01: six fields, none, a day that never comes."""
    with pytest.raises(ValueError) as refusal:
        parse_cron(text)
    assert said in str(refusal.value)
    assert str(refusal.value).startswith("cron '") and "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", ["0 0 29 2 *", "0 0 30 2 mon", "0 0 31 2,3 *", "0 0 L 2 *", "0 0 30 2 1L"])
def test_a_day_that_comes_in_some_year_is_accepted(text: str) -> None:
    assert parse_cron(text).text == text

"""The table of behaviours names only numbers that exist, and every one of them."""

from scripts.behaviours import (
    NUMBER,
    all_numbers,
    documented_tests,
    files_of_tests,
    links_by_number,
    numbers_left_out,
)


def test_every_number_in_a_test_is_one_of_the_specification() -> None:
    named = {
        number
        for path in files_of_tests()
        for _, text in documented_tests(path)
        for number in NUMBER.findall(text)
    }
    assert {f"{code}-{number}" for code, number in named} <= set(all_numbers())


def test_every_behaviour_is_tested_or_left_out_for_a_reason() -> None:
    """What ARCHITECTURE.md lists as out of scope is that, and nothing of it is tested after all."""
    tested, left_out = set(links_by_number()), set(numbers_left_out())
    assert sorted(set(all_numbers()) - tested - left_out) == []
    assert sorted(tested & left_out) == []
    assert left_out <= set(all_numbers())

"""The table of behaviours names only numbers that exist."""

import re

from scripts.behaviours import NUMBER, SECTIONS, behaviours, documented_tests, files_of_tests


def test_every_number_in_a_test_is_one_of_the_specification() -> None:
    known = {f"{code}-{n:02d}" for code, (_, count) in SECTIONS.items() for n in range(1, count + 1)}
    named = {
        number
        for path in files_of_tests()
        for _, text in documented_tests(path)
        for number in NUMBER.findall(text)
    }
    assert {f"{code}-{number}" for code, number in named} <= known


def test_what_the_first_release_is_built_on_is_tested() -> None:
    must = {"ST-01", "ST-07", "TR-01", "TR-09", "TR-12", "TR-13", "ID-01", "ID-04", "ID-06", "PV-01"}
    must |= {"Q-01", "Q-10", "Q-11", "Q-15", "Q-22", "Q-26", "Q-31", "Q-33", "Q-40"}
    must |= {"AT-01", "AT-14", "AT-16", "AT-18", "AT-20", "AT-22", "AT-26", "HB-03", "HB-08"}
    must |= {"CN-03", "CN-04", "CN-11", "LK-02"}
    shown = set(re.findall(r"^\| ([A-Z]+-\d\d) \|", behaviours(), flags=re.MULTILINE))
    assert must <= shown

"""Values as trees that fold, whatever they hold."""

import orjson

from trigger_lite.web.dashboard.json_tree import MAX_NODES, parse, render


def test_names_and_values_are_escaped() -> None:
    html = render({'"><img onerror=x>': "<script>"})
    assert "<img" not in html and "<script" not in html
    assert "&lt;img" in html and "&lt;script&gt;" in html


def test_the_first_levels_are_open_and_deeper_ones_folded() -> None:
    html = render({"a": {"b": {"c": {"d": 1}}}})
    assert html.count("<details open>") == 3
    assert html.count("<details>") == 1


def test_each_kind_of_value_is_told_apart() -> None:
    html = render([1, 1.5, True, None, "text", [], {}])
    assert html.count('class="j-n"') == 2
    assert html.count('class="j-k"') == 4
    assert html.count('class="j-s"') == 1


def test_a_large_value_is_cut_and_says_so() -> None:
    html = render(list(range(50_000)))
    assert html.count("<li>") <= MAX_NODES
    assert "more; the raw download has all" in html
    assert len(render({"k": "x" * 1_000_000})) < 3_000


def test_a_deep_value_does_not_end_the_page() -> None:
    deep = orjson.loads("[" * 500 + "]" * 500)
    assert "… 1 item" in render(deep)


def test_packets_are_read_by_their_type() -> None:
    assert parse('{"a": 1}', "application/json") == {"a": 1}
    assert parse('{"json": {"at": "2026"}, "meta": {}}', "application/super+json") == {"at": "2026"}
    assert parse('{"a": 1}', "text/plain") == '{"a": 1}'
    assert parse("{broken", "application/json") == "{broken"

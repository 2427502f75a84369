import ast
from pathlib import Path

import pytest

import trigger_lite


def names_for_type_checkers() -> dict[str, str]:
    """Each public name and the module of the SDK that type checkers are told it comes from."""
    tree = ast.parse(Path(trigger_lite.__file__).read_text())
    checking = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.name: node.module or ""
        for node in checking.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_type_checkers_and_python_know_the_same_names() -> None:
    told = names_for_type_checkers()
    assert {*told, "__version__"} == set(trigger_lite.__all__) == set(dir(trigger_lite))
    for name, module in told.items():
        home = __import__(module, fromlist=[name])
        assert getattr(trigger_lite, name) is getattr(home, name)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'trigger_lite' has no attribute 'tsak'"):
        _ = trigger_lite.tsak  # type: ignore[attr-defined]


def test_the_testing_module_has_what_a_test_needs() -> None:
    from trigger_lite import testing

    assert testing.run_inline is trigger_lite.run_inline
    assert testing.Ok is trigger_lite.Ok

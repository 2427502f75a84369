import sqlite3
from collections.abc import Iterator

import pytest

from trigger_lite import Ctx, Hooks, current, local, run_inline, task

DB = local("db", sqlite3.Connection)


def database(ctx: Ctx) -> Iterator[None]:
    with sqlite3.connect(":memory:") as connection:
        ctx.locals[DB] = connection
        yield
    connection.close()


def test_code_finds_what_middleware_laid_down() -> None:
    @task(hooks=Hooks(middleware=[database]))
    def ask(ctx: Ctx) -> int:
        assert current().locals[DB] is ctx.locals[DB]
        assert DB in ctx.locals
        found: int = ctx.locals[DB].execute("SELECT 42").fetchone()[0]
        return found

    assert run_inline(ask).unwrap() == 42


def test_keys_of_one_name_are_different_and_text_is_a_key_too() -> None:
    @task
    def lay(ctx: Ctx) -> None:
        first, second = local("n", int), local("n", int)
        ctx.locals[first] = 1
        ctx.locals["n"] = "text"
        assert second not in ctx.locals
        assert ctx.locals.get(second) is None
        assert (ctx.locals.get(first), ctx.locals.get("n"), ctx.locals.get("m", 3)) == (1, "text", 3)
        assert repr(ctx.locals) == "Locals({local('n'): 1, 'n': 'text'})"

    assert run_inline(lay).ok


def test_what_nobody_laid_down_is_said_by_name() -> None:
    @task
    def lay(ctx: Ctx) -> None:
        with pytest.raises(KeyError, match=r"nothing lies at ctx.locals\[local\('db'\)\]; no middleware"):
            _ = ctx.locals[DB]

    assert run_inline(lay).ok


def test_locals_end_with_the_attempt() -> None:
    @task
    def twice(ctx: Ctx) -> bool:
        seen = "mark" in ctx.locals
        ctx.locals["mark"] = True
        if ctx.attempt.number == 1:
            raise ConnectionError
        return seen

    assert run_inline(twice).unwrap() is False

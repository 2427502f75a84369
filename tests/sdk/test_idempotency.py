"""Idempotency keys and their scopes (ID-08, ID-09)."""

import asyncio
import hashlib
from typing import Any

import pytest

from tests.support.edge import Edge, Reply
from trigger_lite import ApiError, DefinitionError, IdempotencyKey, idempotency_keys, run_inline, task
from trigger_lite.protocol.tasks import IdempotencyKeyOptions, TriggerOptions
from trigger_lite.sdk.idempotency import key_of_item
from trigger_lite.sdk.options import RunOptions, trigger_options

_RUN = "run_local"


def _hash(*parts: str) -> str:
    return hashlib.sha256("-".join(parts).encode()).hexdigest()


def _wire(key: Any) -> TriggerOptions:
    return trigger_options("resize.trigger", RunOptions(idempotency_key=key))


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("k", ("k", _RUN)),
        (IdempotencyKey("k"), ("k", _RUN)),
        (IdempotencyKey("k", scope="run"), ("k", _RUN)),
        (IdempotencyKey("k", scope="attempt"), ("k", _RUN, "1")),
        (IdempotencyKey("k", scope="global"), ("k",)),
    ],
)
def test_inside_a_run_the_scope_decides_what_a_key_belongs_to(
    key: str | IdempotencyKey, parts: tuple[str, ...]
) -> None:
    """ID-08: the run by default; the hash is that of official clients."""

    @task
    def parent() -> list[Any]:
        wire = _wire(key)
        shown = wire.idempotency_key_options
        assert shown is not None
        return [wire.idempotency_key, shown.key, shown.scope]

    scope = key.scope if isinstance(key, IdempotencyKey) else "run"
    assert run_inline(parent).unwrap() == [_hash(*parts), "k", scope]


@pytest.mark.parametrize("scope", ["run", "attempt", "global"])
def test_outside_a_run_every_scope_is_global(scope: Any) -> None:
    """ID-08: the scope is told all the same."""
    wire = _wire(IdempotencyKey("k", scope=scope))
    assert wire.idempotency_key == _hash("k")
    assert wire.idempotency_key_options == IdempotencyKeyOptions("k", scope)


@pytest.mark.parametrize("key", ["", 7, ["a"]])
def test_what_is_no_key_is_refused(key: Any) -> None:
    with pytest.raises(DefinitionError, match="must be a text"):
        _wire(key)


def test_an_unknown_scope_is_refused() -> None:
    with pytest.raises(DefinitionError, match='scope must be "run", "attempt" or "global", not \'task\''):
        IdempotencyKey("k", scope="task")  # type: ignore[arg-type]


def test_every_item_of_many_has_a_key_of_its_own() -> None:
    """ID-08: in the scope that was given."""
    assert key_of_item("night", 1) == "night-1"
    assert key_of_item(IdempotencyKey("night", scope="global"), 0) == IdempotencyKey("night-0", "global")


# ---- reset ----------------------------------------------------------------------------------------------


def _reset_paths(edge: Edge) -> list[str]:
    return [request.path.split("/")[4] for request in edge.requests]


def test_a_key_is_reset_for_a_task(edge: Edge) -> None:
    """ID-09: by the task or its id; the key is hashed as it was for the trigger."""
    edge.on("POST", "/api/v1/idempotencyKeys/.*/reset", Reply(body={"id": "x"}))

    @task
    def resize(width: int) -> int:
        return width

    idempotency_keys.reset("resize", "k")
    idempotency_keys.reset(resize, IdempotencyKey("k", scope="global"))
    idempotency_keys.reset("resize", "0" * 64)
    idempotency_keys.reset("resize", "k", run_id="run_1")
    idempotency_keys.reset("resize", IdempotencyKey("k", scope="attempt"), run_id="run_1", attempt=2)
    wanted = [_hash("k"), _hash("k"), "0" * 64, _hash("k", "run_1"), _hash("k", "run_1", "2")]
    assert _reset_paths(edge) == wanted
    assert {request.body["taskIdentifier"] for request in edge.requests} == {"resize"}


def test_inside_a_run_its_own_key_is_reset(edge: Edge) -> None:
    """ID-09: as the trigger there made it."""
    edge.on("POST", "/api/v1/idempotencyKeys/.*/reset", Reply(body={"id": "x"}))

    @task
    def parent() -> None:
        idempotency_keys.reset("resize", "k")

    run_inline(parent).unwrap()
    assert _reset_paths(edge) == [_hash("k", _RUN)]


def test_a_key_nobody_has_is_said_to_be(edge: Edge) -> None:
    """ID-09: 404."""
    edge.on("POST", "/api/v1/idempotencyKeys/.*/reset", Reply(404, {"error": "No run has this key"}))
    with pytest.raises(ApiError, match="No run has this key"):
        asyncio.run(idempotency_keys.aio.reset("resize", "k"))

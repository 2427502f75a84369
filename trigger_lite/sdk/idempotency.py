"""Idempotency keys: what belongs to one is hashed here, so that servers compare and never read (ID-08)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote

import msgspec

from trigger_lite.protocol.tasks import IdempotencyKeyOptions, KeyWasReset, ResetKey
from trigger_lite.sdk.blocking import in_thread, refuse_in_event_loop
from trigger_lite.sdk.context import find_context
from trigger_lite.sdk.errors import DefinitionError

if TYPE_CHECKING:
    from trigger_lite.sdk.client import Client
    from trigger_lite.sdk.task import Task

Scope = Literal["run", "attempt", "global"]
_SCOPES: Final = ("run", "attempt", "global")
_HASHED_LENGTH: Final = 64


class IdempotencyKey(msgspec.Struct, frozen=True):
    """A key by which a second trigger finds the first one's run, and how far it reaches.

    Inside a run: `run` once for that run (the default), `attempt` once for each of its attempts, `global`
    once for everybody. Outside a run all three are global. A plain text is a key of scope `run`.

    >>> once = resize.with_(idempotency_key=IdempotencyKey("welcome user_7", scope="global"))
    >>> handle = once.trigger("https://example.com/cat.png", 100)
    """

    key: str
    scope: Scope = "run"

    def __post_init__(self) -> None:
        if not isinstance(self.key, str) or not self.key:
            raise DefinitionError(f"IdempotencyKey: the key must be a text, not {self.key!r}")
        if self.scope not in _SCOPES:
            raise DefinitionError(
                f'IdempotencyKey: scope must be "run", "attempt" or "global", not {self.scope!r}'
            )


def hashed_key(key: str | IdempotencyKey) -> tuple[str, IdempotencyKeyOptions | None]:
    """Return the key as it is compared, and as it is shown (management-api 7).

    64 characters are taken as already hashed.
    """
    if isinstance(key, str) and len(key) == _HASHED_LENGTH:
        return key, None
    wanted = key if isinstance(key, IdempotencyKey) else IdempotencyKey(key)
    context = find_context()
    run_id = None if context is None else context.run.id
    attempt = None if context is None else context.attempt.number
    return _hash(wanted, run_id, attempt), IdempotencyKeyOptions(key=wanted.key, scope=wanted.scope)


def key_of_item(key: str | IdempotencyKey, index: int) -> str | IdempotencyKey:
    """Return the key of one item of many that were given a key together."""
    if isinstance(key, IdempotencyKey):
        return IdempotencyKey(f"{key.key}-{index}", key.scope)
    return f"{key}-{index}"


def _hash(key: IdempotencyKey, run_id: str | None, attempt: int | None) -> str:
    import hashlib

    parts = [key.key]
    if key.scope != "global" and run_id is not None:
        parts.append(run_id)
        if key.scope == "attempt" and attempt is not None:
            parts.append(str(attempt))
    return hashlib.sha256("-".join(parts).encode()).hexdigest()


class IdempotencyKeys:
    """Keys of one environment. `trigger_lite.idempotency_keys` are those of the configured server.

    >>> idempotency_keys.reset("resize", "welcome user_7")
    """

    def __init__(self, find_client: "Callable[[], Client]") -> None:
        self._find_client = find_client

    @property
    def aio(self) -> "AsyncIdempotencyKeys":
        """The same for async code.

        >>> async def forget(user: str) -> None:
        ...     await idempotency_keys.aio.reset("resize", f"welcome {user}")
        """
        return AsyncIdempotencyKeys(self)

    def reset(
        self,
        task: "Task[..., Any] | str",
        key: str | IdempotencyKey,
        *,
        run_id: str | None = None,
        attempt: int | None = None,
    ) -> None:
        """Free the key of a task, so that the next trigger makes a new run; the earlier one goes on.

        A key that was used inside a run is that of `run_id`, and of its `attempt`: the current ones when not
        given. Raises ApiError 404 when no run has the key.

        >>> idempotency_keys.reset(resize, IdempotencyKey("welcome user_7", scope="global"))
        """
        refuse_in_event_loop("idempotency_keys.reset(…)", "await idempotency_keys.aio.reset(…)")
        context = find_context()
        if context is not None:
            run_id = run_id or context.run.id
            attempt = attempt or context.attempt.number
        if isinstance(key, str) and len(key) == _HASHED_LENGTH:
            hashed = key
        else:
            wanted = key if isinstance(key, IdempotencyKey) else IdempotencyKey(key)
            hashed = _hash(wanted, run_id, attempt)
        task_id = task if isinstance(task, str) else task.id
        path = f"/api/v1/idempotencyKeys/{quote(hashed, safe='')}/reset"
        self._find_client().request("POST", path, KeyWasReset, msgspec.json.encode(ResetKey(task_id)))


class AsyncIdempotencyKeys:
    """Keys for async code. Get them as `idempotency_keys.aio`.

    >>> async def forget(user: str) -> None:
    ...     await idempotency_keys.aio.reset("resize", f"welcome {user}")
    """

    def __init__(self, keys: IdempotencyKeys) -> None:
        self._keys = keys

    async def reset(
        self,
        task: "Task[..., Any] | str",
        key: str | IdempotencyKey,
        *,
        run_id: str | None = None,
        attempt: int | None = None,
    ) -> None:
        """Free the key of a task; like `IdempotencyKeys.reset`.

        >>> async def forget(user: str) -> None:
        ...     await idempotency_keys.aio.reset(resize, f"welcome {user}")
        """
        await in_thread(self._keys.reset, task, key, run_id=run_id, attempt=attempt)

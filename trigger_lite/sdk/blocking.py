"""Where blocking and async code meet: every `.aio` twin runs its blocking form in a thread of its own."""

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from trigger_lite.sdk.errors import BlockingCall

P = ParamSpec("P")
T = TypeVar("T")


def refuse_in_event_loop(call: str, instead: str) -> None:
    """Raise BlockingCall when this thread runs an event loop, which `call` would hold up."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise BlockingCall(f"{call} would block the running event loop; write `{instead}`")


async def in_thread(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `fn` returns, called in a new thread with this code's context variables.

    A thread of its own and not one of a pool: a hundred waits at once must not wait for each other.
    """
    import asyncio
    import contextvars

    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    def work() -> None:
        result: Any = None
        failure: BaseException | None = None
        try:
            result = context.run(fn, *args, **kwargs)
        except BaseException as error:
            failure = error
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=work, name="trigger-lite-call", daemon=True).start()
    return await future

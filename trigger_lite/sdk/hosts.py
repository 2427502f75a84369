"""Where the steps of an attempt run: described once, as coroutines, for blocking and for async tasks.

An async task's steps run on an event loop. A blocking task's steps run straight through, in its thread; what
is async among its hooks and middleware runs on a loop of the attempt's own, one call at a time, so that the
task's code is never inside a running event loop that it must not block.
"""

import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio

Steps = Callable[["Host"], Coroutine[Any, Any, None]]
Outcome = tuple[Any, BaseException | None]
"""What code returned, and the exception that left it, if one did."""


class Host(Protocol):
    """Runs the steps of one attempt; made by `host_of`, used by `run` once, closed by it."""

    interruption: BaseException | None
    """What ended the event loop under the steps, such as the exit that SIGTERM asks for."""

    def run(self, steps: Steps) -> None:
        """Run the steps to their end; they do not raise."""

    async def settle(self, value: Any) -> Any:
        """Return the value, or what it gives when it is awaited."""

    async def code(self, value: Awaitable[Any]) -> Outcome:
        """Await what an async task's function returned; `interrupt` cancels it."""
        ...

    def interrupt(self) -> None:
        """Cancel the code that `code` awaits, if it is running."""

    def beside(self, steps: Steps) -> None:
        """Run steps beside the code, then interrupt it; called once, from any thread."""

    async def join(self) -> None:
        """Wait until the steps beside the code are done."""

    def call(self, steps: Steps) -> None:
        """Run steps to their end for the task's code, in whichever thread that is."""


class BlockingHost:
    """Runs steps in this thread."""

    def __init__(self) -> None:
        self.interruption: BaseException | None = None
        self._thread = threading.get_ident()
        self._runner: asyncio.Runner | None = None
        self._joined = threading.Event()

    def run(self, steps: Steps) -> None:
        try:
            self._drive(steps)
        finally:
            if self._runner is not None:
                self._runner.close()

    def _drive(self, steps: Steps) -> None:
        coroutine = steps(self)
        try:
            coroutine.send(None)
        except StopIteration:
            return
        coroutine.close()
        raise AssertionError("a step of a blocking task waited for an event loop that does not run")

    async def settle(self, value: Any) -> Any:
        if not inspect.isawaitable(value):
            return value
        if self._runner is None:
            import asyncio

            self._runner = asyncio.Runner()
        return self._runner.run(_awaited(value))

    async def code(self, value: Awaitable[Any]) -> Outcome:
        outcome: Outcome = await self.settle(_outcome(value))
        return outcome

    def interrupt(self) -> None:
        """Do nothing: code that blocks looks at `ctx.canceled`, or is ended by SIGTERM."""

    def beside(self, steps: Steps) -> None:
        try:
            BlockingHost().run(steps)
        finally:
            self._joined.set()

    async def join(self) -> None:
        self._joined.wait()

    def call(self, steps: Steps) -> None:
        if threading.get_ident() == self._thread:
            self._drive(steps)
        else:
            BlockingHost().run(steps)


class AsyncHost:
    """Runs steps on an event loop in this thread."""

    def __init__(self) -> None:
        self.interruption: BaseException | None = None
        self._code: asyncio.Task[Outcome] | None = None
        self._loop: asyncio.AbstractEventLoop
        self._joined: asyncio.Future[None]

    def run(self, steps: Steps) -> None:
        import asyncio

        runner = asyncio.Runner()
        self._loop = runner.get_loop()
        self._joined = self._loop.create_future()
        try:
            runner.run(steps(self))
        except (
            BaseException
        ) as error:  # past every coroutine: closing the runner cancels them, with this reason
            self.interruption = error
        finally:
            runner.close()

    async def settle(self, value: Any) -> Any:
        return await value if inspect.isawaitable(value) else value

    async def code(self, value: Awaitable[Any]) -> Outcome:
        self._code = self._loop.create_task(_outcome(value))
        return await self._code

    def interrupt(self) -> None:
        if self._code is not None:
            self._code.cancel()

    def beside(self, steps: Steps) -> None:
        with suppress(RuntimeError):  # the loop was closed: there is no code to run beside
            self._loop.call_soon_threadsafe(self._begin, steps)

    def _begin(self, steps: Steps) -> None:
        self._beside = self._loop.create_task(steps(self))
        self._beside.add_done_callback(self._end)

    def _end(self, _: "asyncio.Task[None]") -> None:
        self._joined.set_result(None)
        self.interrupt()

    async def join(self) -> None:
        await self._joined

    def call(self, steps: Steps) -> None:
        import asyncio

        asyncio.run_coroutine_threadsafe(steps(self), self._loop).result()


def host_of(*, is_async: bool) -> Host:
    """Return a host for one attempt of a task."""
    return AsyncHost() if is_async else BlockingHost()


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value


async def _outcome(value: Awaitable[Any]) -> Outcome:
    """Keep what leaves the code, an exit above all, from the event loop, which that would end."""
    import asyncio

    try:
        return await value, None
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        return None, error

"""An exception of user code as it is stored: name, message, traceback without our own frames, causes."""

import os
import traceback
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final

from trigger_lite.protocol.run_errors import MAX_TEXT, BuiltInError, Cause, ErrorCode, InternalError, RunError
from trigger_lite.sdk.errors import ConcurrentWait, OutOfMemory

_PACKAGE: Final = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
_MAX_CAUSES: Final = 5
_HEAD: Final = 2_048


def run_error(error: BaseException, fn: Callable[..., Any]) -> RunError:
    """Return what is stored for an exception that left `fn`."""
    stack = stack_trace(error, fn)
    if isinstance(error, MemoryError | OutOfMemory):
        return InternalError(ErrorCode.TASK_PROCESS_OOM_KILLED, _message(error) or "out of memory", stack)
    if isinstance(error, ConcurrentWait):
        return InternalError(ErrorCode.TASK_DID_CONCURRENT_WAIT, _message(error), stack)
    causes = [
        Cause(message=_message(cause), name=type(cause).__name__, stack_trace=stack_trace(cause, fn))
        for cause in _causes(error)
    ]
    return BuiltInError(
        name=type(error).__name__,
        message=_message(error),
        stack_trace=stack,
        causes=causes or None,
    )


def stack_trace(error: BaseException, fn: Callable[..., Any]) -> str:
    """Return Python's own text for the exception, from `fn` on, without frames of this package."""
    shown = traceback.TracebackException(type(error), error, _from_task(error.__traceback__, fn))
    shown.__cause__ = shown.__context__ = None
    shown.stack = traceback.StackSummary.from_list(
        [frame for frame in shown.stack if not os.path.abspath(frame.filename).startswith(_PACKAGE)]
    )
    return _shortened("".join(shown.format(chain=False)).rstrip("\n"))


def _from_task(trace: TracebackType | None, fn: Callable[..., Any]) -> TracebackType | None:
    """Leave out what called the task: this package and, for an async one, the event loop."""
    code = getattr(fn, "__code__", None)
    step = trace
    while step is not None:
        if step.tb_frame.f_code is code:
            return step
        step = step.tb_next
    return trace


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    for cause in _chain(error):
        if cause in found or len(found) == _MAX_CAUSES:
            break
        found.append(cause)
    return found


def _chain(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        yield from error.exceptions
    step: BaseException | None = error
    while step is not None:
        step = step.__cause__ or (None if step.__suppress_context__ else step.__context__)
        if step is not None:
            yield step


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:  # a broken __str__ must not hide the error it belongs to
        return f"<{type(error).__name__}.__str__ raised {type(failure).__name__}>"


def _shortened(text: str) -> str:
    """Cut out of the middle: the end says what went wrong, the beginning where it set out."""
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:_HEAD]}\n  …\n{text[-(MAX_TEXT - _HEAD - 5) :]}"

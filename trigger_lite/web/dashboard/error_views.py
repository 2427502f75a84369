"""An error as a page shows it: what it is, where in one's own code it happened, and the raw text."""

from dataclasses import dataclass
from typing import Final

from trigger_lite.engine.run_json import decode_error
from trigger_lite.protocol.run_errors import BuiltInError, InternalError, api_error
from trigger_lite.web.dashboard.texts import shown
from trigger_lite.web.dashboard.tracebacks import Frame, frames

_MESSAGE: Final = 4_000
_STACK: Final = 16_384


@dataclass(frozen=True)
class FrameView:
    """One step of a traceback; libraries' own are shown faintly."""

    place: str
    function: str
    code: str
    is_library: bool


@dataclass(frozen=True)
class CauseView:
    name: str
    message: str


@dataclass(frozen=True)
class ErrorView:
    """`name` is the exception's class or the platform's code; `raw` the whole traceback as it was sent."""

    name: str
    message: str
    frames: tuple[FrameView, ...]
    raw: str
    causes: tuple[CauseView, ...]


def error_view(text: str) -> ErrorView:
    """Return the view of a stored error (JSON)."""
    error = decode_error(text)
    if isinstance(error, BuiltInError):
        causes = tuple(
            CauseView(shown(c.name or "Cause", 200), shown(c.message, 1_000)) for c in error.causes or ()
        )
        return _view(error.name, error.message, error.stack_trace, causes)
    if isinstance(error, InternalError):
        return _view(error.code.value, error.message or "", error.stack_trace or "", ())
    return _view("", api_error(error).message, "", ())


def _view(name: str, message: str, stack: str, causes: tuple[CauseView, ...]) -> ErrorView:
    return ErrorView(
        name=shown(name, 200),
        message=shown(message, _MESSAGE),
        frames=tuple(_frame_view(frame) for frame in frames(stack)),
        raw=shown(stack, _STACK) if stack.strip() else "",
        causes=causes,
    )


def _frame_view(frame: Frame) -> FrameView:
    place = f"{shown(frame.file, 300)}:{frame.line}"
    return FrameView(place, shown(frame.function, 200), shown(frame.code, 300), frame.is_library)

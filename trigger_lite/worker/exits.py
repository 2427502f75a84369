"""What the end of a process means for the run it was making (engine-behaviours AT-14, AT-27)."""

import signal
from typing import Final

from trigger_lite.protocol.run_errors import ErrorCode, InternalError

_KILLED_EXIT_CODE: Final = 137
_BY_SIGNAL: Final[dict[int, ErrorCode]] = {
    signal.SIGSEGV: ErrorCode.TASK_PROCESS_SIGSEGV,
    signal.SIGBUS: ErrorCode.TASK_PROCESS_SIGSEGV,
    signal.SIGTERM: ErrorCode.TASK_PROCESS_SIGTERM,
    signal.SIGKILL: ErrorCode.TASK_PROCESS_MAYBE_OOM_KILLED,
}


def error_of_exit(code: int) -> InternalError:
    """Return the error of a run whose process ended with `code`; minus a signal's number if by one."""
    if code < 0:
        return _error_of_signal(-code)
    if code == _KILLED_EXIT_CODE:
        return InternalError(
            ErrorCode.TASK_PROCESS_MAYBE_OOM_KILLED,
            "The process exited with code 137, as it does when the system kills it for lack of memory",
        )
    return InternalError(
        ErrorCode.TASK_PROCESS_EXITED_WITH_NON_ZERO_CODE,
        f"The process exited with code {code} before the run finished",
    )


def _error_of_signal(number: int) -> InternalError:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    code = _BY_SIGNAL.get(number, ErrorCode.TASK_PROCESS_EXITED_WITH_NON_ZERO_CODE)
    hint = ", most likely because memory ran out" if number == signal.SIGKILL else ""
    return InternalError(code, f"The process was ended by {name}{hint}")

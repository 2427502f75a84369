"""What the end of a process means."""

import signal

import pytest

from trigger_lite.protocol.run_errors import ErrorCode
from trigger_lite.worker.exits import error_of_exit


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (1, ErrorCode.TASK_PROCESS_EXITED_WITH_NON_ZERO_CODE),
        (0, ErrorCode.TASK_PROCESS_EXITED_WITH_NON_ZERO_CODE),
        (137, ErrorCode.TASK_PROCESS_MAYBE_OOM_KILLED),
        (-signal.SIGKILL, ErrorCode.TASK_PROCESS_MAYBE_OOM_KILLED),
        (-signal.SIGSEGV, ErrorCode.TASK_PROCESS_SIGSEGV),
        (-signal.SIGBUS, ErrorCode.TASK_PROCESS_SIGSEGV),
        (-signal.SIGTERM, ErrorCode.TASK_PROCESS_SIGTERM),
        (-signal.SIGABRT, ErrorCode.TASK_PROCESS_EXITED_WITH_NON_ZERO_CODE),
        (-63, ErrorCode.TASK_PROCESS_EXITED_WITH_NON_ZERO_CODE),
    ],
)
def test_each_end_has_its_code(code: int, expected: ErrorCode) -> None:
    assert error_of_exit(code).code is expected


def test_the_message_names_the_code_or_the_signal() -> None:
    assert "code 3" in (error_of_exit(3).message or "")
    assert "SIGABRT" in (error_of_exit(-signal.SIGABRT).message or "")

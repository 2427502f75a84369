"""Tracebacks read as frames."""

from trigger_lite.web.dashboard.tracebacks import Frame, frames

STACK = """Traceback (most recent call last):
  File "/srv/app/tasks.py", line 3, in sync
    fetch(1)
  File "/srv/venv/lib/python3.11/site-packages/httpx/_models.py", line 829, in raise_for_status
    raise HTTPStatusError(message)
httpx.HTTPStatusError: 429
"""


def test_frames_name_file_line_function_and_code() -> None:
    assert frames(STACK)[0] == Frame("/srv/app/tasks.py", "3", "sync", "fetch(1)", False)


def test_libraries_are_told_from_ones_own_code() -> None:
    assert [frame.is_library for frame in frames(STACK)] == [False, True]


def test_of_several_tracebacks_the_last_counts() -> None:
    last = STACK.replace("/srv/app/tasks.py", "/srv/app/other.py")
    both = f"{STACK}\nThe above exception was the direct cause of the following exception:\n\n{last}"
    assert frames(both)[0].file == "/srv/app/other.py"
    assert len(frames(both)) == 2


def test_what_is_no_traceback_has_no_frames() -> None:
    assert frames("") == []
    assert frames("x" * 1_000_000) == []

"""The tasks that the imported files define."""

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from trigger_lite.sdk.task import Task


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two tasks with one id; `first` keeps it."""

    first: "Task[..., Any]"
    second: "Task[..., Any]"

    def __str__(self) -> str:
        places = " and ".join(f"{task.file_path}:{task.line}" for task in (self.first, self.second))
        return f"Two tasks have the id {self.first.id!r}: {places}; give one of them another id"


class TaskRegistry:
    """Tasks by id, in the order they were defined."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task[..., Any]] = {}
        self._duplicates: list[Duplicate] = []
        self._lock = threading.Lock()

    def add(self, task: "Task[..., Any]") -> None:
        """Record a task. A second one with the same id is kept apart as a duplicate, not raised.

        The same function defined again (its module was reloaded) replaces the older one.
        """
        with self._lock:
            present = self._tasks.get(task.id)
            if present is not None and _place(present) != _place(task):
                self._duplicates.append(Duplicate(present, task))
            else:
                self._tasks[task.id] = task

    def tasks(self) -> "tuple[Task[..., Any], ...]":
        """Return every task, in the order they were defined."""
        return tuple(self._tasks.values())

    def find(self, task_id: str) -> "Task[..., Any] | None":
        """Return the task of this id, or None."""
        return self._tasks.get(task_id)

    def duplicates(self) -> tuple[Duplicate, ...]:
        """Return each definition that came second to its id."""
        return tuple(self._duplicates)

    def clear(self) -> None:
        """Forget every task, before the files are imported again."""
        with self._lock:
            self._tasks.clear()
            self._duplicates.clear()


def _place(task: "Task[..., Any]") -> tuple[str, str]:
    return task.file_path, task.fn.__qualname__


registry: Final = TaskRegistry()
"""The one registry of this process: importing a task file fills it."""

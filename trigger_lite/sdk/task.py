"""A task: a function that can also be triggered."""

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

from trigger_lite.protocol.manifest import TaskManifest

P = ParamSpec("P")
R = TypeVar("R")


class Task(Generic[P, R]):
    """A function that can also be triggered."""

    id: str
    fn: Callable[..., Any]
    file_path: str
    line: int
    export_name: str

    def manifest(self) -> TaskManifest:
        """Return what a worker registers for this task."""
        raise NotImplementedError

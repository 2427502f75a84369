"""One attempt of a run, in this process."""

from typing import Any

from trigger_lite.protocol.execution import Completion, Execution
from trigger_lite.sdk.channel import RunChannel
from trigger_lite.sdk.task import Task


def run_attempt(task: Task[..., Any], execution: Execution, channel: RunChannel) -> Completion:
    """Run the task's code once and return how it went. Never raises."""
    raise NotImplementedError

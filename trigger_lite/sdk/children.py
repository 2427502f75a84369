"""Runs that a run triggers and waits for."""

from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from trigger_lite.protocol.run_errors import RunError, StringError, final_status
from trigger_lite.protocol.statuses import ApiStatus, api_status
from trigger_lite.protocol.tasks import TriggerOptions
from trigger_lite.protocol.waitpoints import CompletedByRun, CompletedWaitpoint, WaitpointKind
from trigger_lite.sdk.context import Ctx
from trigger_lite.sdk.errors import RunCanceled, RunFailed, SubtaskError
from trigger_lite.sdk.output import decode_output
from trigger_lite.sdk.result import Err, Ok
from trigger_lite.sdk.waiting import until_canceled, wait_in_run

if TYPE_CHECKING:
    from trigger_lite.sdk.local import LocalWorld
    from trigger_lite.sdk.task import Task

R = TypeVar("R")
ChildResult = Ok[R] | Err[SubtaskError]
"""How a run ended that another one waited for."""


class AwaitedChild(Generic[R]):
    """One run of a task, triggered and waited for. Implements `sdk.channel.Awaited`."""

    longest = None

    def __init__(self, context: Ctx, task: "Task[..., R]", payload: str, options: TriggerOptions) -> None:
        self._context = context
        self._task = task
        self._payload = payload
        self._options = msgspec.structs.replace(options, resume_parent_on_completion=True)
        self._run_id = ""
        self.ended: CompletedWaitpoint | None = None

    def begin(self) -> None:
        from trigger_lite.sdk.target import default_client

        go_on = until_canceled(self._context)
        self._run_id = (
            default_client().trigger_json(self._task.id, self._payload, self._options, go_on=go_on).id
        )

    def accept(self, waitpoint: CompletedWaitpoint) -> None:
        run = waitpoint.completed_by_task_run
        if waitpoint.type is WaitpointKind.RUN and waitpoint.index is None and run is not None:
            self.ended = waitpoint if run.friendly_id == self._run_id else self.ended

    @property
    def is_over(self) -> bool:
        return self.ended is not None

    def pretend(self, world: "LocalWorld") -> None:
        self.ended = world.run_child(self._task, self._payload)


def trigger_and_wait(
    context: Ctx, task: "Task[..., R]", payload: str, options: TriggerOptions
) -> ChildResult[R]:
    """Trigger a run as a child of the current one, and return how it ended; raises like `wait_in_run`."""
    child = AwaitedChild(context, task, payload, options)
    wait_in_run(context, child)
    assert child.ended is not None
    return child_result(task, child.ended)


def child_result(task: "Task[..., R]", ended: CompletedWaitpoint) -> ChildResult[R]:
    """Return how a run of `task` ended, of which `ended` tells.

    Raises PayloadError when its output is not what the task promises.
    """
    run = ended.completed_by_task_run
    assert run is not None  # as the protocol checks
    if ended.output_is_error:
        cause = _cause(run, task.id, ended.output)
        return Err(SubtaskError(run.friendly_id, task.id, cause), run.friendly_id)
    output: R = decode_output(ended.output, ended.output_type, task.returns)
    return Ok(output, run.friendly_id)


def _cause(run: CompletedByRun, task: str, text: str | None) -> RunFailed:
    error: RunError = StringError("no error was stored")
    if text is not None:
        error = msgspec.json.decode(text, type=RunError)
    status = run.status or api_status(final_status(error, is_dev=False))
    kind = RunCanceled if status is ApiStatus.CANCELED else RunFailed
    return kind(run.friendly_id, task=task, status=status.value, error=error)

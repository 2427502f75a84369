"""Run a task like a worker would, in a test: no server, no process, no sleep."""

import itertools
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, ParamSpec, TypeVar

import msgspec

from trigger_lite.protocol.execution import Completion
from trigger_lite.protocol.run_errors import final_status
from trigger_lite.protocol.statuses import api_status
from trigger_lite.protocol.times import iso
from trigger_lite.protocol.waitpoints import CompletedByRun, CompletedWaitpoint, WaitpointKind
from trigger_lite.sdk.attempt import run_attempt
from trigger_lite.sdk.blocking import refuse_in_event_loop
from trigger_lite.sdk.codec import to_json
from trigger_lite.sdk.context import find_context
from trigger_lite.sdk.decision import AttemptSettings
from trigger_lite.sdk.errors import RunFailed
from trigger_lite.sdk.lifecycle import heard_of_failure, tell_failure
from trigger_lite.sdk.local import LOCAL_RUN, LocalChannel, local_execution
from trigger_lite.sdk.output import decode_output
from trigger_lite.sdk.payload import JSON
from trigger_lite.sdk.result import Err, InlineRun, Ok
from trigger_lite.sdk.task import Task

P = ParamSpec("P")
R = TypeVar("R")


class InlineWorld:
    """One test's runs: a clock that only waiting moves, and tokens. Implements `sdk.local.LocalWorld`."""

    def __init__(self, answers: Iterable[Any]) -> None:
        self.now = time.time()
        self._answers = deque(to_json(answer) for answer in answers)
        self._tokens: dict[str, str] = {}
        self._keys: dict[str, str] = {}
        self._numbers = itertools.count(1)

    def run(self, task: Task[..., Any], payload: str, run_id: str) -> tuple[Completion, InlineRun]:
        """Make attempts until the run is over."""
        context = find_context()
        parent = context.channel if context is not None else None
        channel = LocalChannel(self, parent if isinstance(parent, LocalChannel) else None)
        settings = AttemptSettings(now=lambda: self.now, jitter=lambda: 0.0)
        started, attempt = self.now, 0
        while True:
            attempt += 1
            execution = local_execution(
                task.id,
                task.file_path,
                task.queue_name,
                payload=payload,
                attempt=attempt,
                now=iso(round(self.now * 1000)),
                channel=channel,
                run_id=run_id,
            )
            completion = run_attempt(task, execution, channel, settings=settings)
            if completion.retry is None:
                break
            self.now += completion.retry.delay / 1000
        if completion.error is not None and not heard_of_failure(completion):
            tell_failure(task, execution, channel, completion.error)
        waited = self.now - started
        return completion, InlineRun(
            attempt, waited, channel.values, tuple(channel.names), tuple(channel.lines)
        )

    def run_child(self, task: Task[..., Any], payload: str) -> CompletedWaitpoint:
        """Run a task to its end."""
        run_id = f"{LOCAL_RUN}{next(self._numbers) + 1}"
        completion, _ = self.run(task, payload, run_id)
        status = None
        output, output_type = completion.output, completion.output_type
        if completion.error is not None:
            status = api_status(final_status(completion.error, is_dev=True))
            output, output_type = msgspec.json.encode(completion.error).decode(), JSON
        return CompletedWaitpoint(
            id=f"waitpoint_{run_id}",
            friendly_id=f"waitpoint_{run_id}",
            type=WaitpointKind.RUN,
            completed_at=iso(round(self.now * 1000)),
            output_is_error=not completion.ok,
            completed_by_task_run=CompletedByRun(run_id, run_id, status=status),
            output=output,
            output_type=output_type,
        )

    def make_token(self, key: str | None) -> tuple[str, bool]:
        """Return the id of a token, and whether the idempotency key found it."""
        if key is not None and key in self._keys:
            return self._keys[key], True
        token_id = f"waitpoint_local{next(self._numbers)}"
        if key is not None:
            self._keys[key] = token_id
        return token_id, False

    def complete_token(self, token_id: str, data: str) -> None:
        """Complete a token with JSON text; the first completion counts."""
        self._tokens.setdefault(token_id, data)

    def end_of_token(self, token_id: str) -> CompletedWaitpoint:
        """Return what a token was completed with; without an answer it timed out."""
        if token_id not in self._tokens and self._answers:
            self._tokens[token_id] = self._answers.popleft()
        data = self._tokens.get(token_id)
        return CompletedWaitpoint(
            id=token_id,
            friendly_id=token_id,
            type=WaitpointKind.MANUAL,
            completed_at=iso(round(self.now * 1000)),
            output_is_error=data is None,
            output=data,
            output_type=JSON,
        )


class RunInline:
    """Runs tasks in a test. `run_inline` is one whose tokens nobody completes.

    >>> run_inline(double, 21).unwrap()
    42
    """

    def __init__(self, answers: tuple[Any, ...]) -> None:
        self._answers = answers

    def with_(self, *, tokens: Iterable[Any]) -> "RunInline":
        """Return one whose tokens are completed with these values, in the order the run waits for them.

        When there are no more, or without any, a wait for a token times out at once.

        >>> run_inline.with_(tokens=[{"approved": True, "by": "Ada"}])(publish, "post-1").unwrap()
        'published by Ada'
        """
        return RunInline(tuple(tokens))

    def __call__(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Ok[R] | Err[RunFailed]:
        """Run a task here as a worker would: payload and result through JSON, retries made at once.

        Delays between attempts and waits pass on a fake clock; a run that is triggered and waited for runs
        here too. What the task triggers and does not wait for goes to the configured server.
        Raises PayloadError when the arguments do not fit.
        """
        refuse_in_event_loop("run_inline(…)", "await asyncio.to_thread(run_inline, …)")
        payload = task.codec.encode(args, kwargs)
        completion, story = InlineWorld(self._answers).run(task, payload, LOCAL_RUN)
        if completion.ok:
            output: R = decode_output(completion.output, completion.output_type, task.returns)
            return Ok(output, LOCAL_RUN, story)
        assert completion.error is not None
        status = api_status(final_status(completion.error, is_dev=True)).value
        error = RunFailed(LOCAL_RUN, task=task.id, status=status, error=completion.error)
        return Err(error, LOCAL_RUN, story)


run_inline: Final = RunInline(())
"""Runs a task in a test."""

"""The process that runs user code: one attempt at a time, handed to it over a socket.

Its stdout and stderr are pipes that the parent reads. A signal of its own says that the run was
cancelled; SIGTERM unwinds user code, so that `finally` blocks run, and then ends the process.
"""

import os
import resource
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NoReturn, cast

import msgspec

from trigger_lite.protocol.execution import Completion, Execution
from trigger_lite.protocol.metadata import Operation
from trigger_lite.protocol.run_errors import ErrorCode, InternalError
from trigger_lite.protocol.worker import LogLevel
from trigger_lite.sdk.attempt import run_attempt
from trigger_lite.sdk.cancellation import Cancellation
from trigger_lite.sdk.channel import Awaited
from trigger_lite.sdk.decision import AttemptSettings
from trigger_lite.sdk.lifecycle import tell_failure
from trigger_lite.sdk.task import Task
from trigger_lite.worker.capture import capture_logging
from trigger_lite.worker.frames import BlockingFrames
from trigger_lite.worker.messages import (
    CANCEL_SIGNAL,
    Begin,
    Finished,
    MetadataChanged,
    Packet,
    Said,
    TagsAdded,
    Told,
)
from trigger_lite.worker.waits import AttemptWaits, Bell, decoder

FindTask = Callable[[str], Task[..., Any] | None]

_EXIT_BROKEN: Final = 70
_WORD: Final = 2**63
_GB: Final = 1024**3


class ChildChannel:
    """Implements `sdk.channel.RunChannel` over the socket to the parent; one for each attempt."""

    def __init__(self, child: "Child") -> None:
        self.world = None
        self._child = child
        self._canceled = Cancellation()
        self._waits = child.begin_waits()

    @property
    def canceled(self) -> Cancellation:
        return self._canceled

    @property
    def is_ending(self) -> bool:
        return self._child.is_ending

    def log(self, level: str, message: str, attributes: Mapping[str, Any] | None) -> None:
        at = time.time_ns() // 1_000_000
        self._child.said(cast(LogLevel, level), at, message, dict(attributes) if attributes else None)

    def metadata(
        self,
        operations: Sequence[Operation],
        parent_operations: Sequence[Operation],
        root_operations: Sequence[Operation],
    ) -> None:
        changes = MetadataChanged(list(operations), list(parent_operations), list(root_operations))
        self._child.send(changes)

    def tags(self, tags: Sequence[str]) -> None:
        self._child.send(TagsAdded(list(tags)))

    def wait(self, awaited: Awaited) -> None:
        self._waits.wait(awaited)
        if self._child.is_canceled:
            self._canceled.wait()  # another thread is about to set it

    def close(self) -> None:
        """The attempt is over: whatever of it still waits, in a thread left behind, ends."""
        self._waits.close()


@dataclass(frozen=True, slots=True)
class ChildDuty:
    """What a child knows besides its runs: the tasks, and what attempts are judged by."""

    find_task: FindTask
    settings: AttemptSettings
    enforce_memory: bool


class Child:
    """Makes attempts until the parent closes the socket."""

    def __init__(self, sock: socket.socket, duty: ChildDuty) -> None:
        self._frames = BlockingFrames(sock)
        self._duty = duty
        self._encoder = msgspec.msgpack.Encoder(enc_hook=repr)
        self._sending = threading.Lock()
        self._channel: ChildChannel | None = None
        self._terminated = False
        # Stays set: after a cancelled run the child gets no other. The signal may come before its run does.
        self.is_canceled = False
        self._bell = Bell()
        # A descriptor, not a path: it leads back even when the folder was moved or removed.
        self._home = os.open(".", os.O_RDONLY)

    def serve(self) -> NoReturn:
        """Make attempts until told to end; never returns."""
        try:
            self._serve()
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
        except BaseException:
            traceback.print_exc()
            code = _EXIT_BROKEN
        else:
            code = 0
        if self._terminated:
            _die_of_sigterm()
        # Not sys.exit: functions registered while the template imported belong to the template.
        os._exit(code)

    def _serve(self) -> None:
        signal.signal(CANCEL_SIGNAL, self._on_cancel)
        signal.signal(signal.SIGTERM, self._on_terminate)
        capture_logging(self.said)
        while (frame := self._frames.receive()) is not None:
            begin = decoder.decode(frame)
            if not isinstance(begin, Begin):
                continue  # for a wait that is no more
            done = self._obey(begin)
            self._flush()
            if self._terminated:
                _die_of_sigterm()
            self.send(done)

    @property
    def is_ending(self) -> bool:
        """Whether SIGTERM came while a run was made."""
        return self._terminated

    def send(self, packet: Packet) -> None:
        """Send one message to the parent, from any thread."""
        try:
            body = self._encoder.encode(packet)
        except (UnicodeEncodeError, OverflowError):
            body = self._encoder.encode(_sendable(msgspec.to_builtins(packet, enc_hook=repr)))
        with self._sending:
            self._frames.send(body)

    def begin_waits(self) -> AttemptWaits:
        """Return what the waits of one attempt go through."""
        return AttemptWaits(self._frames, self._bell, send=self.send, is_canceled=lambda: self.is_canceled)

    def said(self, level: LogLevel, at: int, message: str, attributes: dict[str, Any] | None) -> None:
        """Pass on one log line."""
        self.send(Said(level, at, message, attributes))

    def _obey(self, begin: Begin) -> Packet:
        execution = begin.execution
        task = self._duty.find_task(execution.task.id)
        if begin.failure is not None:
            if task is not None:
                with self._surroundings(begin) as channel:
                    tell_failure(task, execution, channel, begin.failure)
            return Told()
        if task is None:
            return Finished(_task_not_found(execution))
        with self._surroundings(begin) as channel:
            return Finished(run_attempt(task, execution, channel, settings=self._duty.settings))

    @contextmanager
    def _surroundings(self, begin: Begin) -> Iterator[ChildChannel]:
        """Be as the run wants this process to be, and afterwards as it was."""
        execution = begin.execution
        before = _set_environment({**begin.env, "TRIGGER_LITE_RUN_ID": execution.run.id})
        if self._duty.enforce_memory:
            _limit_memory(execution.machine.memory)
        self._channel = channel = ChildChannel(self)
        if self.is_canceled:
            channel.canceled.set()
        try:
            yield channel
        finally:
            self._channel = None
            channel.close()
            _restore_environment(before)
            os.fchdir(self._home)

    def _on_cancel(self, number: int, frame: object) -> None:
        self.is_canceled = True
        self._bell.ring()
        channel = self._channel
        if channel is not None:
            # In a thread: this handler may have interrupted code that holds the event's lock.
            threading.Thread(target=channel.canceled.set, name="cancel", daemon=True).start()

    def _on_terminate(self, number: int, frame: object) -> None:
        if self._channel is None:
            _die_of_sigterm()
        self._terminated = True
        raise SystemExit(128 + number)

    def _flush(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()


def _sendable(value: Any) -> Any:
    """Return the value with what has no place on the wire written out.

    That is: undecodable bytes of file names, which Python keeps as lone surrogates, and huge integers.
    """
    match value:
        case str():
            return value.encode(errors="backslashreplace").decode()
        case dict():
            return {_sendable(key): _sendable(item) for key, item in value.items()}
        case list() | tuple():
            return [_sendable(item) for item in value]
        case int() if not -_WORD <= value < _WORD:
            return str(value)
        case _:
            return value


def _task_not_found(execution: Execution) -> Completion:
    message = f"This worker has no task {execution.task.id!r}; it was renamed, removed or failed to import"
    error = InternalError(ErrorCode.COULD_NOT_FIND_TASK, message)
    return Completion(ok=False, id=execution.run.id, error=error, task_identifier=execution.task.id)


def _die_of_sigterm() -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)
    os._exit(128 + signal.SIGTERM)


def _set_environment(wanted: Mapping[str, str]) -> dict[str, str | None]:
    """Set variables and return what they were."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    return before


def _restore_environment(before: Mapping[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _limit_memory(memory_gb: float) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = int(memory_gb * _GB)
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))

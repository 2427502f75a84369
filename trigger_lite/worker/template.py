"""The process that imported the user's code once and forks the children that run it.

It runs no attempt and starts no thread: `fork` copies it while nothing else happens in it. It
reaps its children, and ends with everything they started when the parent is gone.
"""

import gc
import os
import select
import signal
import socket
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import msgspec
from msgspec.structs import replace

from trigger_lite.protocol.manifest import TaskManifest
from trigger_lite.sdk.decision import AttemptSettings
from trigger_lite.sdk.errors import DefinitionError
from trigger_lite.sdk.registry import registry
from trigger_lite.worker import messages
from trigger_lite.worker.child import Child, ChildDuty
from trigger_lite.worker.discovery import find_duplicates, import_task_files, list_task_files, put_on_path
from trigger_lite.worker.events import ImportFailed
from trigger_lite.worker.frames import BlockingFrames
from trigger_lite.worker.interpreter import python_command, take_arguments
from trigger_lite.worker.lifeline import die_with
from trigger_lite.worker.messages import Exited, Fork, Forked, Importing, Index, NotForked, Prepare, Retire
from trigger_lite.worker.project import (
    ProjectConfig,
    ProjectConfigError,
    find_project,
    retry_of,
    with_defaults,
)
from trigger_lite.worker.sources import fingerprint, hash_sources
from trigger_lite.worker.standard_streams import use_streams


def main() -> NoReturn:
    """Be a template: the arguments are the socket to the parent and a pipe that ends with it."""
    control, lifeline = map(int, take_arguments())
    die_with(lifeline)
    sock = socket.socket(fileno=control)
    for fd in (control, lifeline):
        os.set_inheritable(fd, False)
    Template(sock).serve()


class Template:
    """One version of the user's code, imported, and the children forked from it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._frames = BlockingFrames(sock)
        self._decoder = msgspec.msgpack.Decoder(messages.ToTemplate)
        self._children: dict[int, int] = {}
        self._retired = False

    def serve(self) -> NoReturn:
        """Import, tell the parent what was found, then fork on demand; never returns."""
        frame = self._frames.receive_with_fds()
        if frame is None:
            os._exit(0)
        prepare = self._decoder.decode(frame)
        assert isinstance(prepare, Prepare)
        self._prepare = prepare
        project, index = load(Path(prepare.directory), lambda file: self._send(Importing(file)))
        self._duty = duty_of(project, enforce_memory=prepare.enforce_memory)
        self._send(index)
        _settle_memory()
        self._watch_children()
        poll = select.poll()
        for fd in (self._sock.fileno(), self._wakeup[0]):
            poll.register(fd, select.POLLIN)
        while not (self._retired and not self._children):
            self._handle_ready([fd for fd, _ in poll.poll()])
        os._exit(0)

    def _watch_children(self) -> None:
        self._wakeup = os.pipe()
        for fd in self._wakeup:
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)

    def _handle_ready(self, fds: list[int]) -> None:
        if self._wakeup[0] in fds:
            os.read(self._wakeup[0], 4096)
            self._reap()
        if self._sock.fileno() in fds:
            self._receive()

    def _receive(self) -> None:
        frame = self._frames.receive_with_fds()
        while frame is not None:
            self._handle(self._decoder.decode(frame))
            if not self._frames.has_ready:
                return
            frame = self._frames.receive_with_fds()
        self._end_all()

    def _handle(self, message: messages.ToTemplate) -> None:
        match message:
            case Fork():
                self._fork(message.child)
            case messages.Signal():
                self._signal(message)
            case Retire():
                self._retired = True
            case Prepare():
                raise AssertionError("a template imports once")

    def _fork(self, child: int) -> None:
        fds = [self._frames.fds.popleft() for _ in range(4)]
        try:
            pid = _spawn(self._prepare, fds) if self._prepare.start_method == "spawn" else _fork_quietly()
        except OSError as error:
            self._send(NotForked(child, str(error)))
        else:
            if pid == 0:
                self._become_child(*fds)
            self._children[child] = pid
            self._send(Forked(child, pid))
        for fd in fds:
            os.close(fd)

    def _become_child(self, control: int, stdout: int, stderr: int, lifeline: int) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for fd in self._wakeup:
                os.close(fd)
            self._sock.close()
            run_child(self._duty, control, stdout, stderr, lifeline)
        except BaseException:
            traceback.print_exc()
        os._exit(1)

    def _signal(self, order: messages.Signal) -> None:
        pid = self._children.get(order.child)
        if pid is None:
            return
        # Not reaped yet, so the id still is that child's.
        if order.group:
            _kill_group(pid, order.signal)
        os.kill(pid, order.signal)

    def _reap(self) -> None:
        for child, pid in list(self._children.items()):
            code = _reap_one(pid)
            if code is not None:
                del self._children[child]
                self._send(Exited(child, code))

    def _end_all(self) -> NoReturn:
        for pid in self._children.values():
            _kill_group(pid, signal.SIGKILL)
        os._exit(0)

    def _send(self, packet: messages.Packet) -> None:
        try:
            self._frames.send(msgspec.msgpack.encode(packet))
        except BrokenPipeError:
            self._end_all()


def run_child(duty: ChildDuty, control: int, stdout: int, stderr: int, lifeline: int) -> NoReturn:
    """Turn this process into a child that takes its runs from `control`."""
    os.setpgid(0, 0)
    die_with(lifeline)
    use_streams(stdout=stdout, stderr=stderr)
    Child(socket.socket(fileno=control), duty).serve()


def duty_of(project: ProjectConfig, *, enforce_memory: bool) -> ChildDuty:
    """Return what children of this project need to know."""
    by_environment = os.environ.get("TRIGGER_LITE_DEV_RETRIES")
    dev_retries = project.dev.retries if by_environment is None else by_environment != "0"
    settings = AttemptSettings(retry=retry_of(project.defaults), dev_retries=dev_retries)
    return ChildDuty(registry.find, settings, enforce_memory)


def load(directory: Path, importing: Callable[[str], None]) -> tuple[ProjectConfig, Index]:
    """Import the task files and return what they define; why they do not is part of it."""
    try:
        project = find_project(directory)
    except ProjectConfigError as error:
        root = error.path.parent
        seen = fingerprint(directory, root, ())
        return ProjectConfig(), Index(problem=str(error), root=str(root), fingerprint=seen)
    root, ignore = project.root, project.ignore
    seen = fingerprint(directory, root, ignore)
    watched = Index(root=str(root), ignore=ignore, fingerprint=seen)
    if not directory.is_dir():
        return project, replace(watched, problem=f"{directory} is not a folder")
    directory = directory.resolve()
    put_on_path(directory, root)
    files = list_task_files(directory, root, ignore)
    failures = import_task_files(files, root, importing)
    duplicates = find_duplicates()
    tasks = _manifests({duplicate.task for duplicate in duplicates}, project, failures)
    content_hash = hash_sources(files, root, tasks)
    found = replace(watched, tasks=tasks, failures=failures, duplicates=duplicates, content_hash=content_hash)
    return project, found


def _manifests(taken: set[str], project: ProjectConfig, failures: list[ImportFailed]) -> list[TaskManifest]:
    """Describe every task whose id is its own; one that cannot be described becomes a failure."""
    manifests = []
    for task in registry.tasks():
        if task.id in taken:
            continue
        try:
            manifest = with_defaults(task.manifest(), project.defaults)
        except DefinitionError as error:
            failures.append(ImportFailed(task.file_path, task.line, str(error)))
            continue
        if task.retry is None and project.defaults.retry is not None:
            manifest = replace(manifest, retry=retry_of(project.defaults).config())
        manifests.append(manifest)
    return manifests


def _settle_memory() -> None:
    """Keep what was imported out of the collector's sight: touching it would copy it in every child."""
    gc.collect()
    gc.freeze()


def _fork_quietly() -> int:
    with warnings.catch_warnings():
        # Python 3.12 warns of threads that imported libraries started; nothing here can change that.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _spawn(prepare: Prepare, fds: list[int]) -> int:
    for fd in fds:
        os.set_inheritable(fd, True)
    memory = "limited" if prepare.enforce_memory else "free"
    command = python_command("trigger_lite.worker.spawned", prepare.directory, memory, *map(str, fds))
    return os.posix_spawn(command[0], command, os.environ)


def _reap_one(pid: int) -> int | None:
    """Return how a child ended, with everything it left behind ended too; None while it lives."""
    if hasattr(os, "waitid"):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        _kill_group(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)
    done, status = os.waitpid(pid, os.WNOHANG)
    if done == 0:
        return None
    _kill_group(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(status)


def _kill_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        # Not its own group yet, or nothing left in it; macOS says so of zombies with EPERM.
        return

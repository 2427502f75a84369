"""The process that imported the user's code once, from which the children that run it are forked."""

import gc
import os
import socket
from functools import partial
from pathlib import Path
from typing import NoReturn

import msgspec

from trigger_lite.worker.child import Child, ChildDuty
from trigger_lite.worker.forker import Birth, Forker, fork_quietly
from trigger_lite.worker.frames import BlockingFrames
from trigger_lite.worker.indexing import duty_of, load
from trigger_lite.worker.interpreter import python_command, take_arguments
from trigger_lite.worker.lifeline import die_with
from trigger_lite.worker.messages import Importing, Packet, Prepare
from trigger_lite.worker.standard_streams import use_streams

CHILD_FDS = 4
"""Control socket, stdout, stderr, lifeline."""


def main() -> NoReturn:
    """Be a template in a fresh interpreter: the arguments are two descriptors, as for `serve_template`."""
    control, lifeline = map(int, take_arguments())
    for fd in (control, lifeline):
        os.set_inheritable(fd, False)
    serve_template(control, lifeline)


def serve_template(control: int, lifeline: int) -> NoReturn:
    """Be a template: import, tell what was found, then fork on demand.

    `control` is the socket to the worker's parent, `lifeline` a pipe that ends with it.
    """
    die_with(lifeline)
    sock = socket.socket(fileno=control)
    frames = BlockingFrames(sock)
    frame = frames.receive_with_fds()
    if frame is None:
        os._exit(0)
    prepare = msgspec.msgpack.decode(frame, type=Prepare)
    os.environ.update({"TRIGGER_LITE_URL": prepare.url, "TRIGGER_LITE_KEY": prepare.key})

    def send(packet: Packet) -> None:
        frames.send(msgspec.msgpack.encode(packet))

    project, index = load(Path(prepare.directory), lambda file: send(Importing(file)))
    duty = duty_of(project, enforce_memory=prepare.enforce_memory)
    send(index)
    _settle_memory()
    birth: Birth = partial(_spawn, prepare) if prepare.start_method == "spawn" else fork_quietly
    Forker(sock, frames, fds_each=CHILD_FDS, birth=birth, life=lambda fds: run_child(duty, *fds)).serve()


def run_child(duty: ChildDuty, control: int, stdout: int, stderr: int, lifeline: int) -> NoReturn:
    """Turn this process into a child that takes its runs from `control`."""
    os.setpgid(0, 0)
    die_with(lifeline)
    use_streams(stdout=stdout, stderr=stderr)
    Child(socket.socket(fileno=control), duty).serve()


def _settle_memory() -> None:
    """Keep what was imported out of the collector's sight: touching it would copy it in every child."""
    gc.collect()
    gc.freeze()


def _spawn(prepare: Prepare, fds: list[int]) -> int:
    for fd in fds:
        os.set_inheritable(fd, True)
    memory = "limited" if prepare.enforce_memory else "free"
    command = python_command("trigger_lite.worker.spawned", prepare.directory, memory, *map(str, fds))
    return os.posix_spawn(command[0], command, os.environ)

"""The children: how many there are, which are free, and how they end."""

import asyncio
import signal
from typing import Final, Protocol

from trigger_lite.worker.child_process import ChildListener, ChildProcess
from trigger_lite.worker.messages import Exited, Forked, FromTemplate, NotForked
from trigger_lite.worker.settings import WorkerSettings
from trigger_lite.worker.template_process import TemplateProcess

_FORK_AGAIN_SECONDS: Final = 1.0


class CrewListener(ChildListener, Protocol):
    """Gets what children say, and what becomes of them."""

    def child_ready(self) -> None:
        """A child is free that was not before."""

    def child_exited(self, child: ChildProcess, code: int) -> None:
        """A child ended; all it left behind was read. `code` as of a process's exit."""

    def template_lost(self, code: int) -> None:
        """The template in use ended by itself, and its children with it."""

    def fork_failed(self, reason: str) -> None:
        """The system would not give another process; it is tried again."""


class Crew:
    """Keeps one child ready, and up to `concurrency` of them while there is work, parked ones aside."""

    def __init__(self, settings: WorkerSettings, listener: CrewListener) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._listener = listener
        self._template: TemplateProcess | None = None
        self._templates: set[TemplateProcess] = set()
        self._children: dict[int, ChildProcess] = {}
        self._idle: list[ChildProcess] = []
        self._last_number = 0
        self._wanted = 0
        self._extra = 0
        self._is_reading = True
        self._trimming: asyncio.TimerHandle | None = None
        self._refilling: asyncio.TimerHandle | None = None

    @property
    def starting(self) -> int:
        """How many children were asked for and are not ready."""
        return sum(not child.is_ready and not child.is_dismissed for child in self._children.values())

    @property
    def can_grow(self) -> bool:
        """Whether there is a template to make children from."""
        return self._template is not None

    def use(self, template: TemplateProcess) -> None:
        """Take new children from this template; those of another end when they are done.

        One that ended meanwhile is lost like one in use.
        """
        if template.exit_code is not None:
            self._listener.template_lost(template.exit_code)
            return
        former, self._template = self._template, template
        template.listener = self
        self._templates.add(template)
        if former is not None:
            for child in list(self._idle):
                self.dismiss(child)
            former.retire()
        self._refill()

    def take(self) -> ChildProcess | None:
        """Return a free child, the one used last; None when none is."""
        if not self._idle:
            return None
        child = self._idle.pop()
        if not self._idle:
            self._refill()
        return child

    def want(self, runs: int) -> None:
        """So many runs wait for a child."""
        if runs or self._wanted:
            self._wanted = runs
            self._refill()

    def allow(self, extra: int) -> None:
        """So many children more than `concurrency` may live: as many wait and do nothing."""
        self._extra = extra
        self._refill()

    def give_back(self, child: ChildProcess) -> None:
        """The child is free again."""
        if child.template is not self._template:
            self.dismiss(child)
            return
        child.idle_since = self._loop.time()
        self._idle.append(child)
        if len(self._idle) > 1 and self._trimming is None:
            self._trimming = self._loop.call_later(self._settings.idle_child_after, self._trim)

    def dismiss(self, child: ChildProcess) -> None:
        """End a child that makes no run, and replace it."""
        self._let_go(child)
        child.hang_up()
        self._loop.call_later(self._settings.kill_grace, self.kill, child)

    def discard(self, child: ChildProcess) -> None:
        """End a child whatever it does, with all it started, and replace it."""
        self._let_go(child)
        self.kill(child)

    def kill(self, child: ChildProcess) -> None:
        """Send SIGKILL to a child and all it started."""
        if child.number in self._children:
            child.template.signal_group(child.number, signal.SIGKILL)

    def pause_reading(self) -> None:
        """Let children wait: what they print finds no place."""
        self._is_reading = False
        for child in self._children.values():
            child.pause_reading()

    def resume_reading(self) -> None:
        """Read again what children say and print."""
        self._is_reading = True
        for child in self._children.values():
            child.resume_reading()

    def close(self) -> None:
        """End every child and template, at once."""
        for timer in (self._trimming, self._refilling):
            if timer is not None:
                timer.cancel()
        self._template = None
        for child in self._children.values():
            child.close()
        self._children.clear()
        self._idle.clear()
        for template in self._templates:
            template.close()
        self._templates.clear()

    def template_sent(self, template: TemplateProcess, message: FromTemplate) -> None:
        """Take note of a child's beginning or end."""
        match message:
            case Forked():
                self._ready(message.child)
            case Exited():
                self._exited(message.child, message.code)
            case NotForked():
                self._not_forked(message)
            case _:
                raise AssertionError(f"a template in use says nothing like {message!r}")

    def template_ended(self, template: TemplateProcess, code: int) -> None:
        """Count the template's children as killed; without it, nothing new begins."""
        self._templates.discard(template)
        is_current = template is self._template
        if is_current:
            self._template = None
        for child in [child for child in self._children.values() if child.template is template]:
            self._exited(child.number, -signal.SIGKILL)
        if is_current:
            self._listener.template_lost(code)

    def _refill(self) -> None:
        template = self._template
        if template is None or self._refilling is not None:
            return
        alive = sum(not child.is_dismissed for child in self._children.values())
        starting = self.starting
        missing = max(self._wanted, 1) - len(self._idle) - starting
        for _ in range(min(missing, self._settings.concurrency + self._extra - alive)):
            self._last_number += 1
            child = ChildProcess(self._last_number, template, self._listener, reading=self._is_reading)
            self._children[child.number] = child

    def _ready(self, number: int) -> None:
        child = self._children.get(number)
        if child is not None and not child.is_dismissed:
            child.is_ready = True
            self.give_back(child)
            self._listener.child_ready()

    def _let_go(self, child: ChildProcess) -> None:
        child.is_dismissed = True
        child.run = None
        if child in self._idle:
            self._idle.remove(child)
        self._refill()

    def _exited(self, number: int, code: int) -> None:
        child = self._children.pop(number, None)
        if child is None:
            return
        if child in self._idle:
            self._idle.remove(child)
        child.pause_reading()
        child.drain()
        self._listener.child_exited(child, code)
        child.close()
        self._refill()

    def _not_forked(self, message: NotForked) -> None:
        child = self._children.pop(message.child, None)
        if child is None:
            return
        child.close()
        if self._refilling is None:
            self._refilling = self._loop.call_later(_FORK_AGAIN_SECONDS, self._fork_again)
        self._listener.fork_failed(message.reason)

    def _fork_again(self) -> None:
        self._refilling = None
        self._refill()

    def _trim(self) -> None:
        """End children that have been free for long, except the one used last."""
        self._trimming = None
        now = self._loop.time()
        for child in self._idle[:-1]:
            if now - child.idle_since >= self._settings.idle_child_after:
                self._retire_one(child)
        if len(self._idle) > 1:
            wait = self._settings.idle_child_after - (now - min(c.idle_since for c in self._idle))
            self._trimming = self._loop.call_later(max(wait, 0.1), self._trim)

    def _retire_one(self, child: ChildProcess) -> None:
        self._idle.remove(child)
        child.is_dismissed = True
        child.hang_up()
        self._loop.call_later(self._settings.kill_grace, self.kill, child)

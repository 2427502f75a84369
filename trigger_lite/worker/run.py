"""A whole worker: import, register, connect, run, reload, stop."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from trigger_lite.protocol.manifest import RegisteredWorker
from trigger_lite.worker.attempts import Attempts
from trigger_lite.worker.dispatch import Dispatch
from trigger_lite.worker.events import (
    Disconnected,
    Problem,
    Registered,
    Reloaded,
    ReloadFailed,
    Stopping,
    WorkerEvent,
    WorkerObserver,
)
from trigger_lite.worker.launching import Launch, make_launch
from trigger_lite.worker.link import Link, LinkRefused, waits
from trigger_lite.worker.loading import load_template
from trigger_lite.worker.manifest import registration
from trigger_lite.worker.messages import Index
from trigger_lite.worker.outbox import Outbox
from trigger_lite.worker.registration import KeyRefused, RegistrationRefused, ServerUnreachable, register
from trigger_lite.worker.settings import WorkerSettings
from trigger_lite.worker.sources import fingerprint
from trigger_lite.worker.template_process import TemplateProcess

EXIT_STOPPED: Final = 0
EXIT_UNUSABLE: Final = 2
"""The key was refused, or there is nothing to run; the observer was told why."""

_LAST_WORDS_SECONDS: Final = 5.0
_SETTLE_SECONDS: Final = 0.05
_STDIN: Final = 0
_CHUNK: Final = 4096


class NothingToRun(Exception):
    """No task can be offered; the message says why in one line."""


def run_worker(settings: WorkerSettings, observer: WorkerObserver) -> int:
    """Run tasks until SIGTERM or SIGINT and return the process's exit code. Call in the main thread.

    The first signal lets runs finish for `settings.stop_grace` seconds, a second one ends them at once.
    """
    return asyncio.run(_run(settings, make_launch(settings), observer))


async def _run(settings: WorkerSettings, launch: Launch, observer: WorkerObserver) -> int:
    worker = Worker(settings, launch, observer)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.ask_to_stop)
    if settings.until_stdin_ends:
        loop.add_reader(_STDIN, _stop_at_end_of_stdin, worker, loop)
    return await worker.run()


def _stop_at_end_of_stdin(worker: "Worker", loop: asyncio.AbstractEventLoop) -> None:
    if not os.read(_STDIN, _CHUNK):
        loop.remove_reader(_STDIN)
        if not worker.is_stopping:
            worker.ask_to_stop()


class Worker:
    """One worker from start to end."""

    def __init__(self, settings: WorkerSettings, launch: Launch, observer: WorkerObserver) -> None:
        self._settings = settings
        self._launch = launch
        self._observer = observer
        self._stop_asked = asyncio.Event()
        self._hurry_asked = asyncio.Event()
        self._template_gone = asyncio.Event()
        self._outbox = Outbox(before_flush=lambda: self._dispatch.top_up())
        self._attempts = Attempts(
            settings,
            self._outbox,
            observer,
            ended=lambda held, seconds: self._dispatch.attempt_ended(held, seconds),
            template_lost=self._template_lost,
        )
        self._dispatch = Dispatch(settings, self._outbox, self._attempts)
        self._link = Link(
            settings, self._outbox, self._dispatch, observer, register_again=self._register_again
        )
        # What was imported last, and what is served: not the same after a change that did not import.
        self._index = self._serving = Index()

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stop_asked.is_set()

    def ask_to_stop(self) -> None:
        """Stop when runs are done; asked a second time, at once."""
        if self._stop_asked.is_set():
            self._hurry_asked.set()
        self._stop_asked.set()

    async def run(self) -> int:
        """Serve until asked to stop; returns the exit code."""
        work = asyncio.create_task(self._work())
        stop = asyncio.create_task(self._stop_asked.wait())
        try:
            await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await self._finish_runs()
            elif isinstance(work.exception(), NothingToRun | LinkRefused):
                self._observer.notice(Problem(str(work.exception())))
                return EXIT_UNUSABLE
            else:
                work.result()
            return EXIT_STOPPED
        finally:
            await _end(work, stop)
            self._link.close()
            self._attempts.crew.close()

    async def _work(self) -> None:
        await self._use_first_version()
        async with asyncio.TaskGroup() as tasks:
            link = tasks.create_task(self._link.stay_connected())
            tasks.create_task(self._keep_template())
            if self._settings.watch:
                tasks.create_task(self._watch())
            await link

    # ---- versions of the user's code ----

    async def _use_first_version(self) -> None:
        while True:
            template, index = await self._import_anew()
            problem = index.problem or f"no task could be found in {self._settings.directory}"
            if template is not None:
                try:
                    registered = await self._register(index)
                except RegistrationRefused as error:
                    template.close()
                    problem = f"the server refused this version: {error}"
                else:
                    self._use(template, index, registered)
                    self._observer.notice(Registered(registered.version, _ids(index)))
                    return
            if not self._settings.watch:
                raise NothingToRun(problem)
            self._observer.notice(Problem(f"{problem}; waiting for a change"))
            await self._changed()

    async def _watch(self) -> None:
        while True:
            await self._changed()
            await self._reload()

    async def _reload(self) -> None:
        """Put what the files say now in place of what runs, if it is whole."""
        template, index = await self._import_anew()
        reason = _why_unusable(index)
        if template is None or reason:
            if template is not None:
                template.close()
            self._observer.notice(ReloadFailed(reason or "no task is left"))
            return
        try:
            registered = await self._register(index)
        except RegistrationRefused as error:
            template.close()
            self._observer.notice(ReloadFailed(f"the server refused this version: {error}"))
            return
        self._use(template, index, registered)
        self._observer.notice(Reloaded(registered.version, _ids(index)))

    async def _import_anew(self) -> tuple[TemplateProcess | None, Index]:
        """Import what the files say now, tell what is wrong with it, and remember which files these were."""
        seen = self._fingerprint()
        template, index = await load_template(self._settings, self._launch)
        if not index.fingerprint:  # a file ended the process, or hangs
            index = replace(index, root=self._index.root, ignore=self._index.ignore, fingerprint=seen)
        self._index = index
        self._tell(index)
        return template, index

    async def _changed(self) -> None:
        """Wait until files are not what was imported, and have stopped changing."""
        seen = self._index.fingerprint
        while True:
            now = self._fingerprint()
            if now == seen and seen != self._index.fingerprint:
                return
            wait = self._settings.poll_interval if now == self._index.fingerprint else _SETTLE_SECONDS
            seen = now
            await asyncio.sleep(wait)

    def _fingerprint(self) -> frozenset[tuple[str, int, int]]:
        index = self._index
        return fingerprint(Path(self._settings.directory), Path(index.root), index.ignore, index.dirs)

    async def _keep_template(self) -> None:
        """Import again when the process that did is gone."""
        while True:
            await self._template_gone.wait()
            self._template_gone.clear()
            for wait in waits():
                if await self._import_again():
                    break
                await asyncio.sleep(wait)

    async def _import_again(self) -> bool:
        """Import after the process that did was lost; tell whether there is one again."""
        template, index = await load_template(self._settings, self._launch)
        if template is None:
            self._tell(index)
            return False
        self._index = index
        try:
            registered = await self._register(index)
        except RegistrationRefused as error:
            template.close()
            self._observer.notice(Problem(f"The server refused this version: {error}"))
            return False
        self._use(template, index, registered)
        return True

    def _use(self, template: TemplateProcess, index: Index, registered: RegisteredWorker) -> None:
        self._serving = index
        self._attempts.crew.use(template)
        self._link.use_version(registered.id)

    def _template_lost(self, code: int) -> None:
        self._observer.notice(Problem(f"The process that imported the tasks ended ({code}); importing again"))
        self._template_gone.set()

    async def _register_again(self) -> None:
        """Tell a server that does not know this version what it is, such as one restored from a backup."""
        try:
            registered = await self._register(self._serving)
        except RegistrationRefused as error:
            self._observer.notice(Problem(f"The server refused this version: {error}"))
        else:
            self._link.use_version(registered.id)

    async def _register(self, index: Index) -> RegisteredWorker:
        body = registration(index.tasks, index.content_hash)
        for wait in waits():
            try:
                return await register(self._settings.url, self._settings.key, body)
            except KeyRefused as error:
                raise LinkRefused(f"the server refused the key: {error}") from error
            except ServerUnreachable as error:
                self._observer.notice(Disconnected(str(error), wait))
                await asyncio.sleep(wait)
        raise AssertionError("waits never end")

    def _tell(self, index: Index) -> None:
        faults: list[WorkerEvent] = [*index.failures, *index.duplicates]
        for event in faults:
            self._observer.notice(event)

    # ---- the end ----

    async def _finish_runs(self) -> None:
        """Hand back what was not begun, let the rest finish, and get the server's word on it."""
        settings = self._settings
        self._observer.notice(Stopping(self._dispatch.running, settings.stop_grace))
        self._dispatch.refuse_new()
        await self._until_quiet(settings.stop_grace)
        if self._dispatch.running and not self._hurry_asked.is_set():
            self._dispatch.end_running()
            await self._until_quiet(settings.kill_grace)
        if self._dispatch.running:
            self._dispatch.kill_running()
            await asyncio.wait_for(self._dispatch.quiet.wait(), _LAST_WORDS_SECONDS)
        await self._settle()
        if not self._dispatch.quiet.is_set():  # hooks of failures that the server has just confirmed
            await self._until_quiet(settings.hook_limit)
            await self._settle()

    async def _settle(self) -> None:
        self._attempts.flush_logs()
        settled = await self._outbox.wait_settled(_LAST_WORDS_SECONDS)
        if settled and await self._dispatch.hear_late_steps():
            settled = await self._outbox.wait_settled(_LAST_WORDS_SECONDS)
        if not settled:
            self._observer.notice(Problem("The server did not take everything before this worker ended"))

    async def _until_quiet(self, seconds: float) -> None:
        quiet = asyncio.create_task(self._dispatch.quiet.wait())
        hurry = asyncio.create_task(self._hurry_asked.wait())
        await asyncio.wait((quiet, hurry), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        await _end(quiet, hurry)


def _ids(index: Index) -> tuple[str, ...]:
    return tuple(task.id for task in index.tasks)


def _why_unusable(index: Index) -> str | None:
    if index.problem is not None:
        return index.problem
    faults = [*index.failures, *index.duplicates]
    return str(faults[0]) if faults else None


async def _end(*tasks: "asyncio.Task[object]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

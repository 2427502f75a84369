"""The composition root: builds the rooms, starts them in order, stops them in reverse.

Start: socket, folder, stores, installation, repair, background, HTTP. Stop: worker beside, HTTP, dispatcher,
clock, stores; each drains, then refuses, and none may take longer than its time.
"""

import asyncio
import errno
import gc
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn
import uvloop
from starlette.applications import Starlette

from trigger_lite.background.clock import Clock
from trigger_lite.background.deadlines import Deadlines
from trigger_lite.background.dispatcher import Dispatcher
from trigger_lite.background.loops import every_loop
from trigger_lite.background.readiness import readiness
from trigger_lite.background.repair import repair
from trigger_lite.background.retention import Retention
from trigger_lite.config import PREFIX, Settings
from trigger_lite.engine.accounts import needs_first_link
from trigger_lite.engine.bus import Bus
from trigger_lite.engine.events import (
    BulkActionCreated,
    DatabaseReopened,
    MoreParked,
    QueueChanged,
    RunMoved,
    ScheduleChanged,
    VersionRegistered,
    WaitPlanned,
)
from trigger_lite.engine.installation import prepare_installation
from trigger_lite.launch.process import WorkerProcess
from trigger_lite.protocol.statuses import ExecutionStatus
from trigger_lite.protocol.worker import MAX_FRAME_BYTES
from trigger_lite.store.database import Database, DatabaseTaken, PostgresDatabase, SqliteDatabase
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.folder import DataFolder
from trigger_lite.store.store import Store
from trigger_lite.telemetry.logs import LogBook
from trigger_lite.web.api.sign_in_links import new_link
from trigger_lite.web.app import build_app
from trigger_lite.web.auth import Keyring
from trigger_lite.web.services import Services
from trigger_lite.web.watch import RunWatch

logger = logging.getLogger(__name__)

HTTP_STOP_SECONDS: Final = 3
STEP_STOP_SECONDS: Final = 10
STANDBY_SECONDS: Final = 1
WORKER_STOP_SECONDS: Final = 40
YOUNG_OBJECTS: Final = 10_000
STATE_LEASE: Final = 7_246_001
TELEMETRY_LEASE: Final = 7_246_002


class CannotListen(Exception):
    """The address cannot be listened on; the message says why and what to do."""


@dataclass(frozen=True)
class ServerInfo:
    """What to tell people once the server answers. `keys` are the secret keys by environment."""

    url: str
    data: Path
    keys: dict[str, str]
    sign_in_url: str | None


Ready = Callable[[ServerInfo], None]


@dataclass(frozen=True)
class WorkerBeside:
    """A worker for the tasks of a directory, in the `prod` environment, kept running beside the server.

    `said` is told in one line when it had to be started again.
    """

    directory: Path
    said: Callable[[str], None]
    options: tuple[str, ...] = ()


def serve(settings: Settings, *, ready: Ready, beside: WorkerBeside | None = None) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code.

    Raises CannotListen, FolderUnusable, DatabaseUnusable, DatabaseTooNew or DatabaseFailed before anything is
    served.
    """
    _spare_collections()
    return uvloop.run(serve_async(settings, ready=ready, beside=beside))


def _spare_collections() -> None:
    """Look for garbage less often, and not among what was imported: requests leave little of it behind."""
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


async def serve_async(
    settings: Settings,
    *,
    ready: Ready,
    beside: WorkerBeside | None = None,
    stop: asyncio.Event | None = None,
) -> int:
    """Serve until `stop` is set or a signal arrives."""
    stop = stop or asyncio.Event()
    _on_signals(stop.set)
    with closing(listen(settings)) as listener, suppress(StoppedWaiting):
        url = settings.public_url or address_of(settings, listener)
        async with platform(settings, url, stop) as (folder, services):
            by_slug = {e.slug: services.keys.key_of(e) for e in services.keys.environments()}
            folder.write_connection(url, by_slug)
            first = await services.store.read(needs_first_link)
            sign_in_url = await new_link(services.store, url) if first else None
            info = ServerInfo(url, folder.path, by_slug, sign_in_url)
            worker = None if beside is None else _worker(beside, url, by_slug["prod"])
            await serve_http(services, listener, stop=stop, worker=worker, ready=lambda: ready(info))
    return 0


def _on_signals(act: Callable[[], None]) -> None:
    """Do this when the process is asked to end, instead of what was to be done before."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, act)


def _worker(beside: WorkerBeside, url: str, key: str) -> WorkerProcess:
    # What configures the server is none of the tasks' business.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    return WorkerProcess(
        beside.directory, url=url, key=key, options=beside.options, said=beside.said, environment=inherited
    )


# ---- steps ----------------------------------------------------------------------------------------


@asynccontextmanager
async def platform(
    settings: Settings, url: str, stop: asyncio.Event
) -> AsyncIterator[tuple[DataFolder, Services]]:
    """Everything but HTTP: what handlers work with, for a server at `url`."""
    bus = Bus()
    async with (
        data_folder(settings) as (folder, secret),
        stores(settings, folder, bus, stop) as (store, telemetry),
    ):
        keys = Keyring(secret, await _environments(store, settings, secret))
        async with background(settings, store, telemetry, bus) as (clock, dispatcher, deadlines):
            services = Services(
                settings=settings,
                store=store,
                telemetry=telemetry,
                logs=await LogBook.open(telemetry, bus),
                bus=bus,
                keys=keys,
                watch=RunWatch(bus),
                dispatcher=dispatcher,
                deadlines=deadlines,
                secret=secret,
                public_url=url,
                trouble=readiness(store, telemetry, clock),
            )
            yield folder, services


async def _environments(store: Store, settings: Settings, secret: bytes) -> list[EnvironmentRow]:
    """Prepare the installation as the settings say."""
    return await store.write(
        prepare_installation, secret, settings.concurrency, settings.queue_length or None
    )


@asynccontextmanager
async def data_folder(settings: Settings) -> AsyncIterator[tuple[DataFolder, bytes]]:
    """Take the data folder, and let go of it."""
    folder = DataFolder(settings.data)
    folder.prepare("" if settings.database_url else None)
    folder.lock()
    try:
        yield folder, folder.secret()
    finally:
        folder.unlock()


@asynccontextmanager
async def stores(
    settings: Settings, folder: DataFolder, bus: Bus, stop: asyncio.Event
) -> AsyncIterator[tuple[Store, Store]]:
    """Open the databases of state and of telemetry, and close what was opened."""
    state, telemetry = _databases(settings, folder)
    async with AsyncExitStack() as opened:
        store = await _open_when_free(state, "state", bus, settings, stop=stop)
        opened.push_async_callback(_within, store.close, "closing the database")
        lines = await _open_when_free(telemetry, "telemetry", bus, settings, stop=stop)
        opened.push_async_callback(_within, lines.close, "closing the log database")
        yield store, lines


class StoppedWaiting(Exception):
    """The server was told to stop while it stood by."""


async def _open_when_free(
    database: Database, area: str, bus: Bus, settings: Settings, *, stop: asyncio.Event
) -> Store:
    """Open a database; while another server has it, stand by. Raises StoppedWaiting when told to stop."""
    is_waiting = False
    while not stop.is_set():
        try:
            return await Store.open(
                database,
                area,
                publish=bus.publish,
                reopened=lambda: bus.publish([DatabaseReopened("", area)]),
                inbox_limit=settings.inbox,
                stall_seconds=settings.stall_timeout,
            )
        except DatabaseTaken as taken:
            if not is_waiting:
                logger.warning("%s; this one stands by and takes over when it ends", taken)
            is_waiting = True
        with suppress(TimeoutError):
            async with asyncio.timeout(STANDBY_SECONDS):
                await stop.wait()
    raise StoppedWaiting


def _databases(settings: Settings, folder: DataFolder) -> tuple[Database, Database]:
    """Return the state and the telemetry database."""
    if settings.database_url is not None:
        url = settings.database_url
        return PostgresDatabase(url, lease=STATE_LEASE), PostgresDatabase(url, lease=TELEMETRY_LEASE)
    # Log lines may lose their last second to a power cut; the truth may not.
    return (
        SqliteDatabase(folder.state, synchronous="FULL"),
        SqliteDatabase(folder.telemetry, synchronous="NORMAL"),
    )


@asynccontextmanager
async def background(
    settings: Settings, store: Store, telemetry: Store, bus: Bus
) -> AsyncIterator[tuple[Clock, Dispatcher, Deadlines]]:
    """Repair what the last stop left, then run everything that happens without a request."""
    deadlines = Deadlines(settings)
    clock = Clock()
    dispatcher = Dispatcher(store, clock)
    owned = await repair(store)
    deadlines.arm_all(owned)
    dispatcher.resume(owned)
    bus.subscribe(RunMoved, deadlines.follow)
    bus.subscribe(DatabaseReopened, lambda _event: deadlines.renew_all())
    bus.subscribe(DatabaseReopened, lambda _event: clock.wake("repair"))
    bus.subscribe(RunMoved, dispatcher.run_moved)
    bus.subscribe(RunMoved, lambda event: _wake_loops(clock, deadlines, event))
    bus.subscribe(WaitPlanned, lambda event: clock.wake("waits", event.due_at))
    bus.subscribe(DatabaseReopened, lambda _event: clock.wake("schedules"))
    bus.subscribe(ScheduleChanged, lambda event: clock.wake("schedules", event.next_at))
    bus.subscribe(QueueChanged, dispatcher.queue_changed)
    bus.subscribe(QueueChanged, lambda _event: clock.wake("overrides"))
    bus.subscribe(VersionRegistered, dispatcher.version_registered)
    bus.subscribe(MoreParked, dispatcher.more_parked)
    retention = Retention(store, telemetry, settings.keep)
    bus.subscribe(BulkActionCreated, lambda _event: clock.wake("bulk actions"))
    clock.start(every_loop(store, deadlines, dispatcher, retention))
    try:
        yield clock, dispatcher, deadlines
    finally:
        await _within(dispatcher.stop, "stopping the dispatcher")
        clock.stop()


def _wake_loops(clock: Clock, deadlines: Deadlines, event: RunMoved) -> None:
    """Call the loops in time for what this move planned."""
    if event.timer_at is not None:
        delayed = event.execution_status is ExecutionStatus.DELAYED
        clock.wake("delays" if delayed else "expiry", event.timer_at)
    if event.execution_status in deadlines.watched:
        clock.wake("silence", deadlines.soonest_ms)


async def _within(step: Callable[[], Awaitable[None]], name: str) -> None:
    """Bound a step of stopping in time, and say so when it took too long."""
    try:
        async with asyncio.timeout(STEP_STOP_SECONDS):
            await step()
    except TimeoutError:
        logger.error("%s took more than %d s and was left", name, STEP_STOP_SECONDS)


# ---- HTTP -------------------------------------------------------------------------------------------


def listen(settings: Settings) -> socket.socket:
    """Open the listening socket. Raises CannotListen with what to do about it."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        place = f"{settings.host}:{settings.port}"
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(
                f"{place} is in use by another program. Choose another with --port."
            ) from error
        other = "--port" if error.errno == errno.EACCES else "--host"
        raise CannotListen(
            f"Cannot listen on {place}: {error.strerror}. Choose another with {other}."
        ) from error
    listener.setblocking(False)
    return listener


def address_of(settings: Settings, listener: socket.socket) -> str:
    """Return the URL at which this machine reaches the server."""
    port = listener.getsockname()[1]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
    return f"http://[{host}]:{port}" if ":" in host and not host.startswith("[") else f"http://{host}:{port}"


class _HttpServer(uvicorn.Server):
    """uvicorn, started and stopped by us: signals are the caller's, and it says when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


def _http_config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=MAX_FRAME_BYTES,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=1024,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=HTTP_STOP_SECONDS,
    )


async def serve_http(
    services: Services,
    listener: socket.socket,
    *,
    stop: asyncio.Event,
    worker: WorkerProcess | None,
    ready: Callable[[], None],
) -> None:
    """Answer requests until `stop` is set; `worker` is started once it can connect, and ended first."""

    def answering() -> None:
        if worker is not None:
            worker.start()
        ready()

    app = build_app(services)
    server = _HttpServer(_http_config(app), answering)

    async def stop_when_asked() -> None:
        await stop.wait()
        if worker is not None:
            # First, while its results can still be delivered.
            _on_signals(worker.hurry)  # asked again: do not wait for runs
            await worker.stop(WORKER_STOP_SECONDS)
        app.state.dashboard.close()
        services.watch.close()
        server.should_exit = True

    watcher = asyncio.create_task(stop_when_asked())
    try:
        await server.serve(sockets=[listener])
    finally:
        watcher.cancel()
        if worker is not None:
            await worker.stop(0)  # still there when serving failed

"""The WebSocket door: `/engine/v1/worker` (protocol/worker.py)."""

import asyncio
from collections.abc import Set
from contextlib import suppress
from typing import Final

import msgspec
from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from trigger_lite.engine import deliveries, workers
from trigger_lite.protocol import worker
from trigger_lite.protocol.errors import BadRequest, DatabaseFailed, Refusal, WorkerVersionNotFound
from trigger_lite.store import runs, versions
from trigger_lite.store.environments import EnvironmentRow
from trigger_lite.store.runs import RunRow
from trigger_lite.store.transaction import Tx
from trigger_lite.web.auth import environment_of
from trigger_lite.web.codec import reply_json
from trigger_lite.web.errors import refusal_status
from trigger_lite.web.services import Services, services_of
from trigger_lite.web.worker_api.inbox import Inbox
from trigger_lite.web.worker_api.link import Link
from trigger_lite.web.worker_api.messages import current_run

_decoder: Final = msgspec.json.Decoder(list[worker.WorkerMessage])
HELLO_SECONDS: Final = 10.0
# Codes that a connection is closed with, by the worker when it ends, by the server otherwise.
GOODBYE: Final = 1000
NOT_UNDERSTOOD: Final = 1007
REFUSED: Final = 1008
TRY_AGAIN: Final = 1013


async def worker_socket(websocket: WebSocket) -> None:
    """One worker's connection, from Hello to the end."""
    services = services_of(websocket)
    try:
        environment = environment_of(websocket, services.keys)
    except Refusal as refusal:
        await websocket.send_denial_response(_denied(refusal))
        return
    await websocket.accept()
    try:
        await _serve(websocket, services, environment)
    except WebSocketDisconnect:
        return
    except DatabaseFailed as failure:
        await _close(websocket, TRY_AGAIN, failure.message)
    except Refusal as refusal:
        await _close(websocket, REFUSED, refusal.message)
    except (msgspec.DecodeError, RecursionError) as error:
        await _close(websocket, NOT_UNDERSTOOD, str(error))


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    # The worker may have gone meanwhile.
    with suppress(WebSocketDisconnect, RuntimeError):
        await websocket.close(code=code, reason=reason[:120])


async def _serve(websocket: WebSocket, services: Services, environment: EnvironmentRow) -> None:
    hello, rest = await _hello(websocket)
    link = await _attach(websocket, services, environment, hello)
    inbox = Inbox(services, environment, link)
    tasks = [
        asyncio.create_task(_read(websocket, inbox, rest)),
        asyncio.create_task(link.send_all()),
        asyncio.create_task(_broken(inbox)),
    ]
    try:
        services.dispatcher.add(link)
        for held in hello.runs:
            services.dispatcher.tell_wait(environment.id, link.worker_id, held.run)
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        services.dispatcher.remove(link)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await inbox.settle()
    for task in done:
        if _is_goodbye(task.exception()) and not services.dispatcher.has(environment.id, hello.worker_id):
            await services.store.write_when_free(_take_back, environment.id, hello.worker_id)
        task.result()


def _is_goodbye(end: BaseException | None) -> bool:
    return isinstance(end, WebSocketDisconnect) and end.code == GOODBYE


async def _hello(websocket: WebSocket) -> tuple[worker.Hello, list[worker.WorkerMessage]]:
    try:
        async with asyncio.timeout(HELLO_SECONDS):
            messages = await _frame(websocket)
    except TimeoutError:
        raise BadRequest(f"Nothing was said within {HELLO_SECONDS:g} seconds") from None
    if not messages or not isinstance(messages[0], worker.Hello):
        raise BadRequest("The first message must be hello")
    return messages[0], messages[1:]


async def _read(websocket: WebSocket, inbox: Inbox, first: list[worker.WorkerMessage]) -> None:
    """Take what the worker says, frame by frame, until it hangs up."""
    await inbox.take(first)
    while True:
        await inbox.take(await _frame(websocket))


async def _frame(websocket: WebSocket) -> list[worker.WorkerMessage]:
    try:
        return _decoder.decode(await websocket.receive_text())
    except KeyError:
        raise BadRequest("A frame must be text, not bytes") from None


async def _broken(inbox: Inbox) -> None:
    await inbox.broken.wait()
    raise DatabaseFailed


async def _attach(
    websocket: WebSocket, services: Services, environment: EnvironmentRow, hello: worker.Hello
) -> Link:
    """Check a Hello, settle what was lost on the way, and say Welcome."""
    if hello.protocol != worker.PROTOCOL_VERSION:
        raise BadRequest(f"This server speaks worker protocol {worker.PROTOCOL_VERSION}")
    held = await services.store.write_when_free(_reconcile, environment.id, hello)
    link = Link(websocket, environment, worker_id=hello.worker_id, version_id=hello.version_id)
    link.send(worker.Welcome(heartbeat_seconds=services.settings.heartbeat_seconds, runs=held))
    return link


def _reconcile(tx: Tx, environment_id: str, hello: worker.Hello) -> list[worker.CurrentRun]:
    """Compare what the worker says it holds with what it was given (HB-10).

    A run that was claimed for it and never arrived goes back to its place in line. Runs parked for want of
    this version come back too.
    """
    if versions.find_version(tx, environment_id, hello.version_id) is None:
        raise WorkerVersionNotFound(hello.version_id)
    named = {held.run for held in hello.runs}
    owned = _take_back(tx, environment_id, hello.worker_id, named)
    workers.promote_waiting(tx, environment_id, hello.version_id)
    return [current_run(run) for run in owned if run.id in named]


def _take_back(tx: Tx, environment_id: str, worker_id: str, named: Set[str] = frozenset()) -> list[RunRow]:
    """Put the runs back in line that a worker was given and does not know of; return all it had.

    One that ends knows of none: what was on its way then need not wait until it is missed.
    """
    owned = [run for run in runs.list_owned_by(tx, worker_id) if run.environment_id == environment_id]
    for run in owned:
        if run.id not in named and run.execution_status == "PENDING_EXECUTING":
            deliveries.take_back(tx, run)
    return owned


def _denied(refusal: Refusal) -> Response:
    status, headers = refusal_status(refusal)
    return reply_json({"error": refusal.message}, status=status, headers=headers)


ROUTES = [WebSocketRoute(worker.WORKER_PATH, worker_socket)]

"""Hooks, middleware, locals and retry helpers as both type checkers must accept them. Read, not run."""

import asyncio
import http.client
import sqlite3
import urllib.request
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any, assert_type

from trigger_lite import (
    AbortTaskRun,
    Ctx,
    Hooks,
    Retry,
    RetryAfter,
    RetryAt,
    RunHandle,
    hooks,
    local,
    middleware,
    retry,
    task,
)

DB = local("db", sqlite3.Connection)


@middleware
def database(ctx: Ctx) -> Iterator[None]:
    with sqlite3.connect("a.db") as db:
        ctx.locals[DB] = db
        yield


@middleware
async def session(ctx: Ctx) -> AsyncIterator[None]:
    await asyncio.sleep(0)
    yield


def tenant(ctx: Ctx) -> Generator[None, None, None]:
    ctx.locals["tenant"] = ctx.run.id
    yield


@hooks.on_start
def start(ctx: Ctx) -> None: ...


@hooks.on_start
async def start_later(ctx: Ctx) -> None: ...


@hooks.on_success
def success(output: object, ctx: Ctx) -> None: ...


@hooks.on_success
def success_of_rows(output: dict[str, int], ctx: Ctx) -> None: ...


@hooks.on_failure
def failure(error: Exception, ctx: Ctx) -> None: ...


@hooks.on_failure
async def any_failure(error: BaseException, ctx: Ctx) -> int:
    return 1


@hooks.on_complete
def complete(error: Exception | None, ctx: Ctx) -> None: ...


@hooks.catch
def catch(error: Exception, ctx: Ctx) -> RetryAfter | RetryAt | AbortTaskRun | Retry | ValueError | None:
    return Retry(3)


@hooks.catch
async def catch_later(error: Exception, ctx: Ctx) -> RetryAfter | None:
    return None


@task(
    hooks=Hooks(
        on_start=start,
        on_wait=start_later,
        on_resume=lambda ctx: ctx.tags.add("resumed"),
        on_success=success_of_rows,
        on_failure=any_failure,
        on_cancel=start,
        on_complete=complete,
        catch=catch_later,
        middleware=[tenant, database, session],
    )
)
def sync(ctx: Ctx, org: str) -> int:
    ctx.heartbeat()
    assert_type(ctx.locals[DB], sqlite3.Connection)
    assert_type(ctx.locals.get(DB), sqlite3.Connection | None)
    return len(ctx.locals["tenant"])


@retry.on(ConnectionError, TimeoutError, attempts=4, min="1s")
def price(item: str, *, currency: str = "EUR") -> float:
    return 9.5


@retry.on(ConnectionError)
async def price_later(item: str) -> float:
    return 9.5


def retries(request: urllib.request.Request) -> None:
    assert_type(sync.trigger("o"), RunHandle[int])
    assert_type(price("apple", currency="JPY"), float)
    assert_type(asyncio.run(price_later("apple")), float)
    assert_type(retry.call(lambda: price("apple"), Retry(3), on=(OSError, ValueError)), float)
    by_header = retry.http("http://localhost", by_status={429: "headers", "5xx": Retry(5)})
    assert_type(by_header, http.client.HTTPResponse)
    assert_type(retry.http(request, timeout="5s"), http.client.HTTPResponse)
    assert_type(retry.http(lambda: price("apple"), on=TimeoutError), float)


async def retries_in_async_code() -> None:
    assert_type(await retry.aio.call(lambda: price_later("apple")), float)
    assert_type(await retry.aio.http("http://localhost"), http.client.HTTPResponse)
    assert_type(await retry.aio.http(lambda: price_later("apple")), float)


def stays_callable(ctx: Ctx, error: ValueError) -> Any:
    start(ctx)
    return catch(error, ctx)

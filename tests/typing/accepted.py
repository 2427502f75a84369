"""What both type checkers must accept. Read, not run."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, assert_type

from trigger_lite import (
    AbortTaskRun,
    ApiError,
    BatchError,
    BatchHandle,
    Client,
    Ctx,
    Debounce,
    Err,
    Fire,
    IdempotencyKey,
    Ok,
    OutOfMemory,
    Rate,
    RateLimited,
    Result,
    Retry,
    RetryAfter,
    RetryAt,
    RunFailed,
    RunHandle,
    SubtaskError,
    Task,
    Token,
    TokenTimeout,
    batch,
    configure,
    current,
    get_logger,
    idempotency_keys,
    metadata,
    queue,
    run_inline,
    runs,
    schedules,
    tags,
    task,
    tokens,
    wait,
)
from trigger_lite.protocol.bulk_actions import BulkAction
from trigger_lite.protocol.runs import RunDetail, RunSummary
from trigger_lite.protocol.schedules import Schedule
from trigger_lite.protocol.waitpoints import TokenView
from trigger_lite.sdk.tokens import TokenDetail

log = get_logger()
crm = queue("crm", concurrency=5, rate="10/s", per_key_rate=Rate(2, per=timedelta(seconds=1)), max_length=9)


@dataclass
class Sync:
    org: str
    since: str | None = None


@task
def resize(url: str, width: int = 100) -> bytes:
    return url.encode() * width


@task(queue=crm, retry=Retry(5, min="1s", max=timedelta(minutes=2)), max_duration="10m", tags=["crm"])
def sync_contacts(p: Sync, ctx: Ctx) -> int:
    ctx.metadata.set("org", p.org)
    ctx.metadata.parent.incr("done")
    log.info("syncing", org=p.org, attempt=ctx.attempt.number)
    if ctx.canceled:
        raise AbortTaskRun("stopped")
    return 1


@task
def context_first(ctx: Ctx, url: str, *, width: int = 100) -> str:
    return f"{ctx.run.id}{url}{width}"


@task
def two_and_context(org: str, count: int, ctx: Ctx) -> None: ...


@task(id="three")
def three_and_context(a: int, b: str, c: float, ctx: Ctx) -> None: ...


@task
async def fetch(ctx: Ctx, url: str, tries: int = 1) -> dict[str, int]:
    await asyncio.sleep(0)
    return {url: tries}


@task(concurrency=1)
async def fetch_last(p: Sync, ctx: Ctx) -> list[str]:
    return [p.org]


@task
def only_context(ctx: Ctx) -> None: ...


@task
def nothing() -> None: ...


@task
def anything(value: object) -> None: ...


@task
def extra(name: str, **counts: int) -> None: ...


def calls() -> None:
    assert_type(resize("u"), bytes)
    assert_type(sync_contacts(Sync("o")), int)
    assert_type(context_first("u", width=3), str)
    assert_type(asyncio.run(fetch("u")), dict[str, int])


def triggers() -> None:
    assert_type(resize.trigger("u"), RunHandle[bytes])
    assert_type(resize.trigger(url="u", width=3).result(timeout="5m"), bytes)
    assert_type(sync_contacts.trigger(Sync("o")), RunHandle[int])
    assert_type(context_first.trigger("u", width=3), RunHandle[str])
    assert_type(context_first.trigger(url="u"), RunHandle[str])
    two_and_context.trigger("o", 3)
    three_and_context.trigger(1, "b", 2.5)
    assert_type(fetch.trigger("u", tries=2).result(), dict[str, int])
    assert_type(fetch_last.trigger(Sync("o")), RunHandle[list[str]])
    only_context.trigger()
    nothing.trigger()
    anything.trigger(3)
    extra.trigger("n", a=1, b=2)


def options(when: datetime) -> None:
    later = sync_contacts.with_(
        delay="1h",
        ttl=3600,
        tags=["org_42"],
        key="org_42",
        idempotency_key="sync:org_42",
        idempotency_key_ttl=timedelta(days=1),
        queue=crm,
        priority=5,
        max_attempts=2,
        max_duration="1h",
        machine="small-2x",
        metadata={"a": 1},
        version="20300101.1",
        test=True,
    )
    assert_type(later.trigger(Sync("o")), RunHandle[int])
    resize.with_(delay=when).with_(queue="other").trigger("u", 3)
    quiet = Debounce("org_42", "5s", mode="trailing", max_delay=timedelta(minutes=1))
    assert_type(resize.with_(debounce=quiet).trigger("u").reschedule(when), RunDetail)
    once = IdempotencyKey("org_42", scope="global")
    assert_type(resize.with_(idempotency_key=once, debounce=None).trigger("u"), RunHandle[bytes])
    idempotency_keys.reset(resize, once)


def batches() -> None:
    handles = resize.batch_trigger(["a", ("b", 2), resize.item("c", width=3)])
    assert_type(handles, BatchHandle[bytes])
    assert_type(handles[0], RunHandle[bytes])
    assert_type([handle.result() for handle in handles], list[bytes])
    assert_type(handles.status().is_over, bool)
    assert_type(resize.with_(delay="1h").batch_trigger(str(n) for n in range(3)), BatchHandle[bytes])
    several = batch(resize.item("u"), sync_contacts.item(Sync("o")))
    assert_type(several.trigger(), BatchHandle[bytes | int])
    assert_type(batch([resize.item("u")]).trigger(), BatchHandle[bytes])
    listed = batch(sync_contacts.item(Sync(org)) for org in "ab").trigger_and_wait()
    assert_type(listed, list[Ok[int] | Err[SubtaskError]])
    image, count = several.trigger_and_wait()
    assert_type(image, Ok[bytes] | Err[SubtaskError])
    assert_type(count.unwrap(), int)
    for result in resize.batch_trigger_and_wait(["u"]):
        match result:
            case Ok(output):
                assert_type(output, bytes)
            case Err(error):
                assert_type(error, SubtaskError)
    try:
        sync_contacts.batch_trigger([Sync("a"), sync_contacts.with_(delay="1h").item(Sync("b"))])
    except BatchError as error:
        log.error("batch", phase=error.phase, first=str(error.failed[0]), left=error.handles[0])


async def in_async_code() -> None:
    handle = await resize.aio.trigger("u", width=3)
    assert_type(handle, RunHandle[bytes])
    assert_type(await handle.aio.result(timeout=5), bytes)
    assert_type(await handle.aio.wait(), RunDetail)
    assert_type(await fetch.with_(delay="1h").aio.trigger("u"), RunHandle[dict[str, int]])
    found = await fetch.aio.batch_trigger(["u"])
    assert_type(found, BatchHandle[dict[str, int]])
    assert_type((await found.aio.status()).finished, int)
    assert_type(await fetch.aio.batch_trigger_and_wait(["u"]), list[Ok[dict[str, int]] | Err[SubtaskError]])
    one, two = await batch(resize.item("u"), fetch.item("u")).aio.trigger_and_wait()
    assert_type((one.unwrap(), two.unwrap()), tuple[bytes, dict[str, int]])
    assert_type(runs.aio.list(status="FAILED"), AsyncIterator[RunSummary])
    async for run in runs.aio.list(tag=["a", "b"]):
        await runs.aio.cancel(run.id)


def run_by_run() -> None:
    assert_type(runs.get("run_1"), RunDetail)
    assert_type(runs.list(status=["FAILED"], task="resize", period="1d"), Iterator[RunSummary])
    assert_type(runs.replay("run_1", payload={"a": 1}), RunHandle[Any])
    assert_type(runs.replay("run_1", version="20300101.1", machine="large-1x", delay="1h"), RunHandle[Any])
    assert_type(runs.reschedule("run_1", "2h"), RunDetail)
    assert_type(runs.bulk.cancel(status="QUEUED", task="resize", period="30d"), BulkAction)
    assert_type(runs.bulk.replay(["run_1"], name="again").counts.success, int)
    assert_type(runs.bulk.list(), Iterator[BulkAction])
    configure(url="http://127.0.0.1:3040", key="k")
    client = Client("http://127.0.0.1:3040", "k", attempts=1, timeout="5s")
    assert_type(client.trigger("other", {"a": 1}, delay="1h", tags="t"), RunHandle[Any])


@task
def parent(ctx: Ctx) -> int:
    child = resize.trigger_and_wait("u", width=3)
    assert_type(child, Ok[bytes] | Err[SubtaskError])
    assert_type(child.unwrap(), bytes)
    assert_type(resize.with_(delay="1h").trigger_and_wait("u").unwrap(), bytes)
    match sync_contacts.trigger_and_wait(Sync("o")):
        case Ok(output):
            return output
        case Err(error):
            assert_type(error, SubtaskError)
            raise error.cause


def child_of_any_kind() -> Result[bytes]:
    return resize.trigger_and_wait("u")


async def parent_in_async_code() -> None:
    assert_type((await fetch.aio.trigger_and_wait("u")).unwrap(), dict[str, int])
    await wait.aio.for_("30s")
    assert_type(await wait.aio.for_token("waitpoint_1", type=Sync), Ok[Sync] | Err[TokenTimeout])
    token = await tokens.aio.create(type=Sync, tags="org_42")
    await tokens.aio.complete(token, Sync("o"))
    assert_type(tokens.aio.list(tag=["a"]), AsyncIterator[TokenView])


def waits(when: datetime) -> None:
    wait.for_("1h30m")
    wait.for_(timedelta(minutes=5))
    wait.until(when, past="raise")
    token = tokens.create(timeout="1d", type=Sync, idempotency_key="k")
    assert_type(token, Token[Sync])
    assert_type(wait.for_token(token), Ok[Sync] | Err[TokenTimeout])
    assert_type(wait.for_token(token.id, type=Sync).unwrap(), Sync)
    assert_type(wait.for_token(tokens.create(timeout=when)).unwrap(), Any)
    tokens.complete(token.id, {"org": "o"})
    assert_type(tokens.get(token.id), TokenDetail)
    assert_type(tokens.list(status="WAITING", period="1d"), Iterator[TokenView])


def in_tests() -> None:
    assert_type(run_inline(resize, "u", width=3), Ok[bytes] | Err[RunFailed])
    assert_type(run_inline(fetch, "u").unwrap(), dict[str, int])
    assert_type(run_inline.with_(tokens=[Sync("o")])(resize, "u").run.attempts, int)
    match run_inline(sync_contacts, Sync("o")):
        case Ok(output):
            assert_type(output, int)
        case Err(failure):
            assert_type(failure, RunFailed)


def errors(when: datetime) -> None:
    try:
        runs.get("x")
    except RateLimited as limited:
        raise RetryAfter(limited.retry_after) from limited
    except ApiError as error:
        if error.status == 404:
            raise AbortTaskRun(error.message) from error
        raise RetryAt(when) from error
    raise OutOfMemory("6 GB")


def helpers(any_task: Task[..., Any]) -> None:
    current().metadata.append("notes", any_task.id)
    metadata.root.replace({"a": 1})
    tags.add("a", "b")
    helpers(resize)
    helpers(fetch)


# ---- schedules ------------------------------------------------------------------------------------------


@schedules.task(cron="0 5 * * *", tz="Asia/Tokyo", overlap="skip", catch_up="none", expect_within="15m")
def close_books(fire: Fire, ctx: Ctx) -> int:
    assert_type(fire.at, datetime)
    assert_type(fire.next, datetime | None)
    return fire.local.year


@schedules.task
async def remind(ctx: Ctx, fire: Fire) -> str:
    return fire.external_id or ""


@schedules.task(cron="*/5 * * * *", retry=Retry(2), environments=["prod"])
def tick() -> None: ...


def scheduled(at: datetime) -> None:
    assert_type(close_books, Task[[Fire], int])
    assert_type(close_books(Fire(at=at)), int)
    assert_type(close_books.trigger(Fire(at=at)), RunHandle[int])
    assert_type(remind.trigger(Fire(at)), RunHandle[str])
    assert_type(tick.trigger(), RunHandle[None])
    made = schedules.create(remind, "0 5 * * *", tz="UTC", dedup_key="user_7", external_id="user_7")
    assert_type(made, Schedule)
    assert_type(made.next_run, str | None)
    schedules.update(
        made.id, task="remind", cron="0 6 * * *", external_id=None, expect_within=timedelta(hours=1)
    )
    assert_type([schedule.id for schedule in schedules.list()], list[str])
    assert_type(schedules.run_now(made.id), RunHandle[Any])


async def scheduled_async(client: Client) -> None:
    assert_type(await schedules.aio.create("remind", "0 5 * * *", overlap="queue"), Schedule)
    assert_type([schedule.active async for schedule in client.aio.schedules.list()], list[bool])

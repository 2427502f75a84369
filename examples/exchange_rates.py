"""Keep exchange rates in a database that middleware opens; `retry.http` is patient, hooks have their say."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from trigger_lite import AbortTaskRun, Ctx, Hooks, Retry, get_logger, local, retry, task

log = get_logger()
DB = local("db", sqlite3.Connection)


def database(ctx: Ctx) -> Iterator[None]:
    """Open the database around each attempt, whose changes are kept when it succeeds and only then."""
    with closing(sqlite3.connect(Path("rates.db"))) as db, db:
        db.execute("CREATE TABLE IF NOT EXISTS rate (currency TEXT PRIMARY KEY, value REAL)")
        ctx.locals[DB] = db
        yield


def give_up_on_nonsense(error: Exception, ctx: Ctx) -> AbortTaskRun | None:
    """Asked after each failed attempt: what is no JSON now will be none in a minute."""
    return AbortTaskRun("the service does not answer with JSON") if isinstance(error, ValueError) else None


def count_rates(output: int, ctx: Ctx) -> None:
    log.info("rates are fresh", changed=output, known=len(known_rates(ctx)))


@task(
    retry=Retry(3, min="5s"),
    max_duration="5m",
    hooks=Hooks(middleware=[database], catch=give_up_on_nonsense, on_success=count_rates),
)
def refresh_rates(ctx: Ctx, url: str) -> int:
    """Fetch rates such as {"EUR": 0.92} and store them; return how many changed."""
    with retry.http(url, by_status={429: "headers", "5xx": Retry(5, min="1s", max="10s")}) as answer:
        rates: dict[str, float] = json.load(answer)
    changed = rates.items() - known_rates(ctx).items()
    ctx.locals[DB].executemany("INSERT OR REPLACE INTO rate VALUES (?, ?)", changed)
    return len(changed)


def known_rates(ctx: Ctx) -> dict[str, float]:
    """Return what the database holds."""
    return dict(ctx.locals[DB].execute("SELECT currency, value FROM rate"))

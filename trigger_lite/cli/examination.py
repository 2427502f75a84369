"""What `trigger-lite doctor` looks at: the data folder, the disk, the clock, and what holds between rows."""

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from trigger_lite.background.repair import repair_all
from trigger_lite.cli.sizes import size_text
from trigger_lite.engine.checks import CHECKS, Check
from trigger_lite.protocol.durations import format_duration
from trigger_lite.server import STATE_LEASE, TELEMETRY_LEASE
from trigger_lite.store import audit, space
from trigger_lite.store.database import Database, PostgresDatabase, SqliteDatabase
from trigger_lite.store.folder import DataFolder, make_private
from trigger_lite.store.inspection import Inspection, compare_schema, find_damage, is_leased
from trigger_lite.store.store import Store, wall_clock

LEAST_FREE_BYTES: Final = 256_000_000
CLOCK_SLACK_MS: Final = 60_000
MOST_FOUND: Final = 1_000
_SHOWN: Final = 3


class Finding(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What one check found. `remedy` is what --fix does, or what a person can do; `examples` are ids."""

    name: str
    ok: bool
    text: str
    count: int = 0
    examples: list[str] = []
    remedy: str = ""
    is_fixable: bool = False


class Installation:
    """What is examined: a data folder, and the databases in it or the one at a URL."""

    def __init__(self, folder: Path, database_url: str | None) -> None:
        self.folder = DataFolder(folder)
        self.has_folder = folder.is_dir()
        self.databases: dict[str, Database] = {
            "state": SqliteDatabase(self.folder.state, synchronous="FULL"),
            "telemetry": SqliteDatabase(self.folder.telemetry, synchronous="NORMAL"),
        }
        if database_url is not None:
            self.databases = {
                "state": PostgresDatabase(database_url, lease=STATE_LEASE),
                "telemetry": PostgresDatabase(database_url, lease=TELEMETRY_LEASE),
            }
        self.is_sqlite = database_url is None

    @property
    def is_there(self) -> bool:
        """Whether a server was ever started here."""
        return not self.is_sqlite or self.folder.state.is_file()


@asynccontextmanager
async def inspecting(database: Database) -> AsyncIterator[Inspection]:
    inspection = Inspection(database)
    try:
        yield inspection
    finally:
        await inspection.close()


async def find_server(installation: Installation) -> str | None:
    """Name the server that runs on an installation now, or return None. Raises DatabaseUnusable."""
    owner = installation.folder.server() if installation.has_folder else None
    if owner is not None or installation.is_sqlite:
        return owner
    async with inspecting(installation.databases["state"]) as state:
        return "another machine's" if await state.read(is_leased, STATE_LEASE) else None


# ---- looking ----------------------------------------------------------------------------------------


async def examine(installation: Installation, *, is_served: bool, most: int | None) -> list[Finding]:
    """Look at everything; `most` is the size that the data may have, in bytes. Raises DatabaseUnusable."""
    findings = examine_folder(installation) if installation.has_folder else []
    async with (
        inspecting(installation.databases["state"]) as state,
        inspecting(installation.databases["telemetry"]) as telemetry,
    ):
        findings += [await _damage(area, one) for area, one in (("state", state), ("telemetry", telemetry))]
        schema = [await _schema(area, one) for area, one in (("state", state), ("telemetry", telemetry))]
        findings += schema
        if all(finding.ok for finding in schema):
            findings.append(await _size(state, telemetry, most))
            findings.append(await _clock(state))
            for check in CHECKS:
                if is_served or not check.needs_server:
                    findings.append(await _rows(check, state))
    return findings


def examine_folder(installation: Installation) -> list[Finding]:
    """Look at permissions and at the disk."""
    folder = installation.folder
    free = shutil.disk_usage(folder.path).free
    is_free = free >= LEAST_FREE_BYTES
    return [
        _permissions(folder.open_to_others()),
        Finding(
            "disk",
            is_free,
            f"{size_text(free)} free at {folder.path}",
            remedy="" if is_free else "make room, or keep less with --keep-data, --keep-logs and --keep-runs",
        ),
    ]


def _permissions(paths: Sequence[Path]) -> Finding:
    if not paths:
        return Finding("permissions", True, "the folder and its files are their owner's alone")
    return Finding(
        "permissions",
        False,
        "others than the owner may use files that hold keys or data",
        count=len(paths),
        examples=[str(path) for path in paths[:_SHOWN]],
        remedy="take the permission of others away (0700 and 0600)",
        is_fixable=True,
    )


async def _damage(area: str, inspection: Inspection) -> Finding:
    lines = await inspection.read(find_damage)
    if not lines:
        return Finding(f"{area} database", True, "can be read and is whole")
    return Finding(
        f"{area} database",
        False,
        "the file is damaged",
        count=len(lines),
        examples=lines[:_SHOWN],
        remedy="stop the server and restore the file from a backup",
    )


async def _schema(area: str, inspection: Inspection) -> Finding:
    found = await inspection.read(compare_schema, area)
    name = f"{area} schema"
    if found.unknown:
        remedy = "run the newer trigger-lite that made it, or restore a backup"
        return Finding(
            name, False, "a newer version wrote it", len(found.unknown), found.unknown[:_SHOWN], remedy
        )
    if found.missing:
        remedy = "start the server: it brings the schema up to date; a backup before that is wise"
        return Finding(
            name, False, "an older version wrote it", len(found.missing), found.missing[:_SHOWN], remedy
        )
    return Finding(name, True, "is that of this version")


async def _size(state: Inspection, telemetry: Inspection, most: int | None) -> Finding:
    pairs = ((state, "state"), (telemetry, "telemetry"))
    used = sum([await one.read(space.used_bytes, area) for one, area in pairs])
    total = sum([await one.read(space.total_bytes, area) for one, area in pairs])
    limit = "" if most is None else f" of {size_text(most)}"
    text = f"{size_text(used)}{limit}, and {size_text(max(0, total - used))} free inside"
    is_within = most is None or used <= 1.1 * most
    remedy = "" if is_within else "raise --keep-data, or let the server run: it removes what it may"
    return Finding("size of the data", is_within, text, remedy=remedy)


async def _clock(state: Inspection) -> Finding:
    ahead = await state.read(audit.newest_time) - wall_clock()
    if ahead <= CLOCK_SLACK_MS:
        return Finding("clock", True, "nothing was written in the future")
    shown = format_duration(ahead // 1_000)
    return Finding(
        "clock",
        False,
        f"the last change was made {shown} from now",
        remedy="set the machine's clock; runs that came meanwhile are put in line as of now by the server",
    )


async def _rows(check: Check, state: Inspection) -> Finding:
    found = await state.read(check.find, MOST_FOUND)
    if not found:
        return Finding(check.name, True, "as it should be")
    return Finding(
        check.name,
        False,
        check.wrong,
        count=len(found),
        examples=found[:_SHOWN],
        remedy=check.remedy,
        is_fixable=check.repair is not None,
    )


# ---- putting right ------------------------------------------------------------------------------------


async def put_right(installation: Installation) -> None:
    """Put right all that can be, while no server runs.

    Raises FolderUnusable, DatabaseTaken or DatabaseUnusable when a server was started meanwhile.
    """
    folder = installation.folder
    if installation.has_folder:
        folder.lock()
    try:
        if installation.has_folder:
            for path in folder.open_to_others():
                make_private(path)
        store = await Store.open(installation.databases["state"], "state", publish=_tell_nobody)
        try:
            for check in CHECKS:
                if check.repair is not None:
                    await repair_all(store, check)
        finally:
            await store.close()
    finally:
        folder.unlock()


def _tell_nobody(_events: list[object]) -> None:
    """Nobody listens: the server looks at everything anew when it starts."""

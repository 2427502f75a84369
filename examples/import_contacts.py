"""Import a CSV file into a database, showing how far it is; a retry does not import a row twice."""

import csv
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from trigger_lite import AbortTaskRun, Ctx, get_logger, queue, task

log = get_logger()
HERE = Path(__file__).parent
imports = queue("imports", concurrency=1)


@dataclass
class Imported:
    rows: int
    skipped: int


@task(queue=imports, max_duration="10m", tags=["import"])
def import_contacts(
    ctx: Ctx, file: Path = HERE / "contacts.csv", database: Path = Path("contacts.db")
) -> Imported:
    """Import names and addresses from a CSV file with the columns name, email and city."""
    if not file.exists():
        raise AbortTaskRun(f"{file} does not exist")
    imported = skipped = 0
    with file.open(newline="", encoding="utf-8") as text, closing(sqlite3.connect(database)) as connection:
        size = file.stat().st_size
        connection.execute(
            "CREATE TABLE IF NOT EXISTS contact (email TEXT PRIMARY KEY, name TEXT, city TEXT)"
        )
        seen = 0
        for number, row in enumerate(csv.DictReader(text), 2):
            if ctx.canceled:
                raise AbortTaskRun(f"cancelled at line {number}")
            if "@" not in (row.get("email") or ""):
                skipped += 1
                log.warning("skipped a row without an address", line=number, name=row.get("name"))
                ctx.metadata.append("skipped_lines", number)
            else:
                imported += 1
                connection.execute(
                    "INSERT OR REPLACE INTO contact VALUES (?, ?, ?)",
                    (row["email"], row.get("name"), row.get("city")),
                )
            seen += sum(len(str(value)) + 1 for value in row.values())
            ctx.metadata.set("progress", min(1.0, round(seen / size, 2)))
        connection.commit()
    ctx.metadata.set("progress", 1.0)
    return Imported(imported, skipped)

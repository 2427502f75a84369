"""The examples do what they say, on a bare machine and without a network."""

import importlib.util
import os
import sqlite3
import struct
import sys
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.edge import Edge, Reply
from tests.support.source import ROOT
from trigger_lite import Err, Fire, Retry, run_inline, task
from trigger_lite.sdk.registry import registry

EXAMPLES = ROOT / "examples"


@pytest.fixture
def example(request: pytest.FixtureRequest) -> Any:
    """The module of the example that the test names."""
    name = f"example_{request.param}"
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{request.param}.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def of(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("example", [name], indirect=True)


@of("fetch")
def test_a_page_is_fetched(example: Any, edge: Edge) -> None:
    body = b"<html><title> Jobs </title></html>"
    edge.on("GET", "/page", Reply(body=body, headers={"content-type": "text/html"}))
    page = run_inline(example.fetch_page, f"{edge.url}/page").unwrap()
    assert (page.title, page.size, page.content_type) == ("Jobs", len(body), "text/html")


@of("fetch")
def test_a_page_that_is_down_is_tried_again(example: Any, edge: Edge) -> None:
    edge.on("GET", "/page", Reply(500), Reply(503, headers={"retry-after": "30"}), Reply(body=b"up"))
    outcome = run_inline(example.fetch_page, f"{edge.url}/page")
    assert outcome.unwrap().title is None
    assert outcome.run.attempts == 3
    assert outcome.run.waited_seconds == pytest.approx(2 + 30)


@of("fetch")
def test_a_page_that_is_missing_is_not_tried_again(example: Any, edge: Edge) -> None:
    outcome = run_inline(example.fetch_page, f"{edge.url}/page")
    assert isinstance(outcome, Err)
    assert "answers 404" in str(outcome.error)
    assert outcome.run.attempts == 1


@of("import_contacts")
def test_contacts_are_imported_once(example: Any, tmp_path: Path) -> None:
    database = tmp_path / "contacts.db"
    for _ in range(2):
        outcome = run_inline(example.import_contacts, database=database)
        assert outcome.unwrap() == example.Imported(rows=6, skipped=2)
    assert outcome.run.metadata == {"progress": 1.0, "skipped_lines": [4, 7]}
    connection = sqlite3.connect(database)
    assert connection.execute("SELECT count(*) FROM contact").fetchone() == (6,)
    connection.close()


@of("import_contacts")
def test_a_missing_or_crooked_file_is_told(example: Any, tmp_path: Path) -> None:
    missing = run_inline(example.import_contacts, tmp_path / "none.csv", tmp_path / "c.db")
    assert isinstance(missing, Err)
    assert missing.run.attempts == 1
    crooked = tmp_path / "crooked.csv"
    crooked.write_text("name,email\nshort\nAda,ada@example.com,too,many\n")
    assert run_inline(example.import_contacts, crooked, tmp_path / "c.db").unwrap().skipped == 1


@of("flaky")
def test_the_third_attempt_gets_through(example: Any) -> None:
    outcome = run_inline(example.charge_order, 7, 12.5)
    assert outcome.unwrap() == "charge-7-run_local"
    assert outcome.run.attempts == 3
    assert outcome.run.waited_seconds == pytest.approx(1 + 2)


@of("clean_up")
def test_only_old_files_that_match_are_deleted(example: Any, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    old, new, other = tmp_path / "deep" / "old.tmp", tmp_path / "new.tmp", tmp_path / "old.txt"
    for path in (old, new, other):
        path.write_bytes(b"x" * 100)
    weeks_ago = time.time() - 20 * 86_400
    os.utime(old, (weeks_ago, weeks_ago))
    os.utime(other, (weeks_ago, weeks_ago))
    (tmp_path / "link.tmp").symlink_to(other)
    outcome = run_inline(example.clean_up, tmp_path)
    assert outcome.unwrap() == example.Freed(files=1, bytes=100)
    assert outcome.run.metadata == {"freed_bytes": 100}
    assert (old.exists(), new.exists(), other.exists()) == (False, True, True)


@of("clean_up")
def test_a_folder_that_is_none_is_told(example: Any, tmp_path: Path) -> None:
    assert isinstance(run_inline(example.clean_up, tmp_path / "none"), Err)


@of("disk_report")
def test_the_disk_is_reported_for_the_day_where_its_readers_live(example: Any) -> None:
    evening = datetime(2030, 1, 3, 23, 30, tzinfo=UTC)
    fire = Fire(at=evening, upcoming=[datetime(2030, 1, 4, 6, tzinfo=UTC)], timezone="Europe/Berlin")
    report = run_inline(example.disk_report, fire).unwrap()
    assert (report.day, report.next_report) == ("2030-01-04", "2030-01-04")
    assert 0 <= report.free_percent <= 100
    schedule = example.disk_report.manifest().schedule
    assert (schedule.cron, schedule.timezone) == ("0 7 * * mon-fri", "Europe/Berlin")


@of("thumbnails")
def test_a_thumbnail_is_made_of_the_picture(example: Any, tmp_path: Path) -> None:
    target = tmp_path / "small.png"
    made = run_inline(example.make_thumbnail, width=48, target=target).unwrap()
    assert made == example.Thumbnail(target, 48, 32, target.stat().st_size)
    picture = example.read_png(target.read_bytes())
    assert (picture.width, picture.height, picture.channels) == (48, 32, 3)
    sky, hill = picture.rows[0][:3], picture.rows[31][:3]
    assert sky[2] > sky[0]
    assert hill[1] > hill[2]


@of("thumbnails")
def test_the_thumbnail_lies_beside_the_picture(example: Any, tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes((EXAMPLES / "picture.png").read_bytes())
    assert run_inline(example.make_thumbnail, tmp_path / "p.png", 10_000).unwrap().path.name == "p-192.png"


@of("thumbnails")
@pytest.mark.parametrize("kind", range(5))
def test_every_way_png_stores_rows_is_read(example: Any, kind: int) -> None:
    width, height = 4, 3
    rows = [bytes((31 * x * y + 7 * x + 5 * y) & 255 for x in range(width * 3)) for y in range(height)]
    packed, above = b"", bytes(width * 3)
    for row in rows:
        guess = bytearray()
        for i in range(width * 3):
            left, corner = (row[i - 3], above[i - 3]) if i >= 3 else (0, 0)
            guesses = (0, left, above[i], (left + above[i]) // 2, example.nearest(left, above[i], corner))
            guess.append((row[i] - guesses[kind]) & 255)
        packed += bytes([kind]) + bytes(guess)
        above = row
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = example.SIGNATURE + example.chunk(b"IHDR", header)
    data += example.chunk(b"IDAT", zlib.compress(packed)) + example.chunk(b"IEND", b"")
    assert example.read_png(data).rows == rows


@of("thumbnails")
@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"])
def test_what_is_no_picture_is_told(example: Any, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "p.png").write_bytes(data)
    outcome = run_inline(example.make_thumbnail, tmp_path / "p.png")
    assert isinstance(outcome, Err)
    assert "cannot be read as a PNG picture" in str(outcome.error)


RATES = Reply(body={"EUR": 0.92, "JPY": 155.1})


@of("exchange_rates")
def test_rates_are_fetched_patiently_and_kept(
    example: Any, edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    edge.on("GET", "/rates", Reply(503), Reply(429, headers={"retry-after": "30"}), RATES)
    outcome = run_inline(example.refresh_rates, f"{edge.url}/rates")
    assert outcome.unwrap() == 2
    assert outcome.run is not None
    assert (outcome.run.attempts, outcome.run.waited_seconds) == (1, 1 + 30)
    assert run_inline(example.refresh_rates, f"{edge.url}/rates").unwrap() == 0
    assert outcome.run.logs[-1] == ("INFO", "rates are fresh", {"changed": 2, "known": 2})


@of("exchange_rates")
def test_what_is_no_rates_is_not_asked_for_again(
    example: Any, edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    edge.on("GET", "/rates", Reply(body=b"<html>"))
    outcome = run_inline(example.refresh_rates, f"{edge.url}/rates")
    assert isinstance(outcome, Err)
    assert "the service does not answer with JSON" in str(outcome.error)
    assert len(edge.requests) == 1


@of("init")
def test_what_all_examples_share_is_around_each_of_them(example: Any) -> None:
    @task(retry=Retry(1))
    def broken() -> None:
        raise ConnectionError("down")

    outcome = run_inline(broken)
    assert outcome.run is not None
    assert [line[:2] for line in outcome.run.logs] == [
        ("ERROR", "a run failed for good"),
        ("INFO", "attempt over"),
    ]


@pytest.mark.parametrize(
    "example",
    ["clean_up", "disk_report", "exchange_rates", "fetch", "flaky", "import_contacts", "thumbnails"],
    indirect=True,
)
def test_every_example_can_be_registered(example: Any) -> None:
    made = [task for task in registry.tasks() if task.__module__ == example.__name__]
    assert len(made) == 1
    manifest = made[0].manifest()
    assert manifest.payload_schema["type"] == "object"
    assert manifest.description
    assert manifest.file_path.startswith("examples/")

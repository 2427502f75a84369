"""Memory: of this process, of the machine, and as people write it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import memory_of
from trigger_lite.worker.memory import megabytes, parse_memory, total_memory
from trigger_lite.worker.settings import WorkerSettings

_GROWS = """
import mmap
from trigger_lite.worker.memory import own_memory
before = own_memory()
block = mmap.mmap(-1, 60_000_000)
block.write(b"x" * 60_000_000)
print(own_memory() - before)
"""


def test_a_process_knows_what_it_holds() -> None:
    """In a process of its own: what this one shares with children that end meanwhile counts, too."""
    said = subprocess.run([sys.executable, "-c", _GROWS], capture_output=True, check=True, text=True)
    assert 40_000_000 < int(said.stdout) < 80_000_000


def test_the_memory_of_a_machine_is_more_than_that_of_a_process() -> None:
    assert total_memory() > memory_of(os.getpid()) > 0


def test_a_containers_limit_counts_when_it_is_lower(tmp_path: Path) -> None:
    limit, none = tmp_path / "memory.max", tmp_path / "other"
    limit.write_text("100000000\n")
    none.write_text("max\n")
    assert total_memory([none, limit, tmp_path / "missing"]) == 100_000_000
    assert total_memory([none]) == total_memory([])


@pytest.mark.parametrize(
    ("text", "size"),
    [("500MB", 500_000_000), ("2GB", 2_000_000_000), ("1.5 gb", 1_500_000_000), ("1TB", 10**12)],
)
def test_amounts_of_memory_are_read(text: str, size: int) -> None:
    assert parse_memory(text) == size


def test_a_share_is_of_all_memory() -> None:
    assert parse_memory("50%") == total_memory() // 2


@pytest.mark.parametrize("text", ["", "2", "GB", "-1GB", "2 gigabytes", "25 percent"])
def test_other_words_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r'write for example "500MB", "2GB" or "25%"'):
        parse_memory(text)


def test_sizes_are_shown_in_megabytes() -> None:
    assert megabytes(1_234_567_890) == "1,235 MB"


def test_a_worker_parks_runs_within_a_quarter_of_the_memory_unless_told(tmp_path: Path) -> None:
    settings = WorkerSettings(directory=tmp_path, url="http://127.0.0.1:1", key="k")
    assert settings.parked_memory == total_memory() // 4

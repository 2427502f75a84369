"""What a reader of the figures must know of the machine they were taken on."""

import os
import platform
import statistics
import time
from pathlib import Path

_SYNCS = 20


def describe_machine(folder: Path) -> dict[str, str]:
    """Describe processor, memory, system and the disk that `folder` is on."""
    return {
        "processor": f"{_cores()} × {_field('/proc/cpuinfo', 'model name')}",
        "memory": f"{int(_field('/proc/meminfo', 'MemTotal').split()[0]) / 1_048_576:.1f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "disk": f"a synced write takes {_sync_ms(folder):.2f} ms",
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return platform.machine() if name == "model name" else "0"


def _sync_ms(folder: Path) -> float:
    """Return how long a 4 KB write takes until it is on disk, the median of some."""
    path = folder / "sync"
    times = []
    with path.open("wb") as file:
        for _ in range(_SYNCS):
            began = time.perf_counter()
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    path.unlink()
    return statistics.median(times) * 1000

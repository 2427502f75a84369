"""Memory: what this process holds, what the machine has, and sizes as people write them."""

import os
import re
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_ROLLUP: Final = Path("/proc/self/smaps_rollup")
CONTAINER_LIMITS: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_SIZE: Final = re.compile(r"(\d{1,12}(?:\.\d{1,3})?)\s*(%|MB|GB|TB)", re.IGNORECASE)
_UNITS: Final = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


def own_memory() -> int:
    """Return the bytes this process holds, what it shares counted in parts (PSS); its peak without /proc."""
    try:
        for line in _ROLLUP.read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux, or a kernel without it
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def total_memory(limits: Sequence[Path] = CONTAINER_LIMITS) -> int:
    """Return the bytes of memory there are for this machine, or its container when that has fewer."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in limits:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text.isdigit():  # not "max"
            total = min(total, int(text))
    return total


def parse_memory(text: str) -> int:
    """Return bytes for "500MB", "2GB" or a share of the machine's memory such as "25%".

    Raises ValueError with what would be right.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'{text!r} is no amount of memory; write for example "500MB", "2GB" or "25%"')
    number, unit = float(match[1]), match[2].upper()
    return int(total_memory() * number / 100) if unit == "%" else int(number * _UNITS[unit])


def megabytes(size: int) -> str:
    """Return a size as people read it."""
    return f"{size / 10**6:,.0f} MB"

"""What Linux tells of processes: a tree of them, its memory, its processor time."""

from pathlib import Path

_PROC = Path("/proc")


def tree(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    found = [pid]
    for parent in found:
        for thread in (_PROC / str(parent) / "task").iterdir():
            found += [int(child) for child in (thread / "children").read_text().split()]
    return found


def memory_mb(pids: list[int]) -> float:
    """Return the proportional set size of all in MB: what is shared counts once, divided among them."""
    return sum(_pss_kb(pid) for pid in pids) / 1024


def _pss_kb(pid: int) -> int:
    for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise LookupError(f"no proportional set size of process {pid}")


def cpu_seconds(pids: list[int]) -> float:
    """Return the processor time that these processes have used, to the nanosecond."""
    threads = [thread for pid in pids for thread in (_PROC / str(pid) / "task").iterdir()]
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9

"""Delete old files below a folder and report what that freed."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from trigger_lite import AbortTaskRun, get_logger, metadata, task

log = get_logger()
DAY = 86_400


@dataclass
class Freed:
    files: int = 0
    bytes: int = 0
    kept: list[str] = field(default_factory=list[str])


@task(max_duration="30m", tags=["housekeeping"])
def clean_up(folder: Path, pattern: str = "*.tmp", older_than_days: float = 7) -> Freed:
    """Delete files that match `pattern` and were not touched for so many days; links are left alone."""
    if not folder.is_dir():
        raise AbortTaskRun(f"{folder} is no folder")
    freed, newest = Freed(), time.time() - older_than_days * DAY
    for path in sorted(folder.rglob(pattern)):
        if path.is_symlink() or not path.is_file() or path.stat().st_mtime > newest:
            continue
        size = path.stat().st_size
        try:
            path.unlink()
        except PermissionError as error:
            log.warning("kept", path=str(path), reason=str(error))
            freed.kept.append(str(path))
            continue
        freed.files += 1
        freed.bytes += size
        metadata.set("freed_bytes", freed.bytes)
    log.info("cleaned up", folder=str(folder), files=freed.files, bytes=freed.bytes)
    return freed

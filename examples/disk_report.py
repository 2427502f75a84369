"""Report every morning how full the disk is, and warn when it fills up before the weekend."""

import shutil
from dataclasses import dataclass

from trigger_lite import Fire, get_logger, schedules

log = get_logger()
FRIDAY = 4


@dataclass
class DiskReport:
    day: str
    free_percent: float
    next_report: str | None


@schedules.task(cron="0 7 * * mon-fri", tz="Europe/Berlin", overlap="skip", expect_within="5m")
def disk_report(fire: Fire) -> DiskReport:
    """Say how much of the disk is free, on the day that people there call today."""
    disk = shutil.disk_usage("/")
    free = round(100 * disk.free / disk.total, 1)
    if free < (20 if fire.local.weekday() == FRIDAY else 10):
        log.warning("the disk fills up", free_percent=free)
    following = None if fire.next is None else fire.next.date().isoformat()
    return DiskReport(fire.local.date().isoformat(), free, following)

"""Puts right, at the start and after an outage, what does not hold: found by readers, in chunks."""

import logging

from trigger_lite.engine.checks import AT_BOOT, CHUNK, Check
from trigger_lite.store.runs import RunRow, list_owned
from trigger_lite.store.store import Store

logger = logging.getLogger(__name__)


async def repair(store: Store) -> list[RunRow]:
    """Put right what does not hold; returns the runs that workers have."""
    for check in AT_BOOT:
        await repair_all(store, check)
    return await store.read(list_owned)


async def repair_all(store: Store, check: Check) -> int:
    """Put right all that a check finds, and say so; returns how many there were."""
    count = 0
    found = await store.read(check.find, CHUNK)
    while found:
        await store.write_when_free(check.put_right, found)
        count += len(found)
        before, found = found, await store.read(check.find, CHUNK)
        if found == before:
            logger.error("%d %s, and that cannot be put right", len(found), check.wrong)
            break
    else:
        if count:
            logger.warning("put right: %d %s", count, check.wrong)
    return count

"""A worker beside the server: started again whatever ends it, even before it begins."""

import asyncio
from pathlib import Path

from trigger_lite.launch.process import WorkerProcess

SECONDS = 20.0


async def test_a_worker_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    lines: asyncio.Queue[str] = asyncio.Queue()
    too_much = {f"V{n}": "x" * 100_000 for n in range(100)}
    worker = WorkerProcess(
        tmp_path, url="http://127.0.0.1:1", key="key", said=lines.put_nowait, environment=too_much
    )
    worker.start()
    async with asyncio.timeout(SECONDS):
        first, second = await lines.get(), await lines.get()
        await worker.stop(0)
    assert first == "The worker could not be started: Argument list too long; it is started again in 0.5 s"
    assert second.endswith("it is started again in 1 s")
    assert worker.pid is None


async def test_stopping_twice_is_stopping_once(tmp_path: Path) -> None:
    worker = WorkerProcess(
        tmp_path, url="http://127.0.0.1:1", key="key", said=lambda _line: None, environment={}
    )
    await worker.stop(0)
    worker.start()
    async with asyncio.timeout(SECONDS):
        await worker.stop(0)
        await worker.stop(0)

"""Hooks that hear of crashes and timeouts, with a real server that says whether anything follows."""

from typing import Final

import pytest

from tests.journeys.faults.conftest import WriteTasks
from tests.support.real_server import RealServer

_TASKS: Final = """
    import json
    from trigger_lite import Hooks, OutOfMemory, RunFailed

    @task
    def told(status, attempt, machine):
        return [status, attempt, machine]

    def failed(error: Exception, ctx: Ctx) -> None:
        assert isinstance(error, RunFailed)
        ctx.tags.add("heard")
        told.trigger(error.status, ctx.attempt.number, ctx.machine.name)

    @task(retry=Retry(2, min=0.01), hooks=Hooks(on_failure=failed))
    def crash():
        os._exit(3)

    @task(retry=Retry(2, min=0.01), max_duration=5, hooks=Hooks(on_failure=failed))
    def forever():
        while True:
            time.sleep(0.01)

    @task(retry=Retry(2, min=0.01, out_of_memory_machine="medium-1x"), hooks=Hooks(on_failure=failed))
    def hungry():
        raise OutOfMemory("as always")
"""


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("crash", ["CRASHED", 2, "small-1x"]),
        ("forever", ["TIMED_OUT", 1, "small-1x"]),
        ("hungry", ["CRASHED", 2, "medium-1x"]),
    ],
)
def test_hooks_hear_of_a_failure_once_and_of_the_last_one(
    server: RealServer, write_tasks: WriteTasks, task: str, expected: list[object]
) -> None:
    """AT-14, AT-17, AT-24, AT-26"""
    server.start()
    worker = server.start_worker(write_tasks(_TASKS), "--concurrency", "1")
    run = server.trigger(task)
    found = worker.wait_for_line(r"told\S* completed .*(run_\w+)")
    assert server.finished(found[1])["output"] == expected
    assert server.until(run, lambda run: run["tags"] == ["heard"])["status"] == expected[0]
    assert len([line for line in worker.lines if "told·" in line]) == 1

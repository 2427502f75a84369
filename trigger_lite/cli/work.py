"""What `worker` and `dev` have in common: settings of the worker, and its run to the end."""

from dataclasses import replace
from pathlib import Path

from trigger_lite.cli.failures import BadInput
from trigger_lite.cli.target import Target
from trigger_lite.worker.events import WorkerObserver
from trigger_lite.worker.project import ProjectConfigError
from trigger_lite.worker.settings import WorkerSettings


def worker_settings(
    target: Target, directory: Path, *, concurrency: int | None, name: str | None, watch: bool
) -> WorkerSettings:
    """Return the settings of a worker; what is None keeps the worker's own default."""
    settings = WorkerSettings(directory=directory.resolve(), url=target.url, key=target.key, watch=watch)
    if concurrency is not None:
        settings = replace(settings, concurrency=concurrency)
    return settings if name is None else replace(settings, name=name)


def work(settings: WorkerSettings, observer: WorkerObserver) -> int:
    """Run a worker until it is told to stop; return its exit code. Raises BadInput for what it refuses."""
    from trigger_lite.worker.run import run_worker

    try:
        return run_worker(settings, observer)
    except ProjectConfigError as error:
        raise BadInput(str(error)) from error

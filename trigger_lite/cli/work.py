"""What `worker` and `dev` have in common: settings of the worker, and its run to the end."""

from dataclasses import replace
from pathlib import Path

from trigger_lite.cli.api import Api
from trigger_lite.cli.failures import BadInput, CommandFailed
from trigger_lite.cli.target import Target
from trigger_lite.sdk.errors import ConnectionFailed
from trigger_lite.worker.events import WorkerObserver
from trigger_lite.worker.memory import parse_memory
from trigger_lite.worker.project import ProjectConfig
from trigger_lite.worker.settings import WorkerSettings


def worker_settings(
    target: Target,
    directory: Path,
    project: ProjectConfig,
    *,
    concurrency: int | None,
    parked_memory: int | None,
    name: str | None,
    watch: bool,
) -> WorkerSettings:
    """Return the settings of a worker; what is None is as the project says, or the worker's own default."""
    settings = WorkerSettings(directory=directory.resolve(), url=target.url, key=target.key, watch=watch)
    if parked_memory is None and project.worker.parked_memory is not None:
        parked_memory = parse_memory(project.worker.parked_memory)
    if parked_memory is not None:
        settings = replace(settings, parked_memory=parked_memory)
    if concurrency is not None:
        settings = replace(settings, concurrency=concurrency)
    return settings if name is None else replace(settings, name=name)


def refuse_unknown_key(target: Target) -> None:
    """Raise BadInput when the server answers that it does not know the key.

    A server that does not answer yet is no mistake: the worker waits for it.
    """
    api = Api(target, attempts=1)
    try:
        api.whoami()
    except BadInput as error:
        if not isinstance(error.__cause__, ConnectionFailed):
            raise
    except CommandFailed:
        return  # the server is in trouble: the worker tries again and says so
    finally:
        api.close()


def work(settings: WorkerSettings, observer: WorkerObserver) -> int:
    """Run a worker until it is told to stop; return its exit code, 2 when there is nothing it can run."""
    from trigger_lite.worker.run import run_worker

    return run_worker(settings, observer)

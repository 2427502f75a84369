"""What the task files of a folder define, as the server and the children need to know it."""

import os
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from trigger_lite.protocol.manifest import TaskManifest
from trigger_lite.sdk.decision import AttemptSettings
from trigger_lite.sdk.errors import DefinitionError
from trigger_lite.sdk.registry import registry
from trigger_lite.worker.child import ChildDuty
from trigger_lite.worker.discovery import (
    INIT_FILE,
    find_duplicates,
    import_task_files,
    init_files,
    list_task_files,
    put_on_path,
)
from trigger_lite.worker.events import ImportFailed
from trigger_lite.worker.messages import Index
from trigger_lite.worker.project import (
    ProjectConfig,
    ProjectConfigError,
    find_project,
    retry_of,
    with_defaults,
)
from trigger_lite.worker.sources import fingerprint, hash_sources


def duty_of(project: ProjectConfig, *, enforce_memory: bool) -> ChildDuty:
    """Return what children of this project need to know."""
    by_environment = os.environ.get("TRIGGER_LITE_DEV_RETRIES")
    dev_retries = project.dev.retries if by_environment is None else by_environment != "0"
    settings = AttemptSettings(retry=retry_of(project.defaults), dev_retries=dev_retries)
    return ChildDuty(registry.find, settings, enforce_memory)


def load(directory: Path, importing: Callable[[str], None]) -> tuple[ProjectConfig, Index]:
    """Import the task files and return what they define; why they do not is part of it."""
    try:
        project = find_project(directory)
    except ProjectConfigError as error:
        root = error.path.parent
        seen = fingerprint(directory, root, ())
        return ProjectConfig(), Index(problem=str(error), root=str(root), fingerprint=seen)
    root, ignore, dirs = project.root, project.ignore, project.dirs
    seen = fingerprint(directory, root, ignore, dirs)
    watched = Index(root=str(root), ignore=ignore, dirs=dirs, fingerprint=seen)
    if not directory.is_dir():
        return project, replace(watched, problem=f"{directory} is not a folder")
    directory = directory.resolve()
    put_on_path(directory, root)
    files = list_task_files(directory, root, ignore, dirs)
    first = init_files(files, (directory, *(root / name for name in dirs)))
    broken = import_task_files(first, root, importing)
    if broken:
        problem = f"{INIT_FILE} cannot be imported, and no task runs without what it sets up"
        return project, replace(watched, failures=broken, problem=problem)
    failures = import_task_files([path for path in files if path not in first], root, importing)
    duplicates = find_duplicates()
    tasks = _manifests({duplicate.task for duplicate in duplicates}, project, failures)
    content_hash = hash_sources(files, root, tasks)
    found = replace(watched, tasks=tasks, failures=failures, duplicates=duplicates, content_hash=content_hash)
    return project, found


def _manifests(taken: set[str], project: ProjectConfig, failures: list[ImportFailed]) -> list[TaskManifest]:
    """Describe every task whose id is its own; one that cannot be described becomes a failure."""
    manifests = []
    for task in registry.tasks():
        if task.id in taken:
            continue
        try:
            manifest = with_defaults(task.manifest(), project.defaults)
        except DefinitionError as error:
            failures.append(ImportFailed(task.file_path, task.line, str(error)))
            continue
        if task.retry is None and project.defaults.retry is not None:
            manifest = replace(manifest, retry=retry_of(project.defaults).config())
        manifests.append(manifest)
    return manifests

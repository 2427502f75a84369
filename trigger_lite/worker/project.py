"""Project settings: `trigger.toml`, or `[tool.trigger-lite]` in `pyproject.toml`. Data only."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from trigger_lite.protocol.durations import duration_seconds
from trigger_lite.protocol.machines import PRESETS
from trigger_lite.protocol.manifest import MachineManifest, TaskManifest
from trigger_lite.sdk.errors import DefinitionError
from trigger_lite.sdk.retry import DEFAULT_RETRY, Retry
from trigger_lite.worker.memory import parse_memory

CONFIG_FILE: Final = "trigger.toml"
PYPROJECT: Final = "pyproject.toml"
_TABLE: Final = "trigger-lite"


class ProjectConfigError(Exception):
    """The project settings cannot be used; the message is one line and names the file at `path`."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


class RetryDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """`retry = { attempts = 3, min = "1s", max = "30s" }`: the words of `Retry(…)` in code."""

    attempts: int = DEFAULT_RETRY.attempts
    min: str | int | float = str(DEFAULT_RETRY.min)
    max: str | int | float = str(DEFAULT_RETRY.max)
    factor: float = DEFAULT_RETRY.factor
    randomize: bool = DEFAULT_RETRY.randomize


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What tasks have that do not say otherwise."""

    retry: RetryDefaults | None = None
    max_duration: str | int | float | None = None
    machine: str | None = None
    ttl: str | int | None = None


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployed image needs besides Python packages."""

    apt: list[str] = []
    files: list[str] = []


class Dev(msgspec.Struct, frozen=True, kw_only=True):
    """How `trigger-lite dev` runs tasks."""

    env_files: list[str] = []
    retries: bool = False


class WorkerTable(msgspec.Struct, frozen=True, kw_only=True):
    """How workers run tasks. `parked_memory`: what waiting runs may hold, such as "2GB" or "25%"."""

    parked_memory: str | None = None


class ProjectConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The project's settings; `root` is the folder they were found in."""

    root: Path = Path()
    project: str | None = None
    dirs: list[str] = []
    ignore: list[str] = []
    python: str | None = None
    lock: str | None = None
    defaults: Defaults = Defaults()
    build: Build = Build()
    worker: WorkerTable = WorkerTable()
    dev: Dev = Dev()


_SECTIONS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "": ProjectConfig,
    "defaults": Defaults,
    "defaults.retry": RetryDefaults,
    "build": Build,
    "worker": WorkerTable,
    "dev": Dev,
}


def find_project(start: Path) -> ProjectConfig:
    """Return the settings of the nearest project at or above `start`.

    Without any, defaults: imports then begin in the working directory when `start` is below it.

    Raises ProjectConfigError when the file is not TOML, or a key or value is not known.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / CONFIG_FILE).is_file():
            path = folder / CONFIG_FILE
            return _project(_read(path), folder, path)
        if (folder / PYPROJECT).is_file():
            path = folder / PYPROJECT
            table = _read(path).get("tool", {}).get(_TABLE)
            if table is not None:
                return _project(table, folder, path)
    here = Path.cwd()
    return ProjectConfig(root=here if start.is_relative_to(here) else start)


def retry_of(defaults: Defaults) -> Retry:
    """Return the retry setting of tasks that have none of their own."""
    given = defaults.retry
    if given is None:
        return DEFAULT_RETRY
    return Retry(given.attempts, min=given.min, max=given.max, factor=given.factor, randomize=given.randomize)


def with_defaults(task: TaskManifest, defaults: Defaults) -> TaskManifest:
    """Return the task with the project's defaults where it says nothing, retries aside."""
    changes: dict[str, Any] = {}
    if task.max_duration is None and defaults.max_duration is not None:
        changes["max_duration"] = duration_seconds(defaults.max_duration)
    if task.machine is None and defaults.machine is not None:
        changes["machine"] = MachineManifest(preset=defaults.machine)
    if task.ttl is None and defaults.ttl is not None:
        changes["ttl"] = defaults.ttl
    return msgspec.structs.replace(task, **changes) if changes else task


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ProjectConfigError(f"{path} is not valid TOML: {error}", path) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectConfigError(f"{path} cannot be read: {error}", path) from error


def _project(table: Any, folder: Path, path: Path) -> ProjectConfig:
    for section, struct in _SECTIONS.items():
        _refuse_unknown_keys(table, section, struct, path)
    try:
        config = msgspec.convert(table, ProjectConfig)
        _check_defaults(config.defaults)
        if config.worker.parked_memory is not None:
            parse_memory(config.worker.parked_memory)
    except (msgspec.ValidationError, ValueError, DefinitionError) as error:
        raise ProjectConfigError(f"{path}: {error}", path) from error
    return msgspec.structs.replace(config, root=folder)


def _refuse_unknown_keys(table: Any, section: str, struct: type[msgspec.Struct], path: Path) -> None:
    import difflib  # only a mistake needs it

    for name in filter(None, section.split(".")):
        table = table.get(name) if isinstance(table, dict) else None
    if not isinstance(table, dict):
        return
    known = [name for name in struct.__struct_fields__ if name != "root"]
    for key in table:
        if key not in known:
            where = f"{section}.{key}" if section else key
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise ProjectConfigError(f"{path}: unknown key {where!r}; {hint}", path)


def _check_defaults(defaults: Defaults) -> None:
    retry_of(defaults)
    if defaults.max_duration is not None:
        duration_seconds(defaults.max_duration)
    if defaults.machine is not None and defaults.machine not in PRESETS:
        raise ValueError(f"machine {defaults.machine!r} is not one of {', '.join(PRESETS)}")

"""The folder whose tasks a command runs, and the project settings that hold in it."""

from pathlib import Path
from typing import TYPE_CHECKING

from trigger_lite.cli.failures import BadInput

if TYPE_CHECKING:
    from trigger_lite.worker.project import ProjectConfig


def tasks_folder(directory: Path) -> Path:
    """Return the folder that was named; raises BadInput when it is none."""
    if not directory.exists():
        raise BadInput(f"There is no folder {str(directory)!r}; name the folder that holds your tasks")
    if not directory.is_dir():
        raise BadInput(
            f"{str(directory)!r} is a file; name the folder that holds it: {str(directory.parent)!r}"
        )
    return directory


def project_folder() -> Path:
    """Return the folder of the project that this command was called in; raises BadInput without one."""
    from trigger_lite.worker.project import CONFIG_FILE

    here = Path.cwd()
    project = project_of(here)
    if project.root == here and not (project.dirs or (here / CONFIG_FILE).is_file()):
        raise BadInput(
            f"Which tasks? There is no {CONFIG_FILE}, and no [tool.trigger-lite] in a pyproject.toml, "
            "here or above; name a folder: trigger-lite dev jobs/"
        )
    return project.root


def project_of(folder: Path) -> "ProjectConfig":
    """Return the settings of the project that a folder belongs to; raises BadInput for a mistake in them."""
    from trigger_lite.worker.project import ProjectConfigError, find_project

    try:
        return find_project(folder)
    except ProjectConfigError as error:
        raise BadInput(str(error)) from error

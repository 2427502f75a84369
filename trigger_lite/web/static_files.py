"""Where the files served as they are lie: inside the installed package, or beside it in a checkout."""

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).parents[1]


def static_directory(package: Path = _PACKAGE) -> Path:
    """Return the folder of static files; a wheel carries its own, a checkout has it at the top.

    Raises FileNotFoundError when the installation is incomplete.
    """
    for folder in (package / "static", package.parent / "static"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f"the folder of static files is missing from this installation: {package / 'static'}"
    )

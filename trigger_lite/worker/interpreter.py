"""Starting a Python process that runs one module of this package."""

import sys
from pathlib import Path


def python_command(module: str, *arguments: str) -> list[str]:
    """Return the command that calls `main()` of `module` in a fresh interpreter of this kind.

    Not `python -m`: user code that starts processes of its own imports `__main__` again in each.
    """
    home = str(Path(__file__).parents[2])
    code = f"import sys; sys.path.append(sys.argv[1]); from {module} import main; main()"
    return [sys.executable, "-c", code, home, *arguments]


def take_arguments() -> list[str]:
    """Return the arguments given to `python_command`, and leave none for user code to trip over."""
    arguments = sys.argv[2:]
    del sys.argv[1:]
    return arguments

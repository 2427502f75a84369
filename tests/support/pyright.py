"""Pyright on a machine without Node.js: Playwright's package carries a Node.js of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

import playwright
import pyright as installed


def pyright(*arguments: str | Path, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run pyright in `directory` with this interpreter's packages; its output is text."""
    node = shutil.which("node") or Path(playwright.__file__).parent / "driver" / "node"
    program = Path(installed.__file__).parent / "dist" / "index.js"
    command = [node, program, "--pythonpath", sys.executable, *arguments]
    return subprocess.run(command, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True)

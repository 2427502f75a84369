"""The project's own files, read as text and as syntax trees."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "trigger_lite"


@dataclass(frozen=True)
class Module:
    """One Python file of the package."""

    path: Path

    @property
    def name(self) -> str:
        """The dotted name, such as `trigger_lite.engine.queues`."""
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def file(self) -> str:
        """The path from the project's folder, as an editor takes it."""
        return str(self.path.relative_to(ROOT))

    @property
    def line_count(self) -> int:
        """How many lines the file has, blank ones and comments included."""
        return len(self.path.read_text().splitlines())

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.path.read_text(), self.file)

    def nodes(self) -> Iterator[ast.AST]:
        """Every node of the syntax tree."""
        return ast.walk(self.tree)


def modules() -> list[Module]:
    """Return every module of the package, in order of its path."""
    return [Module(path) for path in sorted(PACKAGE.rglob("*.py"))]


def tracked_files() -> list[Path]:
    """Return every file that git tracks or would add, with its path from the project's folder."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()]

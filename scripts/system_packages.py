"""Install what the tests need beyond Python packages, or say exactly what is missing.

With apt-get and the right to use it, the missing Debian packages are installed. Otherwise each one
is named, and the tests that need it are skipped with that sentence as their reason; with `CI=true`
nothing may be skipped, so a missing one is an error. Uses only the standard library.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SystemPackage:
    """A program the tests drive: what it is for, how it is found, which Debian packages bring it."""

    name: str
    purpose: str
    debian: tuple[str, ...]
    find: Callable[[], Path | None]

    def missing(self) -> str | None:
        """Return one sentence when the program is not here, else None."""
        if self.find() is not None:
            return None
        return f"{self.name} is missing, {self.purpose}: apt-get install {' '.join(self.debian)}"


def find_chromium() -> Path | None:
    """Return the installed Chromium, or None."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    return Path(found) if found else None


def find_node() -> Path | None:
    """Return the installed Node.js when npm is there too, or None."""
    node = shutil.which("node")
    return Path(node) if node and shutil.which("npm") else None


def find_faketime() -> Path | None:
    """Return the library that gives one process a clock of its own, or None."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


def find_postgresql() -> Path | None:
    """Return the folder that holds the newest installed `postgres` and `initdb`, or None."""
    debian = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if folder.parent.name.isdigit()]
    folders = sorted(debian, key=_release, reverse=True)
    on_path = shutil.which("initdb")
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    return next((folder for folder in folders if _has_server(folder)), None)


def _release(folder: Path) -> int:
    return int(folder.parent.name)


def _has_server(folder: Path) -> bool:
    return all(os.access(folder / program, os.X_OK) for program in ("postgres", "initdb"))


POSTGRESQL = SystemPackage(
    name="PostgreSQL's server",
    purpose="on which the store and engine tests run a second time",
    debian=("postgresql",),
    find=find_postgresql,
)
CHROMIUM = SystemPackage(
    name="Chromium",
    purpose="in which the dashboard is tested",
    debian=("chromium", "fonts-liberation"),
    find=find_chromium,
)
NODE = SystemPackage(
    name="Node.js with npm",
    purpose="in which Trigger.dev's own SDK is driven against this server",
    debian=("nodejs", "npm"),
    find=find_node,
)
FAKETIME = SystemPackage(
    name="libfaketime",
    purpose="by which a server's clock is set back and ahead",
    debian=("libfaketime",),
    find=find_faketime,
)
NEEDED = (POSTGRESQL, CHROMIUM, NODE, FAKETIME)


def main() -> int:
    """Make the needed programs available; the result is the exit status."""
    missing = [package for package in NEEDED if package.missing()]
    if missing and _apt_get():
        _install([name for package in missing for name in package.debian])
        missing = [package for package in NEEDED if package.missing()]
    for package in NEEDED:
        print(package.missing() or f"{package.name} is here: {package.find()}", flush=True)
    if not missing:
        return 0
    if os.environ.get("CI") == "true":
        print("With CI=true nothing may be skipped, so this ends here.", file=sys.stderr)
        return 1
    print("The tests that need what is missing will be skipped.", flush=True)
    return 0


def _apt_get() -> list[str]:
    """Return the command that may install packages without asking anything, or nothing."""
    if not shutil.which("apt-get"):
        return []
    if os.geteuid() == 0:
        return ["apt-get"]
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        return ["sudo", "-n", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    return []


def _install(names: list[str]) -> None:
    """Run apt-get with its progress visible; what it could not bring is told by the caller."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *names]):
        command = [*_apt_get(), "-o", "DPkg::Lock::Timeout=120", *arguments]
        print("+", " ".join(command), flush=True)
        finished = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL)
        if finished.returncode != 0:
            print(f"{' '.join(command)} ended with status {finished.returncode}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

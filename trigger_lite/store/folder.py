"""The data folder: one folder is the whole installation, and one server has it."""

import fcntl
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

_NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "ncpfs"}
)
SECRET_BYTES: Final = 32


class FolderUnusable(Exception):
    """The data folder cannot be used; the message says why and what to do."""


class DataFolder:
    """Paths of an installation, its lock and its secret."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None

    @property
    def state(self) -> Path:
        return self.path / "trigger.db"

    @property
    def telemetry(self) -> Path:
        return self.path / "telemetry.db"

    @property
    def connection_file(self) -> Path:
        """Where clients on this machine find the server's address and keys."""
        return self.path / "connection.json"

    def prepare(self, mounts: str | None = None) -> None:
        """Make the folder when missing and check that it can be trusted with a database.

        `mounts` is a mount table in the form of /proc/self/mounts; the machine's own by default. Raises
        FolderUnusable.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise FolderUnusable(
                f"The data folder {self.path} cannot be made: {error.strerror}. Choose another with --data."
            ) from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise FolderUnusable(
                f"The data folder {self.path} is not writable. Change its owner, or choose one with --data."
            )
        kind = filesystem_of(self.path.resolve(), _mount_table() if mounts is None else mounts)
        if kind in _NETWORK:
            raise FolderUnusable(
                f"The data folder {self.path} is on a network filesystem ({kind}). SQLite may lose data "
                "there: choose a local folder with --data, or PostgreSQL with --database-url."
            )

    def lock(self) -> None:
        """Take the folder for this process. Raises FolderUnusable when another server has it."""
        descriptor = self._open_lock()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise FolderUnusable(
                f"The data folder {self.path} is already served by another process ({owner}). "
                "Stop that one first, or choose another folder with --data."
            ) from None
        self._lock = descriptor
        with suppress(OSError):  # a full disk: the name of the owner is a courtesy
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"pid {os.getpid()}".encode())

    def _open_lock(self) -> int:
        path = self.path / "lock"
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FolderUnusable(f"{path} cannot be opened: {error.strerror}") from error

    def unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def server(self) -> str | None:
        """Name the server that has the folder now, without taking it; None when there is none."""
        try:
            descriptor = os.open(self.path / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        finally:
            os.close(descriptor)
        return None

    def open_to_others(self) -> list[Path]:
        """List the folder and the files of the installation that others than their owner may use."""
        paths = [self.path, *sorted(path for path in self.path.iterdir() if path.is_file())]
        return [path for path in paths if path.stat().st_mode & 0o077]

    def secret(self) -> bytes:
        """Return the installation's secret, made on the first start and readable by its owner only.

        Raises FolderUnusable when the file that should hold it does not.
        """
        path = self.path / "secret"
        try:
            secret = bytes.fromhex(path.read_text().strip())
        except FileNotFoundError:
            made = secrets.token_bytes(SECRET_BYTES)
            write_private(path, made.hex() + "\n")
            return made
        except ValueError:
            secret = b""
        except OSError as error:
            raise FolderUnusable(f"{path} cannot be read: {error.strerror}") from error
        if len(secret) != SECRET_BYTES:
            raise FolderUnusable(f"{path} does not hold a secret of {2 * SECRET_BYTES} hexadecimal digits")
        return secret

    def write_connection(self, url: str, keys: dict[str, str]) -> None:
        """Leave address and keys for clients on this machine, readable by the owner only."""
        write_private(self.connection_file, json.dumps({"url": url, "keys": keys}, indent=2) + "\n")


def make_private(path: Path) -> None:
    """Let only its owner use a folder or a file."""
    path.chmod(0o700 if path.is_dir() else 0o600)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all. Raises FolderUnusable."""
    draft = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, 0o600)  # a draft left by a crash keeps the mode it had
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise FolderUnusable(f"{path} cannot be written: {error.strerror}") from error


def filesystem_of(path: Path, mounts: str) -> str:
    """Return the filesystem type of a path by a mount table, or an empty text when it is not in there."""
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        mounted = fields[1].replace("\\040", " ")
        inside = str(path) == mounted or str(path).startswith(mounted.rstrip("/") + "/")
        if inside and len(mounted) >= len(best):
            best, kind = mounted, fields[2]
    return kind


def _mount_table() -> str:
    try:
        return Path("/proc/self/mounts").read_text()
    except OSError:
        return ""  # not Linux: there is no table to read

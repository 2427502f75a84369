"""The data folder: private, local, writable, and one server's."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.accounts import unprivileged
from tests.support.processes import Process
from trigger_lite.store.folder import DataFolder, FolderUnusable, filesystem_of, write_private

LOCAL = "/dev/sda1 / ext4 rw 0 0\n"


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every account can enter; pytest's own are their owner's alone."""
    path = Path(tempfile.mkdtemp(prefix="tl-folder-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def test_a_new_folder_is_its_owners_alone(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "a" / "b")
    folder.prepare(LOCAL)
    assert _mode(folder.path) == 0o700
    folder.prepare(LOCAL)


def test_the_machines_own_mounts_are_looked_at_by_default(tmp_path: Path) -> None:
    DataFolder(tmp_path / "data").prepare()


def test_a_file_in_its_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(FolderUnusable, match=r"data cannot be made: .*--data"):
        DataFolder(tmp_path / "data").prepare(LOCAL)


def test_a_folder_that_cannot_be_written_is_said(public_folder: Path) -> None:
    locked = public_folder / "data"
    locked.mkdir(mode=0o555)
    with unprivileged(), pytest.raises(FolderUnusable, match=r"data is not writable.*--data"):
        DataFolder(locked).prepare(LOCAL)


def test_a_folder_that_cannot_be_made_is_said(public_folder: Path) -> None:
    public_folder.chmod(0o555)
    with unprivileged(), pytest.raises(FolderUnusable, match=r"data cannot be made: Permission denied"):
        DataFolder(public_folder / "data").prepare(LOCAL)


# ---- network filesystems ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["nfs4", "nfs", "cifs", "fuse.sshfs", "ceph"])
def test_a_network_filesystem_is_refused(tmp_path: Path, kind: str) -> None:
    mounts = f"{LOCAL}server:/export {tmp_path} {kind} rw 0 0\n"
    with pytest.raises(FolderUnusable, match=rf"network filesystem \({kind}\).*--database-url"):
        DataFolder(tmp_path / "data").prepare(mounts)


def test_a_link_into_a_network_filesystem_is_followed(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far")
    mounts = f"{LOCAL}server:/export {tmp_path}/far nfs4 rw 0 0\n"
    with pytest.raises(FolderUnusable, match="nfs4"):
        DataFolder(tmp_path / "near" / "data").prepare(mounts)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/srv", "ext4"),
        ("/srv/far", "nfs"),
        ("/srv/far/deep/data", "nfs"),
        ("/srv/farther", "ext4"),
        ("/srv/far/local/data", "tmpfs"),
        ("/my disk/data", "cifs"),
        ("/over/data", "xfs"),
    ],
)
def test_the_innermost_and_newest_mount_counts(path: str, kind: str) -> None:
    mounts = LOCAL + (
        "s:/x /srv/far nfs rw 0 0\ntmpfs /srv/far/local tmpfs rw 0 0\nbroken line\n"
        "//s/x /my\\040disk cifs rw 0 0\ns:/y /over nfs rw 0 0\n/dev/sdb /over xfs rw 0 0\n"
    )
    assert filesystem_of(Path(path), mounts) == kind


def test_without_a_table_nothing_is_known() -> None:
    assert filesystem_of(Path("/srv"), "") == ""


# ---- one server ------------------------------------------------------------------------------------


def test_a_folder_that_another_process_serves_is_refused_until_that_one_ends(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from trigger_lite.store.folder import DataFolder; "
        "folder = DataFolder(Path(sys.argv[1])); folder.lock(); print('locked', flush=True); time.sleep(60)"
    )
    with Process([sys.executable, "-c", program, tmp_path], directory=tmp_path) as other:
        other.wait_for_line("locked")
        folder = DataFolder(tmp_path)
        with pytest.raises(FolderUnusable, match=rf"already served by another process \(pid {other.pid}\)"):
            folder.lock()
        other.kill()
    folder.lock()
    assert (tmp_path / "lock").read_text() == f"pid {os.getpid()}"
    folder.unlock()


def test_a_lock_can_be_taken_again_once_let_go(tmp_path: Path) -> None:
    first, second = DataFolder(tmp_path), DataFolder(tmp_path)
    first.lock()
    with pytest.raises(FolderUnusable):
        second.lock()
    first.unlock()
    first.unlock()
    second.lock()
    second.unlock()


# ---- secrets ---------------------------------------------------------------------------------------


def test_the_secret_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    secret = DataFolder(tmp_path).secret()
    assert len(secret) == 32
    assert DataFolder(tmp_path).secret() == secret
    assert _mode(tmp_path / "secret") == 0o600
    (tmp_path / "other").mkdir()
    assert DataFolder(tmp_path / "other").secret() != secret


@pytest.mark.parametrize("text", ["", "\n", "no digits", "abcd", "é" * 64, "00" * 31])
def test_a_secret_that_is_none_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "secret").write_text(text)
    with pytest.raises(FolderUnusable, match="does not hold a secret"):
        DataFolder(tmp_path).secret()


def test_a_secret_that_cannot_be_read_is_said(public_folder: Path) -> None:
    write_private(public_folder / "secret", "00" * 32)
    (public_folder / "secret").chmod(0)
    with unprivileged(), pytest.raises(FolderUnusable, match=r"secret cannot be read: Permission denied"):
        DataFolder(public_folder).secret()


def test_address_and_keys_for_this_machine_are_its_owners_alone(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    for port in (1, 2):
        folder.write_connection(f"http://127.0.0.1:{port}", {"prod": "tr_prod_x"})
    assert folder.connection_file.read_text() == (
        '{\n  "url": "http://127.0.0.1:2",\n  "keys": {\n    "prod": "tr_prod_x"\n  }\n}\n'
    )
    assert _mode(folder.connection_file) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["connection.json"]


def test_a_draft_that_others_could_read_does_not_become_a_secret(tmp_path: Path) -> None:
    (tmp_path / "secret.new").write_text("left by a crash")
    (tmp_path / "secret.new").chmod(0o644)
    write_private(tmp_path / "secret", "mine")
    assert _mode(tmp_path / "secret") == 0o600

"""Which files are task files."""

import subprocess
import sys
from pathlib import Path

import pytest

from trigger_lite.worker.discovery import list_task_files
from trigger_lite.worker.manifest import registration
from trigger_lite.worker.sources import fingerprint, hash_sources


def a_tree(root: Path) -> None:
    for name in (
        "jobs/a.py",
        "jobs/more/b.py",
        "jobs/more/old_c.py",
        "jobs/test_a.py",
        "jobs/tests/d.py",
        "jobs/.hidden/e.py",
        "jobs/__pycache__/f.py",
        "jobs/venv/lib/g.py",
        "jobs/venv/pyvenv.cfg",
        "jobs/notes.txt",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")


def names(root: Path, *ignore: str) -> list[str]:
    return [path.relative_to(root).as_posix() for path in list_task_files(root / "jobs", root, ignore)]


def test_hidden_folders_environments_and_tests_are_left_out(tmp_path: Path) -> None:
    a_tree(tmp_path)
    assert names(tmp_path) == ["jobs/a.py", "jobs/more/b.py", "jobs/more/old_c.py"]


def test_patterns_to_ignore_are_relative_to_the_root(tmp_path: Path) -> None:
    a_tree(tmp_path)
    assert names(tmp_path, "**/old_*.py") == ["jobs/a.py", "jobs/more/b.py"]
    assert names(tmp_path, "jobs/more/*") == ["jobs/a.py"]
    assert names(tmp_path, "a.py") == names(tmp_path)


def test_the_hash_changes_with_the_text_of_any_file(tmp_path: Path) -> None:
    a_tree(tmp_path)
    files = list_task_files(tmp_path / "jobs", tmp_path, ())
    before = hash_sources(files, tmp_path, [])
    assert hash_sources(files, tmp_path, []) == before
    files[0].write_text("x = 1")
    assert hash_sources(files, tmp_path, []) != before
    assert registration([], before).metadata.content_hash == before


def test_a_changed_added_or_removed_file_changes_the_fingerprint(tmp_path: Path) -> None:
    a_tree(tmp_path)
    jobs = tmp_path / "jobs"
    seen = {fingerprint(jobs, tmp_path, ())}
    (jobs / "a.py").write_text("x = 1")
    seen.add(fingerprint(jobs, tmp_path, ()))
    (jobs / "new.py").write_text("")
    seen.add(fingerprint(jobs, tmp_path, ()))
    (tmp_path / "trigger.toml").write_text("")
    seen.add(fingerprint(jobs, tmp_path, ()))
    (jobs / "more" / "b.py").unlink()
    seen.add(fingerprint(jobs, tmp_path, ()))
    assert len(seen) == 5


_LOAD = """
import sys
from pathlib import Path
from trigger_lite.worker.indexing import load

_, index = load(Path(sys.argv[1]), lambda file: None)
print([task.id for task in index.tasks], [str(fault) for fault in (*index.failures, *index.duplicates)])
"""


def loaded(folder: Path, *, where: Path) -> str:
    """What a process that works in `where` finds in a folder of tasks."""
    command = [sys.executable, "-c", _LOAD, str(folder)]
    return subprocess.run(command, cwd=where, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("name", ["jobs.py", "email.py", "send-mail.py", "__init__.py"])
@pytest.mark.parametrize("depth", [0, 1])
def test_a_file_is_imported_once_whatever_its_name(tmp_path: Path, name: str, depth: int) -> None:
    folder = tmp_path / "jobs"
    folder.mkdir()
    (folder / name).write_text("from trigger_lite import task\n\n\n@task\ndef hello() -> None: ...\n")
    assert loaded(folder, where=folder if depth == 0 else tmp_path) == "['hello'] []"


def test_at_the_root_of_a_project_its_folders_are_searched(tmp_path: Path) -> None:
    """A folder that was named is searched whole, whatever the project says."""
    a_tree(tmp_path)
    for name in ("drive.py", "more/x.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")

    def found(directory: Path, *dirs: str) -> list[str]:
        files = list_task_files(directory, tmp_path, (), dirs)
        return [path.relative_to(tmp_path).as_posix() for path in files]

    jobs = ["jobs/a.py", "jobs/more/b.py", "jobs/more/old_c.py"]
    assert found(tmp_path, "jobs", "jobs/more", "gone") == jobs
    assert found(tmp_path, "gone") == []
    assert found(tmp_path / "more", "jobs") == ["more/x.py"]
    assert found(tmp_path) == ["drive.py", *jobs, "more/x.py"]

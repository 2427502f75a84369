from pathlib import Path

from tests.support.pyright import pyright


def test_pyright_tells_a_wrong_type(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("number: int = 'text'\n")
    finished = pyright("wrong.py", directory=tmp_path)
    assert finished.returncode == 1
    assert "reportAssignmentType" in finished.stdout, finished.stdout + finished.stderr

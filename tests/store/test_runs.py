"""Runs as they are stored: large values beside the row, and changes only from the newest snapshot."""

import pytest

from tests.support.builders import a_run
from tests.support.harness import Harness
from trigger_lite.store.runs import MAX_INLINE, RunData, RunRow, get_data, insert_run, update_run

NOTHING = RunData(None, "application/json", None, None, None, None, None)


def _run(engine: Harness, data: RunData) -> RunRow:
    run = RunRow("run_1", engine.prod.id, "resize")
    engine.do(insert_run, run, data)
    return run


def _kept_apart(engine: Harness) -> list[str]:
    return engine.ask("SELECT kind FROM run_value ORDER BY kind")


@pytest.mark.parametrize("extra", [0, 1])
def test_a_value_longer_than_the_row_takes_is_kept_beside_it(engine: Harness, extra: int) -> None:
    text = "é" * (MAX_INLINE + extra)
    run = _run(engine, NOTHING._replace(payload=text, metadata=text, seed_metadata="{}"))
    assert engine.data(run) == NOTHING._replace(payload=text, metadata=text, seed_metadata="{}")
    assert _kept_apart(engine) == ["metadata", "payload"] * extra
    assert engine.ask("SELECT payload FROM run") == ["" if extra else text]


def test_values_may_grow_and_shrink(engine: Harness) -> None:
    run = _run(engine, NOTHING)
    for text in ("x" * 10_000, "small", "y" * 3_000_000, "z" * 20_000, ""):
        assert engine.do(update_run, run, {"metadata": text or None, "output": text})
        data = engine.data(run)
        assert (data.metadata, data.output or "") == (text or None, data.output or "")
        assert text == "" or data.output == text


def test_an_empty_text_is_not_taken_for_one_kept_apart(engine: Harness) -> None:
    run = _run(engine, NOTHING._replace(payload="", payload_type="text/plain", output=""))
    data = engine.data(run)
    assert (data.payload, data.output) == ("", "")


def test_an_empty_output_after_a_large_one_is_empty(engine: Harness) -> None:
    run = _run(engine, NOTHING._replace(output="x" * 10_000))
    engine.do(update_run, run, {"output": ""})
    assert engine.data(run).output == ""


def test_a_change_from_an_older_snapshot_changes_nothing(engine: Harness) -> None:
    """LK-02: nor leaves a large value behind."""
    run = a_run(engine)
    stale = run._replace(snapshot_seq=run.snapshot_seq - 1)
    assert not engine.do(update_run, stale, {"output": "x" * 10_000, "status": "CANCELED"})
    assert engine.run(run) == run
    assert _kept_apart(engine) == []


def test_a_column_that_is_not_there_is_a_mistake_of_the_caller(engine: Harness) -> None:
    with pytest.raises(LookupError, match="colour"):
        engine.do(update_run, a_run(engine), {"colour": "red"})


def test_data_of_an_unknown_run_is_an_error(engine: Harness) -> None:
    with pytest.raises(LookupError, match="run_unknown"):
        engine.do(get_data, "run_unknown")

"""The first start, the later ones, and the keys of environments."""

import re

from tests.support.builders import a_run, a_version, claim, claim_one
from tests.support.harness import CONCURRENCY, Harness
from trigger_lite.engine.events import QueueChanged
from trigger_lite.engine.installation import environment_key, key_hash, prepare_installation
from trigger_lite.engine.queues import set_environment_limit
from trigger_lite.web.auth import Keyring


def test_a_first_start_makes_two_environments_of_one_project(engine: Harness) -> None:
    assert [(e.slug, e.type) for e in (engine.dev, engine.prod)] == [
        ("dev", "DEVELOPMENT"), ("prod", "PRODUCTION")
    ]  # fmt: skip
    assert engine.dev.project_id == engine.prod.project_id
    assert re.fullmatch("proj_[a-z]{20}", engine.prod.project_ref)
    assert engine.load().slots == CONCURRENCY


def test_a_later_start_changes_nothing(engine: Harness) -> None:
    again = engine.do(prepare_installation, b"secret", CONCURRENCY)
    assert again == [engine.dev, engine.prod]
    assert engine.events == []


def test_a_later_start_with_another_concurrency_applies_it(engine: Harness) -> None:
    """Q-18: the setting means what it says, not what it said on the first start."""
    changed = engine.do(prepare_installation, b"secret", 3)
    assert [environment.concurrency_limit for environment in changed] == [3, 3]
    assert (engine.load().slots, engine.load(engine.dev).slots) == (3, 3)
    assert not any(not isinstance(event, QueueChanged) for event in engine.events)


def test_a_limit_that_was_changed_stays_until_the_setting_changes(engine: Harness) -> None:
    """Q-18: a restart with the same settings takes nothing back."""
    engine.do(set_environment_limit, engine.prod.id, 5, 150)
    assert (engine.load().concurrency_limit, engine.load().slots) == (5, 7)
    engine.do(prepare_installation, b"secret", CONCURRENCY)
    assert (engine.load().concurrency_limit, engine.load().slots) == (5, 7)
    engine.do(prepare_installation, b"secret", 20)
    assert (engine.load().concurrency_limit, engine.load().slots) == (20, 30)


def test_keys_differ_by_environment_and_secret_and_are_stored_as_hashes(engine: Harness) -> None:
    keys = [environment_key(secret, e) for secret in (b"secret", b"other") for e in (engine.dev, engine.prod)]
    assert len(set(keys)) == 4
    assert re.fullmatch("tr_dev_[0-9A-Za-z]{24}", keys[0]) and re.fullmatch(
        "tr_prod_[0-9A-Za-z]{24}", keys[1]
    )
    assert [engine.dev.key_hash, engine.prod.key_hash] == [key_hash(key) for key in keys[:2]]


def test_another_secret_makes_other_keys(engine: Harness) -> None:
    changed = engine.do(prepare_installation, b"other", CONCURRENCY)
    assert [e.key_hash for e in changed] == [key_hash(environment_key(b"other", e)) for e in changed]
    assert [e.id for e in changed] == [engine.dev.id, engine.prod.id]


def test_an_archived_environment_starts_nothing_and_its_key_is_no_more(engine: Harness) -> None:
    """PV-06: its runs stay in line and hold up nobody; nothing of it fails."""
    a_version(engine)
    a_version(engine, environment=engine.dev)
    left, other = a_run(engine), a_run(engine, environment=engine.dev)
    engine.change("UPDATE environment SET archived_at = :now WHERE id = :id", now=1, id=engine.prod.id)
    assert claim(engine) == []
    assert claim_one(engine, environment=engine.dev).id == other.id
    assert engine.run(left).status == "PENDING"
    keys = Keyring(b"secret", engine.do(prepare_installation, b"secret", CONCURRENCY))
    assert keys.find(environment_key(b"secret", engine.prod)) is None
    assert keys.find(environment_key(b"secret", engine.dev)) is not None

import json
from pathlib import Path

import pytest

from trigger_lite import NotConfigured, configure
from trigger_lite.sdk.target import default_client

LOCAL = {"url": "http://127.0.0.1:3040", "keys": {"dev": "tr_dev_local", "prod": "tr_prod_local"}}


def target() -> tuple[str, str]:
    client = default_client()
    return client.url, client.key


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of a local server."""
    monkeypatch.setenv("TRIGGER_LITE_DATA", str(tmp_path))
    (tmp_path / "connection.json").write_text(json.dumps(LOCAL))
    return tmp_path


def test_without_anything_the_ways_to_say_it_are_named() -> None:
    with pytest.raises(NotConfigured, match=r"no address and no key .*configure\(url=…, key=…\), set TRIG"):
        target()


@pytest.mark.parametrize(
    ("url", "key"), [("TRIGGER_LITE_URL", "TRIGGER_LITE_KEY"), ("TRIGGER_API_URL", "TRIGGER_SECRET_KEY")]
)
def test_the_environment_names_the_server(monkeypatch: pytest.MonkeyPatch, url: str, key: str) -> None:
    monkeypatch.setenv(url, "http://jobs.test/")
    monkeypatch.setenv(key, "tr_dev_env")
    assert target() == ("http://jobs.test", "tr_dev_env")


def test_what_was_configured_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIGGER_LITE_URL", "http://jobs.test")
    monkeypatch.setenv("TRIGGER_LITE_KEY", "tr_dev_env")
    configure(url="http://other.test")
    assert target() == ("http://other.test", "tr_dev_env")
    configure(key="tr_dev_set")
    assert target() == ("http://other.test", "tr_dev_set")


def test_a_local_server_is_found_with_its_prod_key(local: Path) -> None:
    assert target() == ("http://127.0.0.1:3040", "tr_prod_local")


def test_a_local_server_is_found_below_the_present_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRIGGER_LITE_DATA")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trigger-lite-data").mkdir()
    (tmp_path / "trigger-lite-data" / "connection.json").write_text(json.dumps(LOCAL))
    assert target() == ("http://127.0.0.1:3040", "tr_prod_local")


def test_a_key_alone_goes_to_the_local_server(local: Path) -> None:
    configure(key="tr_dev_mine")
    assert target() == ("http://127.0.0.1:3040", "tr_dev_mine")


def test_the_local_servers_key_goes_nowhere_else(local: Path) -> None:
    configure(url="http://elsewhere.test")
    with pytest.raises(NotConfigured, match=r"no key for http://elsewhere.test"):
        target()


@pytest.mark.parametrize("text", ["{", "[]", '{"url":1,"keys":{}}'])
def test_an_unreadable_connection_file_is_named(local: Path, text: str) -> None:
    (local / "connection.json").write_text(text)
    with pytest.raises(NotConfigured, match=r"connection\.json cannot be read"):
        target()


def test_a_connection_file_without_a_key_is_named(local: Path) -> None:
    (local / "connection.json").write_text('{"url":"http://127.0.0.1:3040","keys":{}}')
    with pytest.raises(NotConfigured, match="no prod key"):
        target()


def test_the_client_stays_while_the_target_does() -> None:
    configure(url="http://jobs.test", key="a")
    first = default_client()
    assert default_client() is first
    configure(key="b")
    assert default_client() is not first

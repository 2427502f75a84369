import hashlib
import hmac
import json
from pathlib import Path

import pytest

from tests.cli.conftest import RunCommand, refusal
from tests.cli.fake_server import DEV_KEY, KEY, RUN_ID, FakeServer, a_run

GET = f"/api/v3/runs/{RUN_ID}"
ELSEWHERE = "http://127.0.0.1:9"


def _key_used(run: RunCommand, server: FakeServer, *options: str) -> str:
    server.answer("GET", GET, a_run())
    assert run("runs", "get", RUN_ID, *options).code == 0
    return server.asked[-1].key


def test_a_local_server_is_found_with_its_prod_key(run: RunCommand, local_server: FakeServer) -> None:
    assert _key_used(run, local_server) == KEY
    assert _key_used(run, local_server, "--env", "dev") == DEV_KEY


def test_variables_come_before_the_local_server_and_options_before_variables(
    run: RunCommand, local_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIGGER_LITE_KEY", "tr_dev_fromvariable")
    assert _key_used(run, local_server) == "tr_dev_fromvariable"
    assert _key_used(run, local_server, "--env", "dev") == "tr_dev_fromvariable"
    assert _key_used(run, local_server, "--env", "prod") == KEY
    assert _key_used(run, local_server, "--key", "tr_prod_fromoption") == "tr_prod_fromoption"


def test_a_data_folder_elsewhere_is_named(run: RunCommand, local_server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "trigger-lite-data").rename(tmp_path / "other")
    assert _key_used(run, local_server, "--data", "other") == KEY


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--url", ELSEWHERE],
            f"No key for {ELSEWHERE}: give --key or set TRIGGER_LITE_KEY. 'trigger-lite keys', run where the "
            f"server of {ELSEWHERE} runs, prints them.",
        ),
        (
            ["--url", ELSEWHERE, "--key", "tr_prod_x"],
            f"No server answers at {ELSEWHERE}; start one with 'trigger-lite serve', "
            "or name another with --url",
        ),
        (
            ["--url", "localhost"],
            "'localhost' is not a server's address; write for example http://127.0.0.1:3040",
        ),
        (
            ["--env", "dev", "--key", "tr_prod_x"],
            "--env is dev, but --key is a key of prod; leave one of them out",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(
    run: RunCommand, local_server: FakeServer, options: list[str], message: str
) -> None:
    assert refusal(run("runs", "get", RUN_ID, *options)) == message
    assert local_server.asked == []


def test_a_long_key_is_never_printed_whole(run: RunCommand, local_server: FakeServer) -> None:
    secret = "sk-" + "s3cret" * 5
    message = refusal(run("runs", "get", RUN_ID, "--key", secret))
    assert "is not a key: keys begin with tr_dev_ or tr_prod_" in message and secret not in message


def test_without_any_server_the_way_to_start_one_is_said(run: RunCommand) -> None:
    message = refusal(run("runs", "list"))
    assert message == (
        "No server is known here: there is no trigger-lite-data/connection.json and no --url; "
        "start one with 'trigger-lite serve', or give --url and --key"
    )


def test_keys_are_printed_for_people_and_for_programs(run: RunCommand, local_server: FakeServer) -> None:
    out = run("keys").out
    assert local_server.url in out and KEY in out and DEV_KEY in out
    assert json.loads(run("keys", "--json").out) == {
        "url": local_server.url,
        "keys": {"dev": DEV_KEY, "prod": KEY},
    }


def test_a_connection_file_that_is_broken_is_named(run: RunCommand, local_server: FakeServer) -> None:
    Path("trigger-lite-data/connection.json").write_text("{")
    assert "trigger-lite-data/connection.json cannot be read" in refusal(run("keys"))


def test_a_sign_in_link_is_asked_for_with_proof_of_the_secret(
    run: RunCommand, local_server: FakeServer
) -> None:
    Path("trigger-lite-data/secret").write_text("00ff" * 16 + "\n")
    local_server.answer("POST", "/api/v1/sign-in-links", {"url": f"{local_server.url}/sign-in?token=abc"})
    outcome = run("sign-in")
    assert outcome.out == f"{local_server.url}/sign-in?token=abc\n"
    proof = hmac.digest(bytes.fromhex("00ff" * 16), b"cli", hashlib.sha256).hex()
    assert local_server.asked[-1].key == proof


@pytest.mark.parametrize(("secret", "said"), [(None, "cannot be read"), ("no hex", "does not hold a secret")])
def test_a_secret_that_cannot_be_used_is_named(
    run: RunCommand, local_server: FakeServer, secret: str | None, said: str
) -> None:
    if secret is not None:
        Path("trigger-lite-data/secret").write_text(secret)
    assert said in refusal(run("sign-in"))


def test_another_servers_folder_is_told_apart(run: RunCommand, local_server: FakeServer) -> None:
    Path("trigger-lite-data/secret").write_text("00" * 32)
    local_server.answer("POST", "/api/v1/sign-in-links", {"error": "no"}, status=401)
    assert "serves another data folder" in refusal(run("sign-in"))

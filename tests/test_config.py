from pathlib import Path

import pytest

from trigger_lite.config import SettingError, Settings, load_settings


def test_a_flag_wins_over_the_environment_which_wins_over_the_default() -> None:
    environment = {"TRIGGER_LITE_PORT": "8040", "TRIGGER_LITE_DATA": "elsewhere", "PATH": "/bin"}
    settings = load_settings({"port": "8050", "host": None}, environment)
    assert (settings.host, settings.port, settings.data) == ("127.0.0.1", 8050, Path("elsewhere"))
    assert load_settings({}, {}) == Settings()


@pytest.mark.parametrize(
    ("flags", "environment", "message"),
    [
        (
            {},
            {"TRIGGER_LITE_PROT": "1"},
            "TRIGGER_LITE_PROT is not a setting; did you mean TRIGGER_LITE_PORT?",
        ),
        ({}, {"TRIGGER_LITE_PORT": "x"}, "TRIGGER_LITE_PORT is 'x', but must be a whole number"),
        ({"port": "70000"}, {}, "--port is 70000, but must be at most 65535"),
        ({"inbox": "0"}, {}, "--inbox is 0, but must be at least 1"),
        (
            {"keep_logs": "two weeks"},
            {},
            """--keep-logs is 'two weeks', but must be a duration such as "14d" or "12h", or "off\"""",
        ),
        (
            {"keep_runs": "0d"},
            {},
            """--keep-runs is '0d', but must be a duration such as "14d" or "12h", or "off\"""",
        ),
        (
            {},
            {"TRIGGER_LITE_KEEP_DATA": "4"},
            """TRIGGER_LITE_KEEP_DATA is '4', but must be a size such as "500MB" or "4GB", or "off\"""",
        ),
        ({"run_timeout": "nan"}, {}, "--run-timeout is nan, but must be at least 0.1"),
        ({"run_timeout": "1m"}, {}, "--run-timeout is '1m', but must be a number of seconds"),
        ({"run_timeout": "inf"}, {}, "--run-timeout is inf, but must be at most 604800"),
        ({"concurrency": "9999999999"}, {}, "--concurrency is 9999999999, but must be at most 100000"),
        ({"log_level": "loud"}, {}, "--log-level is 'loud', but must be one of debug, info, warning, error"),
        (
            {"public_url": "jobs.example.com"},
            {},
            "--public-url begins with 'jobs.example.com', but must begin with http:// or https://",
        ),
    ],
)
def test_a_setting_that_does_not_fit_is_named(
    flags: dict[str, str], environment: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingError) as refused:
        load_settings(flags, environment)
    assert str(refused.value) == message


def test_a_database_url_that_is_wrong_keeps_its_password() -> None:
    with pytest.raises(SettingError) as refused:
        load_settings({"database_url": "mysql://user:secret@host/name"}, {})
    assert "secret" not in str(refused.value)


def test_variables_of_workers_and_clients_are_no_mistakes() -> None:
    assert load_settings({}, {"TRIGGER_LITE_URL": "http://x", "TRIGGER_LITE_KEY": "k"}) == Settings()


def test_what_is_kept_is_an_age_or_a_size_or_without_limit() -> None:
    keep = Settings().keep
    day = 86_400_000
    assert (keep.logs, keep.payloads, keep.runs, keep.failures) == (14 * day, 30 * day, 90 * day, 180 * day)
    assert keep.data == 4_000_000_000
    chosen = load_settings({"keep_logs": "1d12h", "keep_runs": "off", "keep_data": "1.5 gb"}, {}).keep
    assert (chosen.logs, chosen.runs, chosen.data) == (day * 3 // 2, None, 1_500_000_000)
    assert load_settings({"keep_data": "off", "keep_logs": f"{10**30}w"}, {}).keep.data is None

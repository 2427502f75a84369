"""`trigger-lite serve`."""

import os
import time
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from trigger_lite.cli.failures import BadInput
from trigger_lite.cli.options import Collected, NearestChoice, collected, with_options
from trigger_lite.cli.output import dim
from trigger_lite.cli.tasks_folder import project_of, tasks_folder
from trigger_lite.config import LOG_LEVELS, SettingError, Settings, load_settings
from trigger_lite.protocol.version import __version__

if TYPE_CHECKING:
    from trigger_lite.server import ServerInfo

_LABEL_WIDTH: Final = 12


def setting_options() -> list[click.Option]:
    """Return an option for every setting, in the order the settings are written."""
    return [_setting_option(setting) for setting in fields(Settings)]


def _setting_option(setting: "Field[Any]") -> click.Option:
    text = str(setting.metadata["help"])
    if setting.default not in (None, MISSING):
        shown = f"{setting.default:g}" if isinstance(setting.default, float) else setting.default
        text += f"  [default: {shown}]"
    is_level = setting.name == "log_level"
    return Collected(
        "settings",
        "--" + setting.name.replace("_", "-"),
        setting.name,
        type=NearestChoice(LOG_LEVELS, "a level") if is_level else click.STRING,
        metavar="LEVEL" if is_level else _metavar(setting),
        help_text=text,
    )


def _metavar(setting: "Field[Any]") -> str:
    kind = str(setting.metadata["kind"])
    return kind.upper() or _METAVARS.get(setting.type, "TEXT")


_METAVARS: Final[dict[Any, str]] = {int: "NUMBER", float: "SECONDS", Path: "FOLDER"}


@click.command(
    "serve",
    short_help="Run the server; with a folder, its tasks too.",
    epilog="""\b
Examples:
  trigger-lite serve                       the server alone
  trigger-lite serve jobs/                 and a worker beside it for the tasks in jobs/
  trigger-lite serve --host 0.0.0.0 --public-url https://jobs.example.com
  trigger-lite serve --database-url postgresql://user@host/name
\b
Every option can be set as a variable, too: --run-timeout is TRIGGER_LITE_RUN_TIMEOUT.
""",
)
@click.argument("directory", required=False, type=click.Path(path_type=Path), metavar="[DIR]")
@click.option("--json-logs", is_flag=True, help="Say everything as JSON, one object a line.")
@with_options(setting_options())
@click.pass_context
def command(ctx: click.Context, *, directory: Path | None, json_logs: bool) -> None:
    """Run the server; with DIR, also a worker for the tasks in that folder (environment prod)."""
    settings = _settings(collected(ctx, "settings"))
    if directory is not None:
        project_of(tasks_folder(directory))
    _say_logs(settings.log_level, json_logs=json_logs)
    ctx.exit(_serve(settings, directory, json_logs=json_logs))


def _settings(flags: dict[str, Any]) -> Settings:
    try:
        return load_settings(flags, os.environ)
    except SettingError as error:
        raise BadInput(str(error)) from error


def _say_logs(level: str, *, json_logs: bool) -> None:
    from trigger_lite.telemetry import server_log

    server_log.say(level, server_log.JsonLines() if json_logs else server_log.PlainLines())


def _serve(settings: Settings, directory: Path | None, *, json_logs: bool) -> int:
    """Serve until told to stop; raises BadInput for what the server refuses to start with."""
    from trigger_lite.protocol.errors import DatabaseFailed
    from trigger_lite.server import CannotListen, WorkerBeside, serve
    from trigger_lite.store.database import DatabaseUnusable
    from trigger_lite.store.folder import FolderUnusable
    from trigger_lite.store.migrate import DatabaseTooNew

    said = _log_line if json_logs else _print_line
    beside = None
    if directory is not None:
        options = ("--json-logs",) if json_logs else ()
        beside = WorkerBeside(directory.resolve(), said, options)

    def ready(info: "ServerInfo") -> None:
        if json_logs:
            once = f"; sign in once at {info.sign_in_url}" if info.sign_in_url else ""
            _log_line(f"serving at {info.url}{once}")
        else:
            _print_banner(info, directory)

    try:
        return serve(settings, ready=ready, beside=beside)
    except (CannotListen, FolderUnusable, DatabaseTooNew, DatabaseUnusable, DatabaseFailed) as error:
        raise BadInput(str(error)) from error


def _print_banner(info: "ServerInfo", directory: Path | None) -> None:
    click.echo(f"{click.style('trigger-lite', bold=True)} {__version__} is serving\n")
    _print_fact("Dashboard", click.style(info.url, fg="cyan", underline=True))
    if info.sign_in_url:
        _print_fact("Sign in", f"{info.sign_in_url}  {dim('(works once)')}")
    _print_fact("Data", str(info.data))
    _print_fact("Keys", "trigger-lite keys" + _data_hint(info.data))
    if directory is not None:
        _print_fact("Tasks", f"{directory}  {dim('(a worker for them is starting)')}")
    else:
        _print_fact("Tasks", "run them with 'trigger-lite dev FOLDER' in another terminal")
    click.echo(f"\n{dim('Ctrl-C stops it.')}")


def _print_fact(label: str, text: str) -> None:
    click.echo(f"  {dim(label.ljust(_LABEL_WIDTH))}{text}")


def _data_hint(data: Path) -> str:
    """Return the option that commands need to find this data folder."""
    from trigger_lite.cli.target import DEFAULT_DATA

    return "" if data.absolute() == Path(DEFAULT_DATA).absolute() else f" --data {data}"


def _print_line(line: str) -> None:
    click.echo(f"{dim(time.strftime('%H:%M:%S'))} {click.style(line, fg='yellow')}")


def _log_line(line: str) -> None:
    import logging

    logging.getLogger("trigger_lite.serve").info("%s", line)

"""When trigger-lite itself is wrong: one line for the user, the traceback in a file for who mends it."""

import os
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Final

import click

from trigger_lite.protocol.version import __version__

DEBUG_VARIABLE: Final = "TRIGGER_LITE_DEBUG"


def report_crash(error: Exception) -> None:
    """Say in one line what happened and where the details are; with TRIGGER_LITE_DEBUG=1 show them."""
    details = "".join(traceback.format_exception(error))
    what = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    if os.environ.get(DEBUG_VARIABLE, "") not in ("", "0"):
        click.echo(details, err=True, nl=False)
        where = "the details are above"
    else:
        where = _saved(details)
    click.echo(
        f"Error: trigger-lite {__version__} met a fault of its own ({what}); {where}. "
        "Please report it with these details.",
        err=True,
    )


def _saved(details: str) -> str:
    """Write the traceback to the data folder, or to the system's temporary one; return where it is."""
    data = Path(os.environ.get("TRIGGER_LITE_DATA") or "trigger-lite-data")
    text = f"trigger-lite {__version__}, Python {sys.version.split()[0]}, {sys.platform}\n\n{details}"
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    for folder in (data, Path(tempfile.gettempdir())):
        path = folder / f"fault-{stamp}-{os.getpid()}.txt"
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(text)
        except OSError:
            continue
        return f"the details are in {path}"
    return f"run it again with {DEBUG_VARIABLE}=1 to see the details"

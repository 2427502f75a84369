"""Payloads of triggers and data of tokens: JSON text from the command line, a file or stdin, and checked."""

import json
import sys
from pathlib import Path
from typing import Any, Final, NoReturn

from trigger_lite.cli.failures import BadInput
from trigger_lite.protocol.tasks import MAX_PAYLOAD_BYTES

STDIN: Final = "-"
_AROUND: Final = 24


def read_payload(text: str | None, file: str | None) -> str | None:
    """Return the payload's JSON text, or None for none.

    Raises BadInput when it is given twice, is not JSON (with the column), or is too large.
    """
    if text is not None and file is not None:
        raise BadInput("The payload is given twice: as an argument and with --payload-file; leave one out")
    return _read_json(text, file, "The payload", "a run")


def read_token_data(text: str | None) -> str | None:
    """Return the JSON text that a token is completed with, or None for none; raises like `read_payload`."""
    return _read_json(text, None, "The data", "a token")


def _read_json(text: str | None, file: str | None, what: str, taker: str) -> str | None:
    origin = what
    if file is not None or text == STDIN:
        text, origin = _read_file(file or STDIN, what)
    if text is None:
        return None
    size = len(text.encode(errors="surrogatepass"))
    if size > MAX_PAYLOAD_BYTES:
        raise BadInput(
            f"{origin} has {_megabytes(size)}; {taker} takes at most {_megabytes(MAX_PAYLOAD_BYTES)}. "
            "Store it somewhere and send its address"
        )
    check_json(text, origin)
    return text


def check_json(text: str, origin: str) -> None:
    """Raise BadInput, pointing at the place, when a text is not JSON as every reader understands it."""
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno} " if "\n" in text.strip() else ""
        column = f"{line}column {error.colno}"
        hint = _hint(text)
        raise BadInput(
            f"{origin} is not JSON: {error.msg[0].lower()}{error.msg[1:]} at {column}, "
            f"here: {_marked(text, error.pos)}{hint}"
        ) from error
    except ValueError as error:
        raise BadInput(f"{origin} is not JSON: {error}") from error
    except RecursionError as error:
        raise BadInput(f"{origin} is nested too deeply") from error
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{origin} is not UTF-8 at character {error.start + 1}") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number there; write null")


def _marked(text: str, position: int) -> str:
    """Return the surroundings of a place in one line, with a mark at the place itself."""
    before = text[max(0, position - _AROUND) : position]
    after = text[position : position + _AROUND]
    start = "…" if position > _AROUND else ""
    end = "…" if position + _AROUND < len(text) else ""
    return " ".join(f"{start}{before}▸{after}{end}".split())


def _hint(text: str) -> str:
    stripped = text.strip()
    if stripped.startswith(("{", "[")) and '"' not in stripped and any(sign.isalpha() for sign in stripped):
        return ". Names and texts need double quotes, and in a shell single ones around all: '{\"name\": 1}'"
    if stripped and stripped[0].isalpha():
        return ". A text needs double quotes of its own: '\"text\"'"
    return ""


def _read_file(file: str, what: str) -> tuple[str, str]:
    try:
        if file == STDIN:
            return sys.stdin.buffer.read().decode(), f"{what} on stdin"
        return Path(file).read_bytes().decode(), f"{what} in {file}"
    except OSError as error:
        _refuse_file(file, what, error.strerror or str(error))
    except UnicodeDecodeError as error:
        _refuse_file(file, what, f"it is not UTF-8 text at byte {error.start + 1}")


def _refuse_file(file: str, what: str, reason: str) -> NoReturn:
    name = "stdin" if file == STDIN else file
    raise BadInput(f"{what} cannot be read from {name}: {reason}")


def _megabytes(size: int) -> str:
    return f"{size / 1_048_576:.1f} MB"

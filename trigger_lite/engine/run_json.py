"""The JSON columns of a run, decoded and encoded in one place."""

from typing import Any

import msgspec

from trigger_lite.protocol.manifest import RetryConfig
from trigger_lite.protocol.run_errors import RunError, cut_for_storage

_error_decoder = msgspec.json.Decoder(RunError)
_retry_decoder = msgspec.json.Decoder(RetryConfig)
_tags_decoder = msgspec.json.Decoder(list[str])
_object_decoder = msgspec.json.Decoder(dict[str, Any])


def encode_error(error: RunError) -> str:
    """Return the error as stored: cut to its limits (AT-12)."""
    return msgspec.json.encode(cut_for_storage(error)).decode()


def decode_error(text: str) -> RunError:
    decoded: RunError = _error_decoder.decode(text)
    return decoded


def decode_retry(text: str | None) -> RetryConfig | None:
    return None if text is None else _retry_decoder.decode(text)


def decode_tags(text: str) -> list[str]:
    return _tags_decoder.decode(text)


def decode_metadata(text: str | None) -> dict[str, Any]:
    return {} if not text else _object_decoder.decode(text)

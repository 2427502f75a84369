"""What a run that does not go on waits for."""

from enum import StrEnum

import msgspec


class WaitReason(StrEnum):
    """One word for each cause."""

    DELAYED = "DELAYED"
    RETRY = "RETRY"
    NO_VERSION = "NO_VERSION"
    NO_WORKER = "NO_WORKER"
    WORKER_BUSY = "WORKER_BUSY"
    ENVIRONMENT_PAUSED = "ENVIRONMENT_PAUSED"
    QUEUE_PAUSED = "QUEUE_PAUSED"
    ENVIRONMENT_LIMIT = "ENVIRONMENT_LIMIT"
    QUEUE_LIMIT = "QUEUE_LIMIT"
    KEY_LIMIT = "KEY_LIMIT"
    QUEUE_RATE = "QUEUE_RATE"
    KEY_RATE = "KEY_RATE"
    SLOT = "SLOT"
    WAITPOINT = "WAITPOINT"


class WaitingFor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Why a run does not go on, in a word for programs and in a sentence.

    `until` is set when time alone changes it; `position` is the place in line, from 1 up to 1,001.
    """

    reason: WaitReason
    text: str
    until: str | None = None
    position: int | None = None

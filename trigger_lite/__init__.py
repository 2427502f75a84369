"""Background jobs for Python: the names a task file imports.

>>> from trigger_lite import task
>>> @task
... def double(number: int) -> int:
...     return 2 * number
>>> handle = double.trigger(21)
>>> handle.result()
42
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from trigger_lite.protocol.version import __version__

if TYPE_CHECKING:
    from trigger_lite.sdk.batch import batch as batch
    from trigger_lite.sdk.batch_handle import BatchHandle as BatchHandle
    from trigger_lite.sdk.client import Client as Client
    from trigger_lite.sdk.context import Ctx as Ctx
    from trigger_lite.sdk.context import current as current
    from trigger_lite.sdk.context import metadata as metadata
    from trigger_lite.sdk.context import tags as tags
    from trigger_lite.sdk.debounce import Debounce as Debounce
    from trigger_lite.sdk.decorator import task as task
    from trigger_lite.sdk.errors import AbortTaskRun as AbortTaskRun
    from trigger_lite.sdk.errors import ApiError as ApiError
    from trigger_lite.sdk.errors import BatchError as BatchError
    from trigger_lite.sdk.errors import BlockingCall as BlockingCall
    from trigger_lite.sdk.errors import ConcurrentWait as ConcurrentWait
    from trigger_lite.sdk.errors import ConnectionFailed as ConnectionFailed
    from trigger_lite.sdk.errors import DefinitionError as DefinitionError
    from trigger_lite.sdk.errors import NotConfigured as NotConfigured
    from trigger_lite.sdk.errors import OutOfMemory as OutOfMemory
    from trigger_lite.sdk.errors import OutsideRun as OutsideRun
    from trigger_lite.sdk.errors import ParkedMemoryFull as ParkedMemoryFull
    from trigger_lite.sdk.errors import PayloadError as PayloadError
    from trigger_lite.sdk.errors import QueueFull as QueueFull
    from trigger_lite.sdk.errors import RateLimited as RateLimited
    from trigger_lite.sdk.errors import RetryAfter as RetryAfter
    from trigger_lite.sdk.errors import RetryAt as RetryAt
    from trigger_lite.sdk.errors import RunCanceled as RunCanceled
    from trigger_lite.sdk.errors import RunFailed as RunFailed
    from trigger_lite.sdk.errors import SubtaskError as SubtaskError
    from trigger_lite.sdk.errors import TokenTimeout as TokenTimeout
    from trigger_lite.sdk.errors import TriggerLiteError as TriggerLiteError
    from trigger_lite.sdk.errors import UnknownOption as UnknownOption
    from trigger_lite.sdk.errors import WaitTimeout as WaitTimeout
    from trigger_lite.sdk.handle import RunHandle as RunHandle
    from trigger_lite.sdk.hooks import Hooks as Hooks
    from trigger_lite.sdk.hooks import hooks as hooks
    from trigger_lite.sdk.idempotency import IdempotencyKey as IdempotencyKey
    from trigger_lite.sdk.inline import run_inline as run_inline
    from trigger_lite.sdk.locals import local as local
    from trigger_lite.sdk.logger import Logger as Logger
    from trigger_lite.sdk.logger import get_logger as get_logger
    from trigger_lite.sdk.middleware import middleware as middleware
    from trigger_lite.sdk.queue import Queue as Queue
    from trigger_lite.sdk.queue import Rate as Rate
    from trigger_lite.sdk.queue import queue as queue
    from trigger_lite.sdk.result import Err as Err
    from trigger_lite.sdk.result import Ok as Ok
    from trigger_lite.sdk.result import Result as Result
    from trigger_lite.sdk.retry import Retry as Retry
    from trigger_lite.sdk.retrying import retry as retry
    from trigger_lite.sdk.scheduling import Fire as Fire
    from trigger_lite.sdk.scheduling import schedules as schedules
    from trigger_lite.sdk.target import batches as batches
    from trigger_lite.sdk.target import configure as configure
    from trigger_lite.sdk.target import idempotency_keys as idempotency_keys
    from trigger_lite.sdk.target import queues as queues
    from trigger_lite.sdk.target import runs as runs
    from trigger_lite.sdk.target import tokens as tokens
    from trigger_lite.sdk.task import Task as Task
    from trigger_lite.sdk.tokens import Token as Token
    from trigger_lite.sdk.wait import wait as wait

# Read on first use: whoever imports only a room of the server does not pay for the SDK, or the reverse.
_HOMES = {
    "batch": ("batch",),
    "batch_handle": ("BatchHandle",),
    "client": ("Client",),
    "context": ("Ctx", "current", "metadata", "tags"),
    "debounce": ("Debounce",),
    "decorator": ("task",),
    "errors": (
        "AbortTaskRun",
        "ApiError",
        "BatchError",
        "BlockingCall",
        "ConcurrentWait",
        "ConnectionFailed",
        "DefinitionError",
        "NotConfigured",
        "OutOfMemory",
        "OutsideRun",
        "ParkedMemoryFull",
        "PayloadError",
        "QueueFull",
        "RateLimited",
        "RetryAfter",
        "RetryAt",
        "RunCanceled",
        "RunFailed",
        "SubtaskError",
        "TokenTimeout",
        "TriggerLiteError",
        "UnknownOption",
        "WaitTimeout",
    ),
    "handle": ("RunHandle",),
    "hooks": ("Hooks", "hooks"),
    "idempotency": ("IdempotencyKey",),
    "inline": ("run_inline",),
    "locals": ("local",),
    "logger": ("Logger", "get_logger"),
    "middleware": ("middleware",),
    "queue": ("Queue", "Rate", "queue"),
    "result": ("Err", "Ok", "Result"),
    "retry": ("Retry",),
    "retrying": ("retry",),
    "scheduling": ("Fire", "schedules"),
    "target": ("batches", "configure", "idempotency_keys", "queues", "runs", "tokens"),
    "task": ("Task",),
    "tokens": ("Token",),
    "wait": ("wait",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "__version__",
    *sorted(_HOME),
]


if not TYPE_CHECKING:  # or a checker would take any name for one that exists

    def __getattr__(name: str) -> Any:
        module = _HOME.get(name)
        if module is None:
            raise AttributeError(f"module 'trigger_lite' has no attribute {name!r}")
        value = getattr(import_module(f"trigger_lite.sdk.{module}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return __all__

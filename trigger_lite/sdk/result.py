"""How something ended that was waited for: `Ok(output)` or `Err(error)`."""

from dataclasses import dataclass, field
from typing import Any, Generic, Literal, NoReturn, TypeVar

from trigger_lite.sdk.errors import TriggerLiteError

R = TypeVar("R", covariant=True)
E = TypeVar("E", bound=TriggerLiteError, covariant=True)


@dataclass(frozen=True, slots=True)
class InlineRun:
    """What a run did beside its result: attempts, seconds it would have waited, metadata, tags, log lines.

    >>> run_inline(import_csv, "contacts.csv").run.metadata["rows"]
    120
    """

    attempts: int
    waited_seconds: float
    metadata: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    logs: tuple[tuple[str, str, dict[str, Any]], ...] = ()


@dataclass(frozen=True, slots=True)
class Ok(Generic[R]):
    """It went well and gave `output`; `id` is that of the run or the token.

    >>> match resize.trigger_and_wait("https://example.com/cat.png", 100):
    ...     case Ok(output):
    ...         print(output)
    4096
    """

    output: R
    id: str = field(default="", compare=False)
    _run: InlineRun | None = field(default=None, compare=False, repr=False)

    @property
    def ok(self) -> Literal[True]:
        """True.

        >>> run_inline(double, 21).ok
        True
        """
        return True

    @property
    def run(self) -> InlineRun:
        """What the run did beside its result, when `run_inline` made it; an AttributeError otherwise.

        >>> run_inline(double, 21).run.attempts
        1
        """
        return _told(self._run)

    def unwrap(self) -> R:
        """Return the output.

        >>> run_inline(double, 21).unwrap()
        42
        """
        return self.output


@dataclass(frozen=True, slots=True)
class Err(Generic[E]):
    """It failed for good, with `error`; `id` is that of the run or the token.

    >>> match run_inline(abort, "no such customer"):
    ...     case Err(failure):
    ...         print(failure.status)
    FAILED
    """

    error: E
    id: str = field(default="", compare=False)
    _run: InlineRun | None = field(default=None, compare=False, repr=False)

    @property
    def ok(self) -> Literal[False]:
        """False.

        >>> run_inline(abort, "no such customer").ok
        False
        """
        return False

    @property
    def run(self) -> InlineRun:
        """What the run did beside its result, when `run_inline` made it; an AttributeError otherwise.

        >>> run_inline(abort, "no such customer").run.attempts
        1
        """
        return _told(self._run)

    def unwrap(self) -> NoReturn:
        """Raise the error.

        >>> run_inline(abort, "no such customer").unwrap()
        Traceback (most recent call last):
        trigger_lite.sdk.errors.RunFailed: abort run_local ended FAILED: AbortTaskRun: no such customer
        """
        raise self.error


def _told(run: InlineRun | None) -> InlineRun:
    if run is None:
        raise AttributeError("only a result of run_inline(…) tells of its run; this one has an id")
    return run


Result = Ok[R] | Err[TriggerLiteError]
"""How something ended: `Ok(output)` or `Err(error)`. What returns one says which error exactly."""

"""How something ended that was waited for: `Ok(output)` or `Err(error)`."""

from dataclasses import dataclass, field
from typing import Generic, Literal, NoReturn, TypeVar

from trigger_lite.sdk.errors import TriggerLiteError

R = TypeVar("R", covariant=True)
E = TypeVar("E", bound=TriggerLiteError, covariant=True)


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

    @property
    def ok(self) -> Literal[True]:
        """True.

        >>> run_inline(double, 21).ok
        True
        """
        return True

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

    @property
    def ok(self) -> Literal[False]:
        """False.

        >>> run_inline(abort, "no such customer").ok
        False
        """
        return False

    def unwrap(self) -> NoReturn:
        """Raise the error.

        >>> run_inline(abort, "no such customer").unwrap()
        Traceback (most recent call last):
        trigger_lite.sdk.errors.RunFailed: abort run_local ended FAILED: AbortTaskRun: no such customer
        """
        raise self.error


Result = Ok[R] | Err[TriggerLiteError]
"""How something ended: `Ok(output)` or `Err(error)`. What returns one says which error exactly."""

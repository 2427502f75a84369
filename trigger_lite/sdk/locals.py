"""What middleware lays down for the run's code to pick up."""

from typing import Any, Final, Generic, TypeVar, overload

T = TypeVar("T")


class Local(Generic[T]):
    """A typed key of `ctx.locals`; made by `local()`, and equal to no other.

    >>> DB = local("db", sqlite3.Connection)
    >>> DB == local("db", sqlite3.Connection)
    False
    """

    def __init__(self, name: str) -> None:
        self.name: Final = name

    def __repr__(self) -> str:
        return f"local({self.name!r})"


def local(name: str, kind: type[T]) -> Local[T]:
    """Return a key for `ctx.locals`; `kind` tells type checkers what lies there.

    >>> DB = local("db", sqlite3.Connection)
    >>> DB
    local('db')
    """
    return Local(name)


class Locals:
    """Values of one attempt, by keys made with `local()` or by plain text. They end with the attempt.

    >>> DB = local("db", sqlite3.Connection)
    >>> @middleware
    ... def database(ctx: Ctx) -> Iterator[None]:
    ...     with closing(sqlite3.connect("contacts.db")) as db:
    ...         ctx.locals[DB] = db
    ...         yield
    """

    def __init__(self) -> None:
        self._values: dict[Any, Any] = {}

    @overload
    def __getitem__(self, key: Local[T]) -> T: ...
    @overload
    def __getitem__(self, key: str) -> Any: ...
    def __getitem__(self, key: Any) -> Any:
        """Return what lies at the key; raises KeyError when no middleware has put anything there."""
        try:
            return self._values[key]
        except KeyError:
            raise KeyError(f"nothing lies at ctx.locals[{key!r}]; no middleware has put it there") from None

    @overload
    def __setitem__(self, key: Local[T], value: T) -> None: ...
    @overload
    def __setitem__(self, key: str, value: Any) -> None: ...
    def __setitem__(self, key: Any, value: Any) -> None:
        self._values[key] = value

    @overload
    def get(self, key: Local[T], default: None = None) -> T | None: ...
    @overload
    def get(self, key: str, default: Any = None) -> Any: ...
    def get(self, key: Any, default: Any = None) -> Any:
        """Return what lies at the key, or `default`.

        >>> ctx.locals.get("tenant", "nobody")
        'nobody'
        """
        return self._values.get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __repr__(self) -> str:
        return f"Locals({self._values})"

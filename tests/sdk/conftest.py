"""A server on loopback that answers as the test says, and no target but that one."""

from collections.abc import Iterator

import pytest

from tests.support.edge import Edge, running_edge
from trigger_lite import configure, hooks, middleware
from trigger_lite.sdk.client import Client
from trigger_lite.sdk.target import forget_configuration

_VARIABLES = (
    "TRIGGER_LITE_URL",
    "TRIGGER_LITE_KEY",
    "TRIGGER_LITE_DATA",
    "TRIGGER_LITE_VERSION",
    "TRIGGER_LITE_DEV_RETRIES",
    "TRIGGER_API_URL",
    "TRIGGER_SECRET_KEY",
)


@pytest.fixture(autouse=True)
def _no_target(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TRIGGER_LITE_DATA", str(tmp_path_factory.mktemp("no-server")))
    yield
    forget_configuration()


@pytest.fixture(autouse=True)
def _only_its_own_hooks() -> Iterator[None]:
    """Forget, after each test, what it registered for every task."""
    yield
    hooks.clear()
    middleware.clear()


@pytest.fixture
def edge() -> Iterator[Edge]:
    """A server that `task.trigger`, `runs` and the other public names talk to."""
    with running_edge() as running:
        configure(url=running.url, key="tr_dev_test")
        yield running
        forget_configuration()


@pytest.fixture
def client(edge: Edge) -> Iterator[Client]:
    """A client of the same server that makes each request once."""
    made = Client(edge.url, "tr_dev_test", attempts=1)
    yield made
    made.close()

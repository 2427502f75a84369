import pytest

from trigger_lite import DefinitionError, Queue, queue
from trigger_lite.protocol.manifest import QueueManifest


def test_a_queue_is_registered_with_its_limit() -> None:
    assert queue("crm/eu-1", concurrency=5).manifest() == QueueManifest("crm/eu-1", 5)
    assert queue("crm").manifest() == QueueManifest("crm")


def test_queues_are_equal_by_value() -> None:
    assert queue("crm", concurrency=5) == Queue("crm", concurrency=5)


@pytest.mark.parametrize("name", ["", "a b", "é", "x" * 129])
def test_a_name_the_server_would_change_is_refused(name: str) -> None:
    with pytest.raises(DefinitionError, match="queue name"):
        queue(name)


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(DefinitionError, match="concurrency must be 0 or more"):
        queue("crm", concurrency=-1)

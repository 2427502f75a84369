"""Ports come from a block that belongs to one test process."""

import itertools
import socket

import pytest

from tests.support.ports import free_ports


def test_two_test_processes_never_share_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = []
    for worker in ("gw0", "gw1"):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        blocks.append(set(free_ports()))
    assert blocks[0] and blocks[1] and not blocks[0] & blocks[1]


def test_a_port_in_use_is_not_handed_out(free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)):
        assert free_port not in set(free_ports())


def test_ports_lie_below_those_of_outgoing_connections() -> None:
    assert all(20_000 <= port < 32_768 for port in itertools.islice(free_ports(), 50))

"""Free loopback ports that two test processes never hand out twice."""

import os
import random
import socket
from collections.abc import Iterator
from typing import Final

# Below the kernel's ephemeral range, so that no outgoing connection takes one meanwhile.
_FIRST: Final = 20_000
_PORTS_PER_TEST_PROCESS: Final = 1_500
_TEST_PROCESSES: Final = 8


def free_ports() -> Iterator[int]:
    """Yield ports of 127.0.0.1 on which nothing listens, from a block of this test process's own."""
    block = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _TEST_PROCESSES
    first = _FIRST + block * _PORTS_PER_TEST_PROCESS
    ports = list(range(first, first + _PORTS_PER_TEST_PROCESS))
    random.shuffle(ports)
    yield from (port for port in ports if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True

"""The load: wrk where it is installed, else clients of our own in processes beside each other."""

import json
import math
import shutil
import subprocess
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from bench.http_client import Target, UnexpectedAnswer, send_for

_CLIENTS_PER_PROCESS: Final = 32
_OWN_CLIENTS: Final = "own Python clients, one process for each 32; wrk is lighter: apt-get install wrk"

# The report is one line of JSON; wrk's own goes to the same place before it.
_SCRIPT: Final = """
wrk.method = "POST"
wrk.body = {body}
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer {key}"
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\n{{"requests": %d, "microseconds": %d, "errors": %d}}\\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def load_tool() -> str:
    """Name what makes the load."""
    return "wrk" if shutil.which("wrk") else _OWN_CLIENTS


def request_rate(target: Target, *, clients: int, seconds: float, folder: Path) -> float:
    """Return the requests per second that `clients` kept-alive connections get answered.

    Raises UnexpectedAnswer when any answer was not a success. `folder` holds wrk's script.
    """
    wrk = shutil.which("wrk")
    if wrk is None or seconds < 1:  # wrk knows whole seconds only
        return _own_rate(target, clients=clients, seconds=seconds)
    script = folder / "load.lua"
    script.write_text(_SCRIPT.format(body=json.dumps((target.body or b"").decode()), key=target.key))
    threads = ["-t", "1", "-c", str(clients), "-d", f"{math.ceil(seconds)}s"]
    command = [wrk, *threads, "-s", str(script), target.url + target.path]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    counted = json.loads(finished.stdout.splitlines()[-1])
    if counted["errors"]:
        raise UnexpectedAnswer(f"wrk counted errors:\n{finished.stdout}")
    return float(counted["requests"] / counted["microseconds"] * 1_000_000)


def _own_rate(target: Target, *, clients: int, seconds: float) -> float:
    processes = math.ceil(clients / _CLIENTS_PER_PROCESS)
    if processes == 1:
        return send_for(target, clients=clients, seconds=seconds)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        rates = [
            pool.submit(send_for, target, clients=clients // processes, seconds=seconds)
            for _ in range(processes)
        ]
        return sum(rate.result() for rate in rates)

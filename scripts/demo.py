"""`make demo`: the examples on a real server, in a temporary folder, from start to stop.

Starts `trigger-lite serve examples/` on a free port, triggers three runs with the commands a user would
type, and stops everything again. With KEEP=1 the server goes on until Ctrl-C.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "trigger_lite"]
START_SECONDS = 30
STOP_SECONDS = 60


def main() -> int:
    """Run the demo; return 0 when all three runs completed."""
    with tempfile.TemporaryDirectory(prefix="trigger-lite-demo-") as name:
        folder = Path(name)
        environment = clean_environment(folder / "data")
        say("Starting a server and a worker for the tasks in examples/")
        show(["trigger-lite", "serve", "examples/"])
        with serving(folder, environment) as server:
            url = wait_until_ready(server, folder)
            codes = [run_command(arguments, environment) for arguments in three_runs()]
            run_command(["runs", "list"], environment)
            say(f"Dashboard: {url}")
            if is_kept():
                keep_serving(server, folder)
    if any(codes):
        say("Not every run completed; that should not have happened.")
        return 1
    say("Everything has stopped, and the temporary folder is gone.")
    if not is_kept():
        print("To look around in the dashboard: make demo KEEP=1")
    return 0


def three_runs() -> list[list[str]]:
    """Return the commands that trigger them; the first fails twice and then succeeds."""
    thumbnail = {"width": 32, "target": "small.png"}
    return [
        ["trigger", "charge_order", json.dumps({"order": 7, "amount": 19.9}), "--wait"],
        ["trigger", "import_contacts", "--wait"],
        ["trigger", "make_thumbnail", json.dumps(thumbnail), "--wait"],
    ]


def is_kept() -> bool:
    return os.environ.get("KEEP", "") not in ("", "0")


def clean_environment(data: Path) -> dict[str, str]:
    """Return the environment without the user's own settings of trigger-lite."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TRIGGER_LITE_", "TRIGGER_"))}
    return {**kept, "TRIGGER_LITE_DATA": str(data)}


@contextmanager
def serving(folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Serve the examples on a free port; stop in the end, whatever happens."""
    with open(folder / "server.log", "wb") as log:
        # In a session of its own: a Ctrl-C is for the demo, which then stops the server in its own time.
        server = subprocess.Popen(
            [*COMMAND, "serve", str(ROOT / "examples"), "--port", "0"],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield server
        finally:
            server.terminate()
            server.wait(STOP_SECONDS)


def wait_until_ready(server: "subprocess.Popen[bytes]", folder: Path) -> str:
    """Return the server's address once it answers; exit with what it said when it does not."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        url = address(folder)
        if url is not None and answers(f"{url}/healthz"):
            return url
        time.sleep(0.05)
    sys.exit(f"The server did not start. It said:\n{(folder / 'server.log').read_text()}")


def address(folder: Path) -> str | None:
    """Return the address that the server left in its data folder, or None while there is none."""
    try:
        return str(json.loads((folder / "data" / "connection.json").read_text())["url"])
    except FileNotFoundError:
        return None


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError):
        return False


def run_command(arguments: Sequence[str], environment: dict[str, str]) -> int:
    """Run one command as a user would, in this terminal; return its exit code."""
    print()
    show(["trigger-lite", *arguments])
    return subprocess.run([*COMMAND, *arguments], env=environment, check=False).returncode


def keep_serving(server: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Wait until Ctrl-C, or until the server ends by itself."""
    log = (folder / "server.log").read_text()
    link = next((line.split()[2] for line in log.splitlines() if line.strip().startswith("Sign in")), None)
    say(f"Sign in with {link}" if link else "Sign in with the password you chose.")
    print(f"Commands find this server with: export TRIGGER_LITE_DATA={folder / 'data'}")
    print("Ctrl-C stops it.", flush=True)
    try:
        server.wait()
    except KeyboardInterrupt:
        print()


def say(text: str) -> None:
    """Print a paragraph of its own."""
    print(f"\n{text}", flush=True)


def show(command: Sequence[str]) -> None:
    """Print a command as it would be typed."""
    print(f"$ {shlex.join(command)}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

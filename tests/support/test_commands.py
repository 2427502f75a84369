"""`start_command` runs what users run."""

from tests.support.processes import StartCommand
from trigger_lite.protocol.version import __version__


def test_the_real_command_is_started(start_command: StartCommand) -> None:
    process = start_command("--version")
    process.wait_for_line(f"^trigger-lite {__version__}$")
    assert process.wait_for_exit() == 0

"""A child where `fork` is not safe: a fresh interpreter that imports the tasks itself."""

from pathlib import Path
from typing import NoReturn

from trigger_lite.worker.indexing import duty_of, load
from trigger_lite.worker.interpreter import take_arguments
from trigger_lite.worker.template import run_child


def main() -> NoReturn:
    """Be a child: the arguments are the folder, whether memory is limited, and four descriptors."""
    directory, memory, *fds = take_arguments()
    project, _ = load(Path(directory), lambda file: None)
    control, stdout, stderr, lifeline = map(int, fds)
    run_child(duty_of(project, enforce_memory=memory == "limited"), control, stdout, stderr, lifeline)

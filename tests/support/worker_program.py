"""A worker as a command would start it: the argument is its settings, stdout shows its events."""

import json
import sys
from pathlib import Path

from trigger_lite.worker.events import WorkerEvent
from trigger_lite.worker.run import run_worker
from trigger_lite.worker.settings import WorkerSettings


class Printer:
    """Prints every event as one line."""

    def notice(self, event: WorkerEvent) -> None:
        sys.stdout.write(f"{event!r}\n")
        sys.stdout.flush()


def main() -> int:
    settings = json.loads(sys.argv[1])
    directory = Path(settings.pop("directory"))
    return run_worker(WorkerSettings(directory=directory, **settings), Printer())


if __name__ == "__main__":
    sys.exit(main())

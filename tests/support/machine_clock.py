"""The machine's clock as some processes see it, set ahead and back; their steady clock stays as it is."""

from pathlib import Path

from scripts.system_packages import FAKETIME


class MachineClock:
    """What the processes that `environment` is given to take for the machine's clock."""

    def __init__(self, folder: Path) -> None:
        library = FAKETIME.find()
        assert library is not None, "its fixture asked before"
        self._file = folder / "clock"
        self.set(0)
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, ahead: int) -> None:
        """Set the clock so many seconds ahead of what it is; it is noticed within a second."""
        draft = self._file.with_suffix(".new")
        draft.write_text(f"+{ahead}")
        draft.replace(self._file)

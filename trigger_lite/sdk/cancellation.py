"""Whether somebody asked a run to stop, and who wants to hear of it."""

import threading
from collections.abc import Callable

Listener = Callable[[], None]


class Cancellation(threading.Event):
    """Set once, when somebody asked a run to stop; the thread that sets it calls the listeners."""

    def __init__(self) -> None:
        super().__init__()
        self._listeners: list[Listener] = []
        self._guard = threading.Lock()

    def set(self) -> None:
        """Set it and call the listeners; a second time does nothing."""
        with self._guard:
            if self.is_set():
                return
            super().set()
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()

    def listen(self, listener: Listener) -> bool:
        """Have `listener` called when this is set; False when it is set already and nobody is called."""
        with self._guard:
            if self.is_set():
                return False
            self._listeners.append(listener)
            return True

    def unlisten(self, listener: Listener) -> bool:
        """Have `listener` called no more; False when its call has begun, or is about to."""
        with self._guard:
            if listener not in self._listeners:
                return False
            self._listeners.remove(listener)
            return True

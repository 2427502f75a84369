"""Delivers events on the event loop to whoever subscribed. A failing subscriber does not stop the others."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from trigger_lite.engine.events import Event

E = TypeVar("E", bound=Event)
logger = logging.getLogger(__name__)


class Bus:
    """Publish and subscribe by event class; nothing is kept."""

    def __init__(self) -> None:
        self._subscribers: dict[type, list[Callable[[Any], None]]] = {}

    def subscribe(self, kind: type[E], subscriber: Callable[[E], None]) -> Callable[[], None]:
        """Call `subscriber` with every later event of this class; returns how to stop that."""
        subscribers = self._subscribers.setdefault(kind, [])
        subscribers.append(subscriber)

        def unsubscribe() -> None:
            if subscriber in subscribers:
                subscribers.remove(subscriber)

        return unsubscribe

    def publish(self, events: list[object]) -> None:
        for event in events:
            for subscriber in tuple(self._subscribers.get(type(event), ())):
                try:
                    subscriber(event)
                except Exception:
                    logger.exception("a subscriber failed on %s", type(event).__name__)

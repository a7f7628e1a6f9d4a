"""Subscribers of a Device: frames and events of the bus. One that fails is counted, the others go on."""

from __future__ import annotations

import logging
from collections.abc import Callable

from openkline.bus import BusFrame, FrameCallback, Unsubscribe
from openkline.device.link import BusEvent
from openkline.device.state import DeviceCounters

log = logging.getLogger("openkline.device.device")

EventCallback = Callable[[BusEvent], None]


class Subscribers:
    def __init__(self, counters: DeviceCounters) -> None:
        self._counters = counters
        self._frames: list[FrameCallback] = []  # replaced, never changed: a callback may unsubscribe
        self._events: list[EventCallback] = []

    def subscribe(self, callback: FrameCallback) -> Unsubscribe:
        self._frames = [*self._frames, callback]

        def unsubscribe() -> None:
            self._frames = [other for other in self._frames if other is not callback]

        return unsubscribe

    def subscribe_events(self, callback: EventCallback) -> Unsubscribe:
        self._events = [*self._events, callback]

        def unsubscribe() -> None:
            self._events = [other for other in self._events if other is not callback]

        return unsubscribe

    def frame(self, frame: BusFrame) -> None:
        self._counters.frames += 1
        for callback in self._frames:
            try:
                callback(frame)
            except Exception:
                self._counters.callback_errors += 1
                log.exception("a subscriber of the bus failed")

    def event(self, event: BusEvent) -> None:
        log.info("bus: %s", event.name.replace("_", " "))
        for callback in self._events:
            try:
                callback(event)
            except Exception:
                self._counters.callback_errors += 1
                log.exception("a subscriber of bus events failed")

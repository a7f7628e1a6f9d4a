"""Parts of the program with record types of their own (OBD, update, probe): who gets which record of the board."""

from __future__ import annotations

from typing import Protocol


class Service(Protocol):
    """A user of record types of its own. on_reset: a new session: what was asked in the old one gets no answer."""

    def on_record(self, kind: int, payload: bytes) -> None: ...

    def on_reset(self) -> None: ...


class Services:
    def __init__(self) -> None:
        self._services: dict[range, Service] = {}

    def serve(self, first: int, last: int, service: Service) -> None:
        """From now on records of these types (OBD_FIRST and above) are for this service, instead of another one."""
        self._services[range(first, last + 1)] = service

    def record(self, kind: int, payload: bytes) -> None:
        for kinds, service in self._services.items():
            if kind in kinds:
                service.on_record(kind, payload)

    def reset(self) -> None:
        for service in self._services.values():
            service.on_reset()

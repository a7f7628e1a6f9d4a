"""The time in front of a log's line, in all the forms that programs write: gateways, NavCoder on any Windows, boards.

    2010-Jul-20 10:07:00.767817:     the gateway's; the fraction is left out when it is exactly zero
    10/13/2011 9:05:42 PM.625:       NavCoder: the date as the PC's Windows writes it, then milliseconds
    23.08.2011 23:04:30.609:         the same in Germany; also 29/03/2008, 2010-10-14, 14-10-2010, 2010/10/14
    2026-11-28T10:07:00.5+01:00      ISO 8601
    [44430]                          BlueBus: milliseconds since the start
    (1436509052.249713)              candump; 12.345 and 10:07:00.5 alone: seconds since the start, time of the day

A file has one order of day and month. Where a slash leaves it open, AM and PM mean month first; else a date that only
one order can mean decides (see slash_order), and where there is none, the day is first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY_S = 86_400.0
_UNIX_FROM_S = 1e8  # a plain number of seconds that is as large as this is unix time, else it counts from a start

_GATEWAY = re.compile(r"(\d{4}-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d)(?:\.(\d{1,6}))?: ?")
_DATE = re.compile(
    r"(\d{1,4})([/.-]) ?(\d{1,2})\2 ?(\d{1,4})\.?[ T](\d{1,2})[:.](\d\d)[:.](\d\d)"
    r"(?: ?([AP])M)?(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?(?:: *|\s+|$)"
)
_BOOT_MS = re.compile(r"\[(\d{1,15})\] ")
_UNIX = re.compile(r"\((\d{1,12}\.\d{1,9})\)\s+")
_CLOCK = re.compile(r"\[?(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,6}))?\]?[:,;]?\s+")
_SECONDS = re.compile(r"(\d{1,12}\.\d{1,9})s?[:,;\s]\s*")
_SLASH = re.compile(rb"(\d{1,2})/(\d{1,2})/\d{4} \d{1,2}:\d\d:\d\d(?: ([AP])M)?")


class Moment(NamedTuple):
    """seconds: unix time, or since some start where relative; None where the text is no time that can be.

    end: where in the line the time ends.
    """

    seconds: float | None
    relative: bool
    end: int


def slash_order(head: bytes) -> str:
    """Which of "dmy" and "mdy" the dates with slashes in these bytes of a log are; "" where they don't say."""
    for match in _SLASH.finditer(head):
        if match[3] or int(match[2]) > 12:
            return "mdy"
        if int(match[1]) > 12:
            return "dmy"
    return ""


class MomentReader:
    """Reads the times of one file, line by line: they depend on each other where the clock is set back in autumn."""

    def __init__(self, order: str = "") -> None:
        self._order = order
        self._second = ""
        self._second_s = 0.0
        self._last_s = 0.0
        self._day_s = 0.0
        self._forms: list[Callable[[str], Moment | None]] = [
            self._gateway, self._date, self._boot, self._unix, self._clock, self._seconds,
        ]  # fmt: skip

    def read(self, line: str) -> Moment | None:
        """The time at the line's beginning; None where there is none. A file keeps to its form: that is tried first."""
        for form in self._forms:
            moment = form(line)
            if moment is not None:
                if form is not self._forms[0]:
                    self._forms.remove(form)
                    self._forms.insert(0, form)
                return moment
        return None

    def _gateway(self, line: str) -> Moment | None:
        match = _GATEWAY.match(line)
        if match is None:
            return None
        second, fraction = match.groups()
        if second != self._second:
            date, _, clock = second.partition(" ")
            year, month, day = date.split("-")
            number = MONTHS.index(month) + 1 if month in MONTHS else 0
            self._second_s = self._local((int(year), number, int(day), *map(int, clock.split(":"))))
            self._second = second if self._second_s == self._second_s else ""
        return self._moment(self._second_s, fraction, match.end())

    def _date(self, line: str) -> Moment | None:
        match = _DATE.match(line)
        if match is None:
            return None
        first, mark, second, third, hour, minute, seconds, half, fraction, zone = match.groups()
        if len(first) == 4:
            date = int(first), int(second), int(third)
        else:
            month_first = mark == "/" and (bool(half) or self._order == "mdy")
            day, month = (second, first) if month_first else (first, second)
            date = int(third) + (2000 if len(third) <= 2 else 0), int(month), int(day)
        hours = int(hour) % 12 + (12 if half == "P" else 0) if half else int(hour)
        at_s = self._local((*date, hours, int(minute), int(seconds)), zone)
        return self._moment(at_s, fraction, match.end())

    def _moment(self, second_s: float, fraction: str | None, end: int) -> Moment:
        if second_s != second_s:
            return Moment(None, False, end)
        at_s = second_s + (int(fraction.ljust(9, "0")[:9]) / 1e9 if fraction else 0.0)
        self._last_s = at_s
        return Moment(at_s, False, end)

    def _local(self, parts: Iterable[int], zone: str | None = None) -> float:
        """Unix time of a local time; NaN: there is no such. An hour that comes twice a year goes on where it can."""
        try:
            at = datetime(*parts)  # type: ignore[arg-type]
            if zone:
                return at.replace(tzinfo=_zone(zone)).timestamp()
            at_s, later_s = at.timestamp(), at.replace(fold=1).timestamp()
        except (ValueError, OverflowError, OSError):
            return float("nan")
        return later_s if at_s < self._last_s - 1 and self._last_s - 1 <= later_s else at_s

    def _boot(self, line: str) -> Moment | None:
        match = _BOOT_MS.match(line)
        return match and Moment(int(match[1]) / 1000, True, match.end())

    def _unix(self, line: str) -> Moment | None:
        match = _UNIX.match(line)
        return match and _plain(float(match[1]), match.end())

    def _seconds(self, line: str) -> Moment | None:
        match = _SECONDS.match(line)
        return match and _plain(float(match[1]), match.end())

    def _clock(self, line: str) -> Moment | None:
        match = _CLOCK.match(line)
        if match is None:
            return None
        hour, minute, second, fraction = match.groups()
        at_s = self._day_s + int(hour) * 3600 + int(minute) * 60 + int(second)
        at_s += int((fraction or "0").ljust(6, "0")) / 1e6
        if at_s < self._last_s - _DAY_S / 2:
            self._day_s += _DAY_S
            at_s += _DAY_S
        self._last_s = at_s
        return Moment(at_s, True, match.end())


def _plain(seconds: float, end: int) -> Moment:
    return Moment(seconds, seconds < _UNIX_FROM_S, end)


def _zone(text: str) -> timezone:
    """`Z`, `+01:00`, `-0730`. ValueError: further than a day."""
    if text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))

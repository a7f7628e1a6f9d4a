"""What keeps one client from using up what belongs to all: rates, and who may connect at all."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable

from openkline.gateway.options import Network

_MAX_ADDRESSES = 256  # addresses of which the rate of connecting is remembered


class TokenBucket:
    """`rate` per second, `burst` in reserve; clock: seconds, monotonic. rate 0: no limit."""

    __slots__ = ("_burst", "_clock", "_level", "_rate", "_seen_s")

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._level, self._seen_s = burst, clock()

    def _refill(self) -> None:
        now_s = self._clock()
        self._level = min(self._burst, self._level + (now_s - self._seen_s) * self._rate)
        self._seen_s = now_s

    def allows(self) -> bool:
        """Take one, if there is one."""
        if not self._rate:
            return True
        self._refill()
        if self._level < 1:
            return False
        self._level -= 1
        return True

    def owes_s(self, n: int) -> float:
        """Take n, on credit if need be; returns the seconds until the debt is paid."""
        if not self._rate:
            return 0.0
        self._refill()
        self._level -= n
        return max(0.0, -self._level / self._rate)


class Doorman:
    """Who may connect, and how often. Addresses are texts as sockets give them."""

    def __init__(self, networks: tuple[Network, ...], accepts_per_s: float, clock: Callable[[], float]) -> None:
        self._networks = networks
        self._accepts_per_s = accepts_per_s
        self._clock = clock
        self._rates: OrderedDict[str, TokenBucket] = OrderedDict()

    def allowed(self, address: str) -> bool:
        """This computer always; else the networks that were named."""
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(ip, "ipv4_mapped", None)
        ip = mapped or ip
        return ip.is_loopback or any(ip.version == network.version and ip in network for network in self._networks)

    def in_time(self, address: str) -> bool:
        """Whether this address keeps to its rate of new connections."""
        bucket = self._rates.get(address)
        if bucket is None:
            if len(self._rates) >= _MAX_ADDRESSES:
                self._rates.popitem(last=False)
            bucket = self._rates[address] = TokenBucket(self._accepts_per_s, 2 * self._accepts_per_s, self._clock)
        self._rates.move_to_end(address)
        return bucket.allows()

"""For every server of ours: who may connect, how often, and how addresses are written."""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    import asyncio

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAX_ADDRESSES = 256  # addresses of which the rate of connecting is remembered


def host_port(host: str, port: int) -> str:
    """As people write it: 127.0.0.1:4287, [::1]:4287."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_local(host: str) -> bool:
    """Whether only this computer can connect to a server that listens on `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def peer_address(transport: asyncio.BaseTransport) -> str:
    """The other side's address; "" when the socket has already lost it."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""


def _unmapped(network: Network) -> Network:
    """::ffff:192.168.0.0/120 is 192.168.0.0/24, as the addresses of clients are taken."""
    mapped = network.network_address.ipv4_mapped if network.version == 6 else None
    return network if mapped is None else ipaddress.IPv4Network((mapped, network.prefixlen - 96))


def network_of(text: str) -> Network:
    """`192.168.0.0/24`, or one address. ValueError."""
    try:
        return _unmapped(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ValueError("must be an address or a network such as 192.168.0.0/24 or fe80::/10") from None


def networks_of(allow: tuple[str, ...]) -> tuple[Network, ...]:
    """ValueError: one of the texts is none."""
    return tuple(map(network_of, allow))


class Connected(Protocol):
    """address: the other side's, as sockets give it."""

    address: str


C = TypeVar("C", bound=Connected)


def to_evict(silent: Iterable[C]) -> C | None:
    """Which of the connections that have said nothing makes room for a new one; they come oldest first.

    The oldest of the address that has most of them, so that an address which only connects keeps nobody out but itself.
    """
    silent = list(silent)
    if not silent:
        return None
    most = Counter(connection.address for connection in silent).most_common(1)[0][0]
    return next(connection for connection in silent if connection.address == most)


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


class ConnectLimiter:
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

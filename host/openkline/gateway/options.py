"""What a gateway can be told. Every value is checked when the options are made."""

from __future__ import annotations

from dataclasses import dataclass

from openkline.errors import OptionError
from openkline.gateway.rules import PRESETS, Rule
from openkline.net.access import Network, is_local, networks_of
from openkline.words import plural

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 4287  # "IBUS" on a telephone's keys
MAX_CLIENTS = 64


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """host, port, clients, alive_timeout_s, as the original's -i -p -c -t; the rest is ours.

    host              address to listen on; anything but this computer's own needs `allow`
    port              main port, 0: any free one (tests); clients get port+1 .. port+clients
    alive_timeout_s   without Ping for so long a client is closed; also how long a Hello and a reserved port may last
    allow             networks that may connect (CIDR); this computer itself always may
    read_only         nothing that a client sends goes to the bus
    deny              rules of what clients must not send (see rules.py), or the name of a preset
    rate_per_s, burst messages to the bus per client: lasting rate and reserve; rate 0: no limit
    input_bytes_per_s what is read from one client; more waits in the network (an upload, or a flood)
    queue             messages of one client that may wait for the bus
    write_buffer      bytes that wait for a client that doesn't read, beyond what the system buffers; then it is dropped
    pending           connections to the main port that have not said Hello; then the oldest is closed
    accepts_per_s     new connections of one address; more are closed. High: a low one lets a flood shut out others
                      of it (at 500, with 1,500 coming, three of four honest Hellos); `pending` bounds a flood
    drain_s           how long Disconnect and the bridge's end wait for the bus to take what was sent before
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    clients: int = 8
    alive_timeout_s: float = 10.0
    allow: tuple[str, ...] = ()
    read_only: bool = False
    deny: tuple[str, ...] = ()
    rate_per_s: float = 100.0
    burst: int = 500
    input_bytes_per_s: int = 16384
    queue: int = 512
    write_buffer: int = 65536
    pending: int = 128
    accepts_per_s: float = 10000.0
    drain_s: float = 5.0

    def __post_init__(self) -> None:
        self._check("port", self.port, 0, 65535)
        self._check("clients", self.clients, 1, MAX_CLIENTS)
        if self.port + self.clients > 65535:
            raise OptionError(
                f"port is {self.port} with {plural(self.clients, 'client')}: port + clients must be at most 65535"
            )
        self._check("alive_timeout_s", self.alive_timeout_s, 0.01, 86400)
        self._check("rate_per_s", self.rate_per_s, 0, 1_000_000)
        self._check("burst", self.burst, 1, 1_000_000)
        self._check("input_bytes_per_s", self.input_bytes_per_s, 1024, 1 << 30)
        self._check("queue", self.queue, 1, 65536)
        self._check("write_buffer", self.write_buffer, 1024, 1 << 26)
        self._check("pending", self.pending, 1, 65536)
        self._check("accepts_per_s", self.accepts_per_s, 1, 1_000_000)
        self._check("drain_s", self.drain_s, 0, 3600)
        self.networks()
        self.rules()
        if not self.local and not self.allow:
            raise OptionError(
                f"host is {self.host!r}, which other computers can reach, and the protocol knows no passwords: "
                "allow must name the networks that may connect, such as 192.168.0.0/24"
            )

    @staticmethod
    def _check(name: str, value: object, low: float, high: float) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise OptionError(f"{name} is {value!r}, must be {low}..{high}")

    @property
    def local(self) -> bool:
        """Whether only this computer can connect."""
        return is_local(self.host)

    def networks(self) -> tuple[Network, ...]:
        return networks_of(self.allow)

    def rules(self) -> tuple[Rule, ...]:
        found: list[Rule] = []
        for text in self.deny:
            try:
                found.extend(Rule.parse(line) for line in PRESETS.get(text, (text,)))
            except ValueError as error:
                raise OptionError(f"deny is {text!r}: {error}") from None
        return tuple(found)

    def warning(self) -> str:
        """What listening beyond this computer means, for a person; "" when only this computer can connect."""
        if self.local:
            return ""
        may = "only listen" if self.read_only else "also send to the car's bus"
        return (
            f"listening on {self.host}: every computer of {', '.join(self.allow)} can read the car's bus and {may}. "
            "There is no password and no encryption"
        )

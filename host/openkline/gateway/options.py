"""The gateway's settings. Every value is checked when the options are made."""

from __future__ import annotations

from dataclasses import dataclass

from openkline.errors import OptionError
from openkline.gateway.rules import PRESETS, Rule
from openkline.net.access import Network, is_local, network_of, networks_of
from openkline.settings import check_settings, setting
from openkline.words import plural

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 4287  # "IBUS" on a telephone's keys
MAX_CLIENTS = 64


def rules_of(text: str) -> tuple[Rule, ...]:
    """Of one rule, or of a preset's name. ValueError."""
    return tuple(map(Rule.parse, PRESETS.get(text, (text,))))


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """-i, -p, -c and -t are the original gateway's; the rest is ours.

    port 0 is any free one, for tests; clients get port+1 .. port+clients. alive_timeout_s is also how long a Hello and
    a reserved port may last. accepts_per_s is high: a low one lets a flood shut out other clients of the same address
    (at 500, with 1,500 coming, three of four honest Hellos); `pending` bounds a flood.
    """

    host: str = setting(DEFAULT_HOST, "Address to listen on.", "-i", "--address", key="address", metavar="HOST")
    port: int = setting(DEFAULT_PORT, "TCP port to listen on.", "-p", "--port", low=0, high=65535, metavar="PORT")
    clients: int = setting(8, "Maximum number of clients.", "-c", "--clients", low=1, high=MAX_CLIENTS)
    alive_timeout_s: float = setting(
        10.0,
        "Disconnect a client after this many seconds without a message.",
        "-t",
        "--timeout",
        key="timeout",
        low=0.01,
        high=86400,
        metavar="SECONDS",
    )
    allow: tuple[str, ...] = setting(
        (), "Also accept clients from this network (repeatable).", "--allow", metavar="CIDR", check=network_of
    )
    read_only: bool = setting(False, "Send nothing from clients to the bus.", "--read-only")
    deny: tuple[str, ...] = setting(
        (),
        'Refuse messages from clients that match: source, destination, data, such as "3F ?? 0C"; or the preset '
        "`cautious` (repeatable).",
        "--deny",
        metavar="RULE",
        check=rules_of,
    )
    rate_per_s: float = setting(
        100.0, "Messages per second from one client to the bus, in the long run; 0: no limit.", low=0, high=1_000_000
    )
    burst: int = setting(500, "Messages that a client may send at once, beyond that rate.", low=1, high=1_000_000)
    input_bytes_per_s: int = setting(
        16384, "Bytes per second read from one client; the rest waits in the network.", low=1024, high=1 << 30
    )
    queue: int = setting(512, "Messages from one client that may wait for the bus.", low=1, high=65536)
    write_buffer: int = setting(
        65536, "Unread bytes after which a client that does not read is disconnected.", low=1024, high=1 << 26
    )
    pending: int = setting(
        128, "Connections that have not said Hello yet; beyond that the oldest is closed.", low=1, high=65536
    )
    accepts_per_s: float = setting(10000.0, "New connections per second from one address.", low=1, high=1_000_000)
    drain_s: float = setting(
        5.0, "Seconds that Disconnect and shutdown wait for queued messages to be sent.", low=0, high=3600
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.port + self.clients > 65535:
            clients = plural(self.clients, "client")
            raise OptionError(f"port is {self.port} with {clients}: port + clients must be at most 65535")
        if not self.local and not self.allow:
            raise OptionError(
                f"{self.host} can be reached by other computers, and the protocol knows no passwords: "
                "allow must name the networks that may connect, such as 192.168.0.0/24"
            )

    @property
    def local(self) -> bool:
        """Whether only this computer can connect."""
        return is_local(self.host)

    def networks(self) -> tuple[Network, ...]:
        return networks_of(self.allow)

    def rules(self) -> tuple[Rule, ...]:
        return tuple(rule for text in self.deny for rule in rules_of(text))

    def warning(self) -> str:
        """For people, what listening beyond this computer means; "" when only this computer can connect."""
        if self.local:
            return ""
        may = "only listen" if self.read_only else "also send to the car's bus"
        return (
            f"listening on {self.host}: every computer in {', '.join(self.allow)} can read the car's bus and {may}. "
            "There is no password and no encryption"
        )

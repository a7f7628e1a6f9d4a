"""What the ELM327 server can be told. Every value is checked when the options are made."""

from __future__ import annotations

from dataclasses import dataclass

from openkline.errors import OptionError
from openkline.net.access import is_local, networks_of

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 35000  # what apps expect of a Wi-Fi adapter
DEFAULT_VOLTS = 12.0


@dataclass(frozen=True, slots=True)
class ElmOptions:
    """host, port          where to listen; anything but this computer's own address needs `allow`; port 0: any free one
    allow               networks that may connect (CIDR); this computer itself always may
    volts               what AT RV says where the board measures nothing
    clients             connections at once; one drives, the others are told so
    idle_s              a client that has sent nothing for so long loses its place when another one wants it
    accepts_per_s       new connections of one address; more are closed
    input_bytes_per_s   what is read from one client; more waits in the network
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    allow: tuple[str, ...] = ()
    volts: float = DEFAULT_VOLTS
    clients: int = 8
    idle_s: float = 60.0
    accepts_per_s: float = 20.0
    input_bytes_per_s: int = 16384

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise OptionError(f"port is {self.port}, must be 0..65535")
        if not 0 <= self.volts < 100:
            raise OptionError(f"voltage is {self.volts}, must be 0..99.9")
        networks_of(self.allow)
        if not is_local(self.host) and not self.allow:
            raise OptionError(
                f"host is {self.host!r}, which other computers can reach, and an ELM327 knows no passwords: "
                "allow must name the networks that may connect, such as --allow 192.168.0.0/24"
            )

    def warning(self) -> str:
        """What listening beyond this computer means, for a person; "" when only this computer can connect."""
        if is_local(self.host):
            return ""
        return (
            f"listening on {self.host}: every computer of {', '.join(self.allow)} can talk to the car's ECUs. "
            "There is no password and no encryption"
        )


def parse_listen(text: str) -> tuple[str, int]:
    """`[HOST:]PORT`, `[::1]:35000`. OptionError."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal():
        raise OptionError(f"{text!r} is not HOST:PORT, such as {DEFAULT_HOST}:{DEFAULT_PORT}")
    return host.strip("[]") or DEFAULT_HOST, int(port)

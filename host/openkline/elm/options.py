"""The ELM327 server's settings. Every value is checked when the options are made."""

from __future__ import annotations

from dataclasses import dataclass

from openkline.errors import OptionError
from openkline.net.access import is_local, network_of
from openkline.settings import check_settings, setting

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 35000  # what apps expect of a Wi-Fi adapter


@dataclass(frozen=True, slots=True)
class ElmOptions:
    """host and port: where to listen, `--listen` of the command line; port 0 is any free one.

    One client drives at a time; the others get an answer that says so.
    """

    host: str = setting(DEFAULT_HOST, "Address to listen on.")
    port: int = setting(DEFAULT_PORT, "TCP port to listen on.", low=0, high=65535)
    allow: tuple[str, ...] = setting(
        (), "Also accept clients from this network (repeatable).", "--allow", metavar="CIDR", check=network_of
    )
    volts: float = setting(
        12.0,
        "Answer to AT RV if the board does not measure the voltage (vin_pin in its board.json).",
        "--voltage",
        low=0,
        high=99.9,
        metavar="VOLTS",
    )
    uncounted_refusals: bool = setting(
        False,
        "Don't count a refusal (7F ..) as the answer that a request such as 010C1 waits for; it ends with silence.",
        "--uncounted-refusals",
    )
    clients: int = setting(8, "Maximum number of clients.", low=1, high=64)
    idle_s: float = setting(
        60.0, "Seconds of silence after which a client makes room for a new one.", low=0, high=86400
    )
    accepts_per_s: float = setting(20.0, "New connections per second from one address.", low=0, high=1_000_000)
    input_bytes_per_s: int = setting(
        16384, "Bytes per second read from one client; the rest waits in the network.", low=1, high=1 << 30
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if not is_local(self.host) and not self.allow:
            raise OptionError(
                f"{self.host} can be reached by other computers, and an ELM327 has no password: "
                "allow must name the networks that may connect, such as --allow 192.168.0.0/24"
            )

    def warning(self) -> str:
        """For people, what listening beyond this computer means; "" when only this computer can connect."""
        if is_local(self.host):
            return ""
        return (
            f"listening on {self.host}: every computer in {', '.join(self.allow)} can talk to the car's ECUs. "
            "There is no password and no encryption"
        )


def parse_listen(text: str) -> tuple[str, int]:
    """`[HOST:]PORT`, `[::1]:35000`. OptionError."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal():
        raise OptionError(f"{text!r} is not HOST:PORT, such as {DEFAULT_HOST}:{DEFAULT_PORT}")
    return host.strip("[]") or DEFAULT_HOST, int(port)

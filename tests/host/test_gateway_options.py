from __future__ import annotations

import pytest

from openkline.errors import OptionError
from openkline.gateway.options import GatewayOptions
from openkline.net.access import host_port


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"port": 65536}, "port is 65536, must be 0..65535"),
        ({"port": 65530}, "port is 65530 with 8 clients"),
        ({"clients": 0}, "clients is 0, must be 1..64"),
        ({"alive_timeout_s": 0}, "alive_timeout_s is 0"),
        ({"alive_timeout_s": float("nan")}, "alive_timeout_s is nan"),
        ({"rate_per_s": -1}, "rate_per_s is -1"),
        ({"clients": True}, "clients is True"),
        ({"host": "0.0.0.0"}, "allow must name"),
        ({"host": "car.local"}, "allow must name"),
        ({"host": "::"}, "allow must name"),
        ({"allow": ("10.0.0.0/33",)}, "allow is '10.0.0.0/33': must be an address"),
        ({"deny": ("3F ZZ",)}, "'ZZ' is neither"),
        ({"deny": ("",)}, "a rule is"),
    ],
)
def test_options_say_field_value_and_range(options: dict[str, object], says: str) -> None:
    with pytest.raises(OptionError) as caught:
        GatewayOptions(**options)  # type: ignore[arg-type]
    assert says in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_this_computer_needs_no_allow(host: str) -> None:
    assert GatewayOptions(host=host).warning() == ""


def test_beyond_this_computer_it_is_said_what_that_means() -> None:
    options = GatewayOptions(host="0.0.0.0", allow=("192.168.0.0/24",))
    assert "192.168.0.0/24" in options.warning() and "also send" in options.warning()
    assert "only listen" in GatewayOptions(host="::", allow=("fe80::/10",), read_only=True).warning()


def test_an_ipv6_address_stands_in_brackets_before_its_port() -> None:
    assert host_port("::1", 4287) == "[::1]:4287"
    assert host_port("127.0.0.1", 4287) == "127.0.0.1:4287"

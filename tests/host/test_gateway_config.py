from __future__ import annotations

from pathlib import Path

import pytest

from openkline.bridge.config import Config, ConfigError, find, load, parse, places
from openkline.gateway.options import GatewayOptions

FULL = """
device = "/dev/ttyUSB0"
level = 4
file = "ibus.log"
rotate_hours = 24

[gateway]
address = "127.0.0.1"
port = 33001
clients = 64
timeout = 5
deny = ["cautious", "3F D0 0C"]
rate_per_s = 10
"""


def test_a_file() -> None:
    config = parse(FULL)
    options = config.gateway_options()
    assert (options.port, options.clients, options.alive_timeout_s, options.rate_per_s) == (33001, 64, 5, 10)
    assert options.deny == ("cautious", "3F D0 0C")
    assert config.defaults()["device"] == "/dev/ttyUSB0" and config.defaults()["timeout"] == 5
    assert "rate_per_s" not in config.defaults()
    config.check()


def test_the_command_line_wins() -> None:
    options = parse(FULL).gateway_options(port=1234, clients=3)
    assert (options.port, options.clients, options.rate_per_s) == (1234, 3, 10)


def test_nothing_is_a_file_too() -> None:
    assert parse("").gateway_options() == GatewayOptions() == Config().gateway_options()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("divice = 'x'", "divice is no setting; device?"),
        ("level = 'four'", "level is 'four', must be a whole number"),
        ("level = true", "level is True"),
        ("direction = 1", "direction is 1, must be true or false"),
        ("gateway = 1", "must be a table"),
        ("[gateway]\nprot = 1", "gateway.prot is no setting; gateway.port?"),
        ("[gateway]\nallow = '10.0.0.0/8'", "gateway.allow is '10.0.0.0/8', must be a list"),
        ("[gateway]\nallow = [1]", "gateway.allow is [1], must be a list of texts"),
        ("level = = 1", "line 1"),
    ],
)
def test_mistakes_are_named(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, Path("b.toml"))
    assert says in str(caught.value) and str(caught.value).startswith("b.toml: ")


def test_all_mistakes_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("a = 1\nlevel = 'x'\n[gateway]\nb = 2")
    assert len(str(caught.value).splitlines()) == 3


def test_check_looks_deeper(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="clients is 65, must be"):
        parse("[gateway]\nclients = 65").check()
    with pytest.raises(ConfigError, match="HOST:PORT"):
        parse("elm327 = 'yes'").check()
    events = tmp_path / "events"
    events.write_text('"F0 04 3B 49 81 07" = echo # no word of a program, a comment: that\'s for a shell only\n')
    parse(f"events = '{events}'\nevent_shell = true").check()
    with pytest.raises(ConfigError, match="No closing quotation"):
        parse(f"events = '{events}'").check()
    events.write_text("nonsense\n")
    with pytest.raises(ConfigError, match=r"events, line 1"):
        parse(f"events = '{events}'").check()


def test_places(tmp_path: Path) -> None:
    assert places({"HOME": "/home/me"}, "linux") == [
        Path("/home/me/.config/openkline/bridge.toml"),
        Path("/etc/openkline/bridge.toml"),
    ]
    assert places({"HOME": "/home/me", "XDG_CONFIG_HOME": "/x"}, "darwin")[0] == Path("/x/openkline/bridge.toml")
    assert places({"APPDATA": "/a"}, "win32") == [Path("/a/openkline/bridge.toml")]
    named = tmp_path / "own.toml"
    with pytest.raises(ConfigError, match="no such file"):
        find({"OPENKLINE_CONFIG": str(named)})
    named.write_text("level = 2")
    assert find({"OPENKLINE_CONFIG": str(named)}) == named
    assert load(named).bridge == {"level": 2}


def test_a_home_that_may_not_be_looked_into_has_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after `sudo -u somebody`, which keeps HOME."""
    own = tmp_path / "openkline" / "bridge.toml"
    looked: list[Path] = []

    def is_file(path: Path) -> bool:
        looked.append(path)
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", is_file)
    assert find({"XDG_CONFIG_HOME": str(tmp_path)}) is None
    assert looked[0] == own
    with pytest.raises(ConfigError, match="no such file"):
        find({"OPENKLINE_CONFIG": str(own)})


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "x")

from __future__ import annotations

from pathlib import Path

import pytest

from openkline.bridge.config import Config, ConfigError, find, load, places
from openkline.bridge.config import parse as parse_tables
from openkline.bridge.events import EventFileError
from openkline.cli.bridge_options import TABLES, check, options_from
from openkline.errors import OptionError
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


def parse(text: str, path: Path | None = None) -> Config:
    return parse_tables(text, TABLES, path)


def test_a_file() -> None:
    config = parse(FULL)
    options = options_from({}, config).gateway
    assert (options.port, options.clients, options.alive_timeout_s, options.rate_per_s) == (33001, 64, 5, 10)
    assert options.deny == ("cautious", "3F D0 0C")
    assert config.table("")["device"] == "/dev/ttyUSB0" and config.table("")["file"] == Path("ibus.log")
    check(config)


def test_the_command_line_wins() -> None:
    options = options_from({"port": 1234, "clients": 3, "level": 2}, parse(FULL))
    assert (options.gateway.port, options.gateway.clients, options.gateway.rate_per_s) == (1234, 3, 10)
    assert options.level == 2


def test_nothing_is_a_file_too() -> None:
    assert options_from({}, parse("")).gateway == GatewayOptions() == options_from({}, Config()).gateway


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("divice = 'x'", "line 1: there is no setting divice; did you mean device?"),
        ("level = 'four'", "level is 'four', must be a whole number"),
        ("level = true", "level is True"),
        ("direction = 1", "direction is 1, must be true or false"),
        ("gateway = 1", "line 1: gateway is 1, must be a table"),
        ("gatewy = 1", "did you mean gateway?"),
        ("[gateway.burst]", "gateway.burst is {}, must be a whole number"),
        ("level = 1\n[gateway]\nlevel = 1", "line 3: there is no setting gateway.level"),
        ("[gateway]\nburst = 0.5", "gateway.burst is 0.5, must be a whole number"),
        ("[gateway]\ntimeout = nan", "gateway.timeout is nan, must be 0.01..86400"),
        ("json = true", "there is no setting json"),
        ("[gateway]\nprot = 1", "line 2: there is no setting gateway.prot; did you mean gateway.port?"),
        ("[gateway]\nallow = '10.0.0.0/8'", "gateway.allow is '10.0.0.0/8', must be a list"),
        ("[gateway]\nallow = [1]", "gateway.allow is [1], must be a list of texts"),
        ("level = = 1", "line 1"),
    ],
)
def test_mistakes_are_named(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, Path("b.toml"))
    assert says in str(caught.value) and str(caught.value).startswith("b.toml")


def test_all_mistakes_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("a = 1\nlevel = 'x'\n[gateway]\nb = 2")
    assert len(str(caught.value).splitlines()) == 3


def test_check_looks_deeper(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="port is 65530 with 8 clients"):
        check(parse("[gateway]\nport = 65530"))
    events = tmp_path / "events"
    events.write_text('"F0 04 3B 49 81 07" = echo # no word of a program, a comment: that\'s for a shell only\n')
    check(parse(f"events = '{events}'\nevent_shell = true"))
    with pytest.raises(EventFileError, match="No closing quotation"):
        check(parse(f"events = '{events}'"))
    events.write_text("nonsense\n")
    with pytest.raises(EventFileError, match=r"events, line 1"):
        check(parse(f"events = '{events}'"))


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
    assert load(TABLES, named).table("") == {"level": 2}


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
        load(TABLES, tmp_path)
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(TABLES, tmp_path / "x")

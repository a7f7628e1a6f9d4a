"""The service's unit and settings fit the program that they start. (The package itself: make deb-test.)"""

from __future__ import annotations

import configparser
import shlex
from pathlib import Path

from click.testing import CliRunner

from openkline.cli.bridge import bridge

PACKAGING = Path(__file__).parents[2] / "packaging"


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(PACKAGING / "openkline-bridge.service")
    return parser


def test_the_units_command_accepts_the_settings_that_come_with_it() -> None:
    words = shlex.split(unit()["Service"]["ExecStart"])
    assert words[:2] == ["/usr/bin/openkline", "bridge"]
    options = [str(PACKAGING / "bridge.toml") if word == "/etc/openkline/bridge.toml" else word for word in words[2:]]
    result = CliRunner().invoke(bridge, [*options, "--check-config"])
    assert result.exit_code == 0, result.output


def test_settings_that_are_commented_out_are_right_too(tmp_path: Path) -> None:
    text = (PACKAGING / "bridge.toml").read_text()
    offered = tmp_path / "bridge.toml"
    lines = []
    for line in text.splitlines():
        bare = line.removeprefix("# ")
        lines.append(bare if "=" in bare and not bare.startswith("#") else line)
    offered.write_text("\n".join(lines))
    result = CliRunner().invoke(bridge, ["--config", str(offered), "--check-config"])
    assert result.exit_code == 0, result.output
    assert "allow = " in offered.read_text().replace("# allow", "")


def test_the_unit_waits_for_ready_and_reloads_by_sighup() -> None:
    service = unit()["Service"]
    assert service["Type"] == "notify"
    assert service["Restart"] == "on-failure"
    assert "-HUP" in service["ExecReload"]
    assert service["SupplementaryGroups"] == "dialout"

"""The service's unit and settings fit the program that they start. (The package itself: make deb-test.)"""

from __future__ import annotations

import configparser
import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from email.message import Message
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from openkline.cli import main

PACKAGING = Path(__file__).parents[2] / "packaging"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, PACKAGING / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sys.path.append(str(PACKAGING))  # where its neighbours are
build_deb = script("build_deb")


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(PACKAGING / "openkline-bridge.service")
    return parser


def test_the_units_command_accepts_the_settings_that_come_with_it() -> None:
    words = shlex.split(unit()["Service"]["ExecStart"])
    assert words[:2] == ["/usr/bin/openkline", "bridge"]
    options = [str(PACKAGING / "bridge.toml") if word == "/etc/openkline/bridge.toml" else word for word in words[2:]]
    result = CliRunner().invoke(main, ["bridge", *options, "--check-config"])
    assert result.exit_code == 0, result.output


def test_settings_that_are_commented_out_are_right_too(tmp_path: Path) -> None:
    text = (PACKAGING / "bridge.toml").read_text()
    offered = tmp_path / "bridge.toml"
    lines = []
    for line in text.splitlines():
        bare = line.removeprefix("# ")
        lines.append(bare if "=" in bare and not bare.startswith("#") else line)
    offered.write_text("\n".join(lines))
    result = CliRunner().invoke(main, ["bridge", "--config", str(offered), "--check-config"])
    assert result.exit_code == 0, result.output
    assert "allow = " in offered.read_text().replace("# allow", "")


def test_the_unit_waits_for_ready_and_reloads_by_sighup() -> None:
    service = unit()["Service"]
    assert service["Type"] == "notify"
    assert service["Restart"] == "on-failure"
    assert "-HUP" in service["ExecReload"]
    assert service["SupplementaryGroups"] == "dialout"


def test_the_watchdog_is_slower_than_what_pets_it_and_hopeless_ends_are_not_repeated() -> None:
    service = unit()["Service"]
    assert float(service["WatchdogSec"]) >= 10
    assert service["RestartPreventExitStatus"].split() == ["2", "4"]  # ConfigError, DeviceRefused: errors.py
    assert "StartLimitBurst" in unit()["Unit"]


def test_the_unit_restricts() -> None:
    service = unit()["Service"]
    for name in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "DynamicUser", "MemoryDenyWriteExecute"):
        assert service[name] == "yes", name
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""


def test_the_service_does_not_fill_the_journal_with_frames() -> None:
    assert tomllib.loads((PACKAGING / "bridge.toml").read_text())["level"] == 0


def test_paths_of_unit_build_and_scripts_agree() -> None:
    assert f"/{build_deb.CONFIG}" in unit()["Service"]["ExecStart"]
    for name in ("postinst", "prerm", "openkline", "micropython"):
        assert f"/{build_deb.LIB}" in (PACKAGING / "debian" / name).read_text(), name
    for name in ("postinst", "prerm", "postrm"):
        text = (PACKAGING / "debian" / name).read_text()
        done = "\n".join(line for line in text.splitlines() if not line.strip().startswith("echo"))
        assert not re.search(r"systemctl[^|\n]* (enable|start) ", done), name


@pytest.mark.skipif(sys.platform == "win32", reason="no sh")
@pytest.mark.parametrize("name", ["postinst", "prerm", "postrm"])
def test_maintainer_scripts_are_sh(name: str) -> None:
    subprocess.run(["sh", "-n", str(PACKAGING / "debian" / name)], check=True)


def test_dependencies_are_those_of_compiled_parts() -> None:
    this, following = (f"{sys.version_info[0]}.{sys.version_info[1] + n}" for n in (0, 1))
    python = f"python3 (>= {this}), python3 (<< {following})"
    assert build_deb.depends([]) == python
    one = b"\x7fELF..\0libc.so.6\0GLIBC_2.2.5\0GLIBC_2.28\0"
    other = b"\x7fELF..\0libstdc++.so.6\0GLIBC_2.9\0GLIBC_PRIVATE\0"
    assert build_deb.depends([one, other]) == python + ", libc6 (>= 2.28), libstdc++6"


def test_licences_of_included_packages_are_one_line_each() -> None:
    plain, old, none = Message(), Message(), Message()
    plain["License-Expression"] = "MIT"
    old["License"] = "x" * 100
    old["Classifier"] = "License :: OSI Approved :: BSD License"
    assert [build_deb.licence(m) for m in (plain, old, none)] == ["MIT", "BSD License", "see its own files"]


def test_the_packages_version_is_the_programs() -> None:
    from openkline import __version__

    assert build_deb.version() == __version__


def test_the_newest_changes_are_those_of_this_version() -> None:
    from openkline import __version__

    text = (PACKAGING.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = re.search(r"^## (\S+) \((unreleased|\d{4}-\d\d-\d\d)\)$", text, re.MULTILINE)
    assert heading is not None
    assert heading[1] == __version__

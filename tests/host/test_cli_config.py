"""--config and --check-config: the command line wins over the file, the file over the defaults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import rich_click as click
from click.testing import CliRunner

from openkline.bridge.config import Config
from openkline.cli import main
from openkline.cli.bridge import bridge
from openkline.cli.bridge_options import PANELS, TABLES
from openkline.cli.config import config_options, current_config
from openkline.cli.options import setting_options
from openkline.gateway.options import GatewayOptions
from openkline.settings import setting, settings_of


@dataclass
class Small:
    file: Path | None = setting(None, "A file.", "-f", "--file")
    secret: int = setting(1, "In the file only.", low=1)


CHECKED: list[Config] = []


@click.command()
@config_options({"": Small, "gateway": GatewayOptions}, CHECKED.append)
@setting_options(settings_of(Small))
@setting_options(settings_of(GatewayOptions))
def small(port: int, allow: tuple[str, ...], read_only: bool, file: Path | None, **_: object) -> None:
    click.echo(f"{port} {allow} {read_only} {dict(current_config().table(''))} {file}")


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of the person who runs the tests."""
    monkeypatch.setattr("openkline.bridge.config.places", lambda environment=None: [tmp_path / "default.toml"])
    monkeypatch.setattr("openkline.cli.config.places", lambda: [tmp_path / "default.toml"])
    monkeypatch.delenv("OPENKLINE_CONFIG", raising=False)


def write(folder: Path, text: str, name: str = "my.toml") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def run(*words: str) -> str:
    result = CliRunner().invoke(small, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output.strip()


def test_the_command_line_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    path = write(tmp_path, 'file = "a.log"\n[gateway]\nport = 1000\nallow = ["10.0.0.0/8"]\nread_only = true')
    own = {"file": Path("a.log")}
    assert run() == "4287 () False {} None"
    assert run("--config", path) == f"1000 ('10.0.0.0/8',) True {own} a.log"
    assert run("-p", "2000", "--allow", "::1", "--config", path, "-f", "b") == f"2000 ('::1',) True {own} b"


def test_the_default_place_is_read(tmp_path: Path) -> None:
    write(tmp_path, "[gateway]\nport = 1000", "default.toml")
    assert run() == "1000 () False {} None"
    assert run("-p", "1") == "1 () False {} None"


@pytest.mark.parametrize("first", [True, False])
def test_check_config_says_that_all_is_right_and_ends(tmp_path: Path, first: bool) -> None:
    words = ["--config", write(tmp_path, "[gateway]\nport = 1000")]
    words = ["--check-config", *words] if first else [*words, "--check-config"]
    result = CliRunner().invoke(main, ["bridge", *words])
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "my.toml: no errors" in result.stderr


def test_check_config_without_a_file_says_where_it_looked(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["bridge", "--check-config"])
    assert result.exit_code == 0
    assert str(tmp_path / "default.toml") in result.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[gateway", "my.toml"),
        ("[gateway]\nprot = 1", "port"),
        ("[gateway]\nport = 70000", "port is 70000"),
        ("[gateway]\nclients = 65", "clients is 65"),
        ('[gateway]\naddress = "0.0.0.0"', "allow"),
        ('[gateway]\ndeny = ["G1"]', "G1"),
        ("[gateway]\ndrain_s = nan", "drain_s"),
        ("level = 5", "my.toml, line 1: level is 5, must be 0..4"),
        ("wake = 'maybe'", "wake is 'maybe', must be allow or deny"),
        ("keep = 0", "keep is 0, must be at least 1"),
        ("log_format = 'xml'", "log_format is 'xml'"),
        ("status_port = 65536", "status_port is 65536"),
        ("rotate_size = -1", "rotate_size is -1"),
        ("rotate_hours = -1", "rotate_hours is -1"),
        ("max_frame = 4", "max_frame is 4"),
        ("event_timeout = 0", "event_timeout is 0"),
        ("sleep_after = -1", "sleep_after is -1"),
        ("wakings = 101", "wakings is 101"),
        ("max_rate = 60001", "max_rate is 60001"),
        ('file = "."', "file is '.', which is a folder"),
        ("[gateway]\nport = 0", "port is 0"),
        ("keep = 0\nmax_frame = 4", "my.toml, line 2: max_frame is 4"),
        ('events = "nowhere"', "events is 'nowhere', but there is no such file"),
        ("elm327 = 'yes'", "elm327 is 'yes': 'yes' is not HOST:PORT"),
    ],
)
def test_check_config_names_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    result = CliRunner().invoke(main, ["bridge", "--check-config", "--config", write(tmp_path, text)])
    assert result.exit_code == 2
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_a_start_says_the_same_and_where_it_stands(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["bridge", "--config", write(tmp_path, "keep = 0")])
    assert result.exit_code == 2
    assert "my.toml, line 1: keep is 0" in result.stderr


def test_every_setting_is_an_option_of_the_bridge_or_stands_in_the_file_only() -> None:
    """And all options of the bridge but those below are declared as settings."""
    settings = [one for declared in TABLES.values() for one in settings_of(declared)]
    assert all(one.flags or one.key for one in settings)
    options = {parameter.name: parameter for parameter in bridge.params}
    names = [one.name for one in settings if one.flags]
    assert len(names) == len(set(names))
    assert set(options) == {*names, "config", "check_config", "version"}
    for one in settings:
        if one.flags:
            assert tuple(options[one.name].opts) == one.flags
            assert options[one.name].panel in PANELS, "a panel of the help"  # type: ignore[attr-defined]


def test_a_new_setting_appears_everywhere(tmp_path: Path) -> None:
    @dataclass
    class More(Small):
        depth: int = setting(3, "How deep.", "--depth", low=1, high=9)

    @click.command()
    @config_options({"": More}, CHECKED.append)
    @setting_options(settings_of(More))
    def command(depth: int, **_: object) -> None:
        click.echo(str(depth))

    def output(*words: str) -> str:
        return CliRunner().invoke(command, words).output

    assert output("--config", write(tmp_path, "depth = 4")) == "4\n"
    assert "How deep.  [1..9; default: 3]" in " ".join(output("--help").split()).replace(". [", ".  [")
    assert "10, must be 1..9" in output("--depth", "10")
    assert str(CliRunner().invoke(command, ["--config", write(tmp_path, "depth = 10")]).exception).endswith(
        "my.toml, line 1: depth is 10, must be 1..9"
    )


def test_outside_of_a_command_there_is_no_file() -> None:
    assert current_config() == Config()

"""--config and --check-config: the command line wins over the file, the file over the defaults."""

from __future__ import annotations

from pathlib import Path

import pytest
import rich_click as click
from click.testing import CliRunner

from openkline.bridge.config import Config
from openkline.cli import main
from openkline.cli.config import config_options, current_config


@click.command()
@config_options
@click.option("-p", "--port", type=click.IntRange(1, 65535), default=4287)
@click.option("--allow", multiple=True)
@click.option("--read-only", is_flag=True)
@click.option("-f", "--file", type=click.Path(path_type=Path))
def small(port: int, allow: tuple[str, ...], read_only: bool, file: Path | None) -> None:
    options = current_config().gateway_options(port=port, allow=allow, read_only=read_only)
    click.echo(f"{options.port} {options.allow} {options.read_only} {options.burst} {file}")


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
    path = write(
        tmp_path, 'file = "a.log"\n[gateway]\nport = 1000\nallow = ["10.0.0.0/8"]\nread_only = true\nburst = 7'
    )
    assert run() == "4287 () False 500 None"
    assert run("--config", path) == "1000 ('10.0.0.0/8',) True 7 a.log"
    assert run("-p", "2000", "--allow", "::1", "--config", path, "-f", "b") == "2000 ('::1',) True 7 b"


def test_the_default_place_is_read(tmp_path: Path) -> None:
    write(tmp_path, "[gateway]\nport = 1000", "default.toml")
    assert run() == "1000 () False 500 None"
    assert run("-p", "1") == "1 () False 500 None"


@pytest.mark.parametrize("first", [True, False])
def test_check_config_says_that_all_is_right_and_ends(tmp_path: Path, first: bool) -> None:
    words = ["--config", write(tmp_path, "[gateway]\nport = 1000")]
    words = ["--check-config", *words] if first else [*words, "--check-config"]
    result = CliRunner().invoke(main, ["bridge", *words])
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "my.toml: all right" in result.stderr


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
        ("level = 5", "level is 5: 5 is not in the range 0<=x<=4"),
        ("wake = 'maybe'", "wake is 'maybe': 'maybe' is not one of 'allow', 'deny'"),
        ("keep = 0", "keep is 0: 0 is not in the range x>=1"),
        ("log_format = 'xml'", "log_format is 'xml'"),
        ("status_port = 65536", "status_port is 65536"),
        ("rotate_size = -1", "rotate_size is -1"),
        ("rotate_hours = -1", "rotate_hours is -1"),
        ("max_frame = 4", "max_frame is 4"),
        ("event_timeout = 0", "event_timeout is 0"),
        ("sleep_after = -1", "sleep_after is -1"),
        ("wakings = 101", "wakings is 101"),
        ("max_rate = 60001", "max_rate is 60001"),
        ('file = "."', "file is '.': File '.' is a directory"),
        ("[gateway]\nport = 0", "port is 0"),
        ("keep = 0\nmax_frame = 4", "my.toml: max_frame is 4"),
        ('events = "nowhere"', "nowhere"),
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
    assert "my.toml: keep is 0" in result.stderr


def test_every_setting_for_the_command_line_is_one_of_its_options() -> None:
    from openkline.bridge.config import BRIDGE_KEYS
    from openkline.cli.bridge import bridge

    assert set(BRIDGE_KEYS) <= {parameter.name for parameter in bridge.params}


def test_outside_of_a_command_there_is_no_file() -> None:
    assert current_config() == Config()

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from openkline.bus import BusFrame
from openkline.events import Event, EventFileError, EventRunner, load_events, parse_events

from .openbm.raw import until

BUTTON = bytes.fromhex("F0 04 3B 49 81 07")
PATTERN = '"F0 04 3B 49 81 07"'


def event(options: str, command: str) -> Event:
    return Event.parse(f"{PATTERN} {options} = {command}", 1)


def touch(path: Path) -> str:
    return f"{sys.executable} -c 'import sys, pathlib; pathlib.Path(sys.argv[1]).touch()' {path}"


def test_a_line_of_the_original() -> None:
    (found,) = parse_events([PATTERN + " = xmms2 'next song'\n"])
    assert found.arguments == ("xmms2", "next song") and not found.shell
    assert found.matches(BUTTON) and not found.matches(BUTTON[:-1]) and not found.matches(BUTTON + b"\0")


def test_wildcards_comments_options() -> None:
    first, second = parse_events(
        ["# buttons", "", '"F0 04 3B ?? 81 **" timeout 2.5 = a', '  "68 03 18 01 72"shell = x=1; echo "$x" | cat']
    )
    assert first.matches(BUTTON) and first.timeout_s == 2.5 and first.line == 3
    assert second.shell and second.arguments == ('x=1; echo "$x" | cat',)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("F0 04 3B 49 81 07 = command", 'expected "'),
        (PATTERN, 'expected "'),
        (PATTERN + " = ", "no command"),
        ('"F0 04 3B 49 81 08" = x', "checksum is 08, must be 07"),
        ('"F0 05 3B 49 81 07" = x', "length byte is 05"),
        ('"F0 04 3B 4G 81 07" = x', "'4G' is neither"),
        ('"F0 04" = x', "this pattern 2"),
        (PATTERN + " timeout = x", "timeout is nothing"),
        (PATTERN + " timeout nan = x", "timeout is nan"),
        (PATTERN + " quickly = x", "'quickly' between"),
        (PATTERN + " = 'open", "quotation"),
    ],
)
def test_a_bad_line_is_named_with_its_number(line: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_text("# first\n" + PATTERN + " = fine\n" + line + "\n")
    with pytest.raises(EventFileError) as caught:
        load_events(path)
    assert f"{path}, line 3: " in str(caught.value) and says in str(caught.value)


def test_every_bad_line_is_named() -> None:
    with pytest.raises(EventFileError) as caught:
        parse_events(["a", "", "b"])
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "event file, line 1",
        "event file, line 3",
    ]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EventFileError, match="cannot be read"):
        load_events(tmp_path / "none")


async def test_a_command_runs_and_knows_the_frame(tmp_path: Path) -> None:
    out = tmp_path / "out"
    program = "import os, sys; open(sys.argv[1], 'w').write(os.environ['OPENKLINE_FRAME'])"
    runner = EventRunner([event("", f'{sys.executable} -c "{program}" {out}')])
    runner(BusFrame(0.0, bytes.fromhex("68 03 18 01 72")))
    runner(BusFrame(0.0, BUTTON))
    await until(lambda: runner.counters.ended == 1)
    assert out.read_text() == "F0 04 3B 49 81 07"
    assert runner.counters.failed == 0 and runner.counters.started == 1
    await runner.close()


async def test_no_shell_unless_asked(tmp_path: Path) -> None:
    plain, shell = tmp_path / "plain", tmp_path / "shell"
    runner = EventRunner(
        [event("", f"{sys.executable} -c pass; {touch(plain)}"), event("shell", f"true; {touch(shell)}")]
    )
    runner(BusFrame(0.0, BUTTON))
    await until(lambda: runner.counters.ended == 2)
    assert not plain.exists() and shell.exists()
    await runner.close()


async def test_a_timeout_kills_what_the_shell_started(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    runner = EventRunner([event("shell timeout 0.1", f"(sleep 0.6; touch {mark}) & wait")])
    runner(BusFrame(0.0, BUTTON))
    await until(lambda: runner.counters.timeouts == 1)
    await asyncio.sleep(0.7)
    assert not mark.exists()
    await runner.close()


async def test_what_cannot_be_started_or_fails_is_counted() -> None:
    runner = EventRunner([event("", "/no/such/program"), event("", "false")])
    runner(BusFrame(0.0, BUTTON))
    await until(lambda: runner.counters.failed == 2)
    await runner.close()


async def test_bounded_and_never_in_the_way() -> None:
    runner = EventRunner([event("", "sleep 30")], running=2, waiting=5)
    for _ in range(100):
        runner(BusFrame(0.0, BUTTON))
    await until(lambda: runner.counters.started == 2)
    assert runner.counters.dropped == 100 - 7
    await asyncio.wait_for(runner.close(), 5)
    assert runner.counters.ended == 2 and len(asyncio.all_tasks()) == 1

"""The event file, line by line, and the commands that frames start."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openkline.bridge.events import EventFileError, EventRunner, load_events, parse_events
from openkline.bus import BusFrame

NEXT = bytes.fromhex("F0 04 3B 49 81 07")
PYTHON = f'"{sys.executable}"'


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


@asynccontextmanager
async def runner(command: str, shell: bool = False, **words: float) -> AsyncIterator[EventRunner]:
    rules = parse_events(f'"F0 04 3B 49 81 07" = {command}', shell=shell)
    running = EventRunner(rules, shell=shell, **words)  # type: ignore[arg-type]
    try:
        yield running
    finally:
        await running.stop()
        assert not running._tasks


def test_the_original_line() -> None:
    (rule,) = parse_events('"F0 04 3B 49 81 07" = command')
    assert (rule.command, rule.line) == ("command", 1)
    assert rule.matches(NEXT)
    assert not rule.matches(bytes.fromhex("F0 04 3B 49 01 87"))
    assert not rule.matches(NEXT[:-1])
    assert not rule.matches(NEXT + b"\x00")


def test_comments_empty_lines_order_and_equal_signs() -> None:
    rules = parse_events('# keys\n\n  "f0 04 3b 49 81 07"=env A=B c\r\n"F0 04 3B 48 ?? ??" = second\n')
    assert [(rule.command, rule.line) for rule in rules] == [("env A=B c", 3), ("second", 4)]


@pytest.mark.parametrize("wild", ["??", "**", "*", "?"])
def test_a_wildcard_is_any_one_byte(wild: str) -> None:
    (rule,) = parse_events(f'"F0 04 3B 49 {wild} {wild}" = c')
    assert all(rule.matches(bytes((0xF0, 4, 0x3B, 0x49, n, n ^ 0x86))) for n in range(256))
    assert not rule.matches(bytes.fromhex("F1 04 3B 49 81 06"))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("F0 04 3B 49 81 07 = command", "expected"),
        ('"F0 04 3B 49 81 07" command', "expected"),
        ('"F0 04 3B 49 81 07 = command', "expected"),
        ('"F0 04 3B 49 81 07" =', "no command"),
        ('"F0 04 3B 4G 81 07" = c', "4G"),
        ('"F0043B498107" = c', "F0043B498107"),
        ('"F0 04 3B 49 81 08" = c', "the checksum is 08, should be 07"),
        ('"F0 05 3B 49 81 06" = c', "the length byte is 05, should be 04 in a frame of 6 bytes"),
        ('"F0 02 3B C9" = c', "5 to 257"),
        ('"" = c', "5 to 257"),
        ('"F0 04 3B 49 81 07" = say "hello', "No closing quotation"),
    ],
)
def test_a_bad_line_is_named_with_its_number(line: str, says: str) -> None:
    with pytest.raises(EventFileError) as error:
        parse_events("# one\n" + line, "my.events")
    assert "my.events, line 2" in str(error.value)
    assert says in str(error.value)


def test_every_bad_line_is_named() -> None:
    with pytest.raises(EventFileError) as error:
        parse_events('x\n"F0 04 3B 49 81 07" = good\ny')
    assert "line 1" in str(error.value)
    assert "line 2" not in str(error.value)
    assert "line 3" in str(error.value)


@given(st.text(max_size=200))
def test_any_text_gives_rules_or_an_event_file_error(text: str) -> None:
    with suppress(EventFileError):
        parse_events(text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(EventFileError, match="nowhere"):
        load_events(tmp_path / "nowhere")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EventFileError, match="binary"):
        load_events(tmp_path / "binary")


async def test_a_frame_starts_the_command_with_the_frame_in_its_environment(tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = f"import os; open({str(out)!r}, 'w').write(os.environ['OPENKLINE_FRAME'] + os.environ['OPENKLINE_OWN'])"
    async with runner(f"{PYTHON} -c {code!r}") as events:
        events(BusFrame(0.0, bytes.fromhex("F0 04 3B 49 01 87")))
        events(BusFrame(0.0, NEXT, own=True))
        await until(lambda: events.counters.started and out.exists() and out.read_text())
        assert out.read_text() == "F0 04 3B 49 81 071"
        assert events.counters.matched == events.counters.started == 1


async def test_no_shell_unless_asked(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "openkline.bridge.events")
    logging.getLogger("openkline").propagate = True
    async with runner("echo a && echo b") as events:
        events(BusFrame(0.0, NEXT))
        await until(lambda: not events._tasks)
    assert "a && echo b" in caplog.text
    caplog.clear()
    async with runner("echo a && echo b", shell=True) as events:
        events(BusFrame(0.0, NEXT))
        await until(lambda: not events._tasks)
    assert "a && echo b" not in caplog.text
    assert caplog.text.count("line 1") == 2


async def test_a_command_that_does_not_end_is_ended_with_what_it_started(tmp_path: Path) -> None:
    late = tmp_path / "late"
    async with runner(f"(sleep 1; touch {late}) & sleep 60", shell=True, timeout_s=0.15) as events:
        events(BusFrame(0.0, NEXT))
        await until(lambda: events.counters.timeouts == 1 and not events._tasks)
    await asyncio.sleep(1.1)
    assert not late.exists()


async def test_a_command_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openkline.bridge.events._KILL_AFTER_S", 0.2)
    pid, stubborn = tmp_path / "pid", "trap '' TERM; echo $$ > {}; while :; do sleep 0.05; done"
    async with runner(stubborn.format(pid), shell=True, timeout_s=0.5) as events:
        events(BusFrame(0.0, NEXT))
        await until(lambda: events.counters.timeouts == 1 and not events._tasks)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


async def test_at_most_so_many_at_a_time_and_the_rest_is_dropped_and_counted() -> None:
    async with runner("sleep 60", parallel=2, waiting=3) as events:
        for _ in range(10):
            events(BusFrame(0.0, NEXT))
        await until(lambda: events.counters.started == 2)
        assert events.counters.matched == 10
        assert events.counters.dropped == 5
        assert events.stats()["events"]["waiting"] == 3
    assert events.counters.started == 2


async def test_failures_are_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("openkline").propagate = True
    async with runner("/nowhere/such-a-program") as events:
        events(BusFrame(0.0, NEXT))
        await until(lambda: events.counters.not_started == 1)
    async with runner("exit 3", shell=True) as events:
        events(BusFrame(0.0, NEXT))
        await until(lambda: events.counters.failed == 1)
    assert "/nowhere/such-a-program" in caplog.text
    assert "status 3" in caplog.text


async def test_a_talkative_command_is_read_to_its_end(caplog: pytest.LogCaptureFixture) -> None:
    """What it says first is told, the rest is not kept."""
    caplog.set_level(logging.INFO, "openkline.bridge.events")
    logging.getLogger("openkline").propagate = True
    async with runner(f"{PYTHON} -c \"print('x' * 1000000)\"") as events:
        events(BusFrame(0.0, NEXT))
        await until(lambda: events.counters.started == 1 and not events._tasks)
        assert events.counters.failed == events.counters.timeouts == 0
    assert caplog.text.count("x" * 4096) == 1
    assert len(caplog.text) < 5000

"""Doctor's PC side, board and link: what is found out, and what is said of it."""

from __future__ import annotations

import asyncio
import errno
import os
import pty
import select
import subprocess
import sys
import tty
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kline.protocol.link import probe, records
from kline.version import VERSION
from openkline.device import port as serial_io
from openkline.device import ports
from openkline.device.port import SerialPort, explain, port_for
from openkline.device.welcome import BoardInfo
from openkline.doctor import calls, examine, pc
from openkline.doctor.board import PAYLOADS
from openkline.doctor.facts import BoardFacts, BoardFile, Facts, LinkFacts, PcFacts, WireFacts
from openkline.doctor.finding import Finding
from openkline.doctor.judge import cause, judge, judge_link, judge_pc
from openkline.doctor.judge_board import judge_board
from openkline.firmware import modules

from .fake_device import FakeBoard, FakePort, no_fault

NUMBERS = tuple(map(int, VERSION.split(".")))
INFO = BoardInfo(1, 7, 64, records.CAN_IBUS | records.CAN_PROBE, NUMBERS, (1, 28, 0), "ESP32_GENERIC", "24")  # type: ignore[arg-type]
DESCRIBED = {"machine": "ESP32", "heap_free": 90_000, "fs_free": 900_000, "fs_size": 2_000_000, "errors": 0}
BOARD = BoardFacts(INFO, can_probe=True, described=DESCRIBED)
LINK = LinkFacts((5.0, 9.0, 20.0))


async def no(_: WireFacts) -> bool:
    raise AssertionError("it asked, though the wire was not reached")


def wrong(found: Iterator[Finding]) -> list[str]:
    return [finding.name for finding in found if finding.wrong]


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    master, slave = pty.openpty()
    tty.setraw(slave)
    yield master, os.ttyname(slave)
    os.close(master)
    os.close(slave)


# -- the PC


async def test_no_board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "list_ports", lambda: [])
    facts = await examine("auto", port_for("auto"), no)
    assert facts.pc.kind == "none" and facts.board is None
    (found,) = judge(facts)
    assert found.name == "no_board" and found.level == "fault" and "-d sim" in found.remedy


async def test_a_port_that_is_absent() -> None:
    facts = await examine("/dev/ttyNOSUCH", SerialPort("/dev/ttyNOSUCH"), no)
    (found,) = judge(facts)
    assert found.name == "port_missing" and "/dev/ttyNOSUCH" in found.text


async def test_no_permission_names_group_and_rule(monkeypatch: pytest.MonkeyPatch, terminal: tuple[int, str]) -> None:
    path = terminal[1]

    async def forbidden(self: SerialPort, factory: object) -> None:
        raise explain(path, PermissionError(errno.EACCES, "Permission denied"))

    monkeypatch.setattr(SerialPort, "connect", forbidden)
    monkeypatch.setattr(pc, "group_of", lambda path: "tty")
    monkeypatch.setattr(serial_io, "group_of", lambda path: "tty")
    monkeypatch.setattr(ports, "list_ports", lambda: [ports.PortInfo(path, "CP210x bridge", "", "10C4:EA60", "")])
    facts = await examine(path, SerialPort(path), no)
    (found,) = judge(facts)
    assert found.name == "port_forbidden" and "usermod -aG tty" in found.remedy
    assert 'ATTRS{idVendor}=="10c4"' in found.remedy and 'GROUP="tty"' in found.remedy
    (found,) = judge_pc(replace(facts.pc, group="root"))
    assert 'GROUP="dialout"' in found.remedy


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
async def test_a_busy_port_names_who_has_it(monkeypatch: pytest.MonkeyPatch, terminal: tuple[int, str]) -> None:
    path = terminal[1]
    program = "import sys, time; f = open(sys.argv[1]); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            facts = await pc.examine(path, SerialPort(path))
            assert facts.kind == "" and str(other.pid) in facts.users
            assert wrong(judge_pc(facts)) == ["port_shared"]

            async def busy(self: SerialPort, factory: object) -> None:
                raise explain(path, OSError(errno.EBUSY, "busy"))

            monkeypatch.setattr(SerialPort, "connect", busy)
            (found,) = judge(await examine(path, SerialPort(path), no))
            assert found.name == "port_busy" and f"pid {other.pid}" in found.text
        finally:
            other.kill()


async def test_what_is_no_serial_port(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = str(tmp_path / "file")
    (found,) = judge_pc(await pc.examine(path, SerialPort(path)))
    assert found.name == "port_unusable" and "openkline ports" in found.remedy


def test_every_trouble_of_a_port_has_words() -> None:
    for kind in ("none", "several", "missing", "forbidden", "busy", "simulator", "other"):
        (found,) = judge_pc(PcFacts("auto", kind=kind, trouble="it is so. Do that"))
        assert found.level == "fault" and found.text == "it is so." and found.remedy.startswith("Do that")


def test_modem_manager_is_kept_away() -> None:
    shared = PcFacts("auto", "/dev/ttyACM0", usb="303A:1001", users="ModemManager (pid 7)")
    found = [one for one in judge_pc(shared) if one.wrong]
    assert 'ATTRS{idVendor}=="303a", ENV{ID_MM_DEVICE_IGNORE}="1"' in found[0].remedy
    found = [one for one in judge_pc(replace(shared, users="minicom (pid 8)")) if one.wrong]
    assert found[0].remedy == "end that program"


# -- the board


async def test_a_silent_board(terminal: tuple[int, str]) -> None:
    path = terminal[1]
    facts = await examine(path, SerialPort(path), no, timeout_s=0.2)
    assert facts.board is not None and facts.link is None
    assert wrong(judge_board(facts.board)) == ["board_silent"]


async def spoken_to(master: int) -> None:
    """Until doctor has opened the port and says something there."""
    readable, _, _ = await asyncio.to_thread(select.select, [master], [], [], 10)
    assert readable


async def test_what_the_board_prints_instead(terminal: tuple[int, str]) -> None:
    master, path = terminal

    async def print_it() -> None:
        await spoken_to(master)
        os.write(master, b"\r\nBrownout detector was triggered\r\n\r\nrst:0xc (SW_CPU_RESET)\r\n")

    facts, _ = await asyncio.gather(examine(path, SerialPort(path), no, timeout_s=0.5), print_it())
    assert facts.board is not None and wrong(judge_board(facts.board)) == ["brown_out"]


@pytest.mark.parametrize(
    ("lines", "prompts", "name"),
    [
        (("Brownout detector was triggered", "rst:0xc", "rst:0xc"), 0, "brown_out"),
        (("invalid header: 0xffffffff", "invalid header: 0xffffffff"), 0, "no_micropython"),
        (("rst:0x1 (POWERON_RESET),boot:0x3 (DOWNLOAD_BOOT)", "waiting for download"), 0, "boot_mode"),
        (("OSError: board.json is missing: flash the board with openkline",), 1, "board_json"),
        (("rst:0xc (SW_CPU_RESET)", "rst:0xc (SW_CPU_RESET)"), 0, "boot_loop"),
        (("rst:0xc (SW_CPU_RESET)", "Traceback (most recent call last):", "MemoryError: 12"), 1, "firmware_fails"),
        (("rst:0x1 (POWERON_RESET)",), 3, "no_firmware"),
        (('File "<stdin>", line 1, in <module>', "NameError: name 'a' isn't defined"), 3, "no_firmware"),
        (("rst:0x1 (POWERON_RESET)",), 0, "board_silent"),
        (("$GPGGA,092750.000,5321.6802,N", ""), 0, "other_program"),
        (("\ufffd\x1b\ufffd" * 9,), 0, "other_program"),
        (("x" * 16,), 0, "board_silent"),
    ],
)
def test_signs_of_a_board_that_does_not_start(lines: tuple[str, ...], prompts: int, name: str) -> None:
    (found,) = judge_board(BoardFacts(lines=lines, prompts=prompts, came=len("".join(lines))))
    assert found.name == name and found.level == "fault" and found.remedy


def test_another_program_is_quoted() -> None:
    for line, quoted in (("temperature 21.5", True), ("\x00\ufffd", False), ("x" * 61, False), ("", False)):
        (found,) = judge_board(BoardFacts(lines=(line, " "), came=17))
        assert (repr(line) in found.text) is quoted and len(found.text) < 180


async def test_an_interface_of_another_kind_is_heard(terminal: tuple[int, str]) -> None:
    """Such as one that puts the bus itself on the port: no text, and no records."""
    master, path = terminal

    async def talk() -> None:
        await spoken_to(master)
        for _ in range(20):
            await asyncio.sleep(0.02)
            os.write(master, bytes.fromhex("80 04 BF 11 01 2B"))

    facts, _ = await asyncio.gather(examine(path, SerialPort(path), no, timeout_s=0.5), talk())
    assert facts.board is not None and wrong(judge_board(facts.board)) == ["other_program"]


@pytest.mark.parametrize(
    ("says", "name"), [(b"ValueError: incompatible .mpy file\r\n", "firmware_fails"), (b"hm\r\n", "board_gone")]
)
async def test_a_board_whose_probe_fails_is_flashed_and_not_given_another_cable(
    monkeypatch: pytest.MonkeyPatch, says: bytes, name: str
) -> None:
    """As with a damaged wire_probe.mpy: an error instead of the first answer. One of its start is another matter."""
    monkeypatch.setattr(calls, "CALL_TIMEOUT_S", 0.2)
    board = FakeBoard()
    board.capabilities |= records.CAN_PROBE
    board.reboot()
    port = FakePort(board)

    def starts(data: bytes) -> bytes:
        board.text = b"ImportError: of its start\r\n"
        port.to_board = no_fault
        return data

    def fail(kind: int, payload: bytes) -> None:
        board.text = says

    port.to_board, board.on_other = starts, fail
    facts = await examine("fake", port, no)
    assert facts.board is not None and facts.board.lines == ("ImportError: of its start",)
    found = [one for one in judge(facts) if one.wrong]
    assert [one.name for one in found] == [name] and found[0].remedy
    assert ("incompatible .mpy" in found[0].text) is (name == "firmware_fails")


async def test_an_old_firmware_is_not_asked_about_the_wire() -> None:
    board = FakeBoard(firmware=(0, 0, 1))
    facts = await examine("fake", FakePort(board), no)
    assert facts.board is not None and facts.link is None
    assert wrong(judge_board(facts.board)) == ["other_version", "no_probe"]


async def test_another_protocol() -> None:
    facts = await examine("fake", FakePort(FakeBoard(protocol=9)), no)
    assert facts.board is not None
    assert wrong(judge_board(facts.board)) == ["versions"]


async def test_a_board_that_goes_away_meanwhile() -> None:
    board = FakeBoard()
    board.capabilities |= records.CAN_PROBE
    board.reboot()
    port = FakePort(board)
    board.on_other = lambda kind, payload: port.unplug()
    facts = await examine("fake", port, no)
    likely = cause(judge(facts))
    assert likely is not None and likely.name == "board_gone", facts


def test_a_healthy_board_and_link() -> None:
    found = judge(Facts(PcFacts("/dev/ttyUSB0", "/dev/ttyUSB0"), BOARD, LINK))
    assert [finding.name for finding in found] == ["port", "board", "files", "room", "link"]
    assert cause(found) is None and not [finding for finding in found if finding.wrong]


def with_files(*states: int, ours: str = "aa") -> BoardFacts:
    files = tuple(BoardFile(f"kline/{i}.mpy", state, "aa") for i, state in enumerate(states))
    return replace(BOARD, files=files, ours={"kline/0.mpy": ours})


def test_files() -> None:
    right = probe.FILE_RIGHT
    assert wrong(judge_board(with_files(right, right))) == []
    assert wrong(judge_board(with_files(right, probe.FILE_WRONG))) == ["files_damaged"]
    assert wrong(judge_board(with_files(probe.FILE_MISSING))) == ["files_damaged"]
    assert wrong(judge_board(with_files(right, ours="bb"))) == ["files_differ"]
    older = replace(INFO, firmware=(0, 0, 9))
    assert wrong(judge_board(replace(with_files(right, ours="bb"), info=older))) == ["other_version"]
    (found,) = [f for f in judge_board(with_files(*[probe.FILE_WRONG] * 9)) if f.wrong]
    assert "9 of its 9" in found.text and found.text.count("kline/") == 3


@pytest.mark.parametrize(
    ("field", "least", "name"), [("heap_free", 24_000, "heap_low"), ("fs_free", 100_000, "file_system_full")]
)
def test_room_at_its_limits(field: str, least: int, name: str) -> None:
    assert wrong(judge_board(replace(BOARD, described={**DESCRIBED, field: least}))) == []
    assert wrong(judge_board(replace(BOARD, described={**DESCRIBED, field: least - 1}))) == [name]


def test_a_slot_that_does_not_start_is_told() -> None:
    in_b = replace(INFO, capabilities=INFO.capabilities | records.RUNS_SLOT_B)
    for info, named, expected in (
        (in_b, "a", ["slot_skipped"]),
        (in_b, "b", []),
        (in_b, None, []),
        (in_b, ["a"], []),
        (INFO, "a", []),  # in no slot, or an older firmware
    ):
        found = wrong(judge_board(replace(BOARD, info=info, described={**DESCRIBED, "named": named})))
        assert found == expected, (info.slot, named)


def test_the_first_update_needs_room_for_a_slot() -> None:
    for slots, room, expected in (
        (1, 400_000, []),
        (1, 399_999, ["file_system_full"]),
        (2, 100_000, []),
        (0, 100_000, []),
    ):
        described = {**DESCRIBED, "slots": slots, "fs_free": room}
        assert wrong(judge_board(replace(BOARD, described=described))) == expected
    blocks = sum(-(-len(data) // 4096) for data in modules.compile_modules().values())
    assert blocks * 4096 <= 300_000


def test_errors_that_the_application_caught() -> None:
    assert wrong(judge_board(replace(BOARD, described={**DESCRIBED, "errors": 1}))) == ["firmware_errors"]


# -- the link


@pytest.mark.parametrize(
    ("link", "names"),
    [
        (LINK, []),
        (LinkFacts((150.0,) * 3), []),
        (LinkFacts((151.0,) * 3), ["link_slow"]),
        (LinkFacts((5.0, 5.0, 900.0)), []),
        (LinkFacts((5.0,), lost=1), ["link_broken"]),
        (LinkFacts((5.0,), wrong=1), ["link_broken"]),
        (LinkFacts((5.0,), board={"link_rx_bad": 1}), ["link_noisy"]),
        (LinkFacts((5.0,), pc={"rx_gaps": 2}), ["link_noisy"]),
        (LinkFacts((5.0,), board={"link_rx_bad": 0}, pc={"rx_gaps": 0}), []),
    ],
)
def test_links(link: LinkFacts, names: list[str]) -> None:
    assert wrong(judge_link(link)) == names


def test_the_payloads_have_all_bytes_and_many_lengths() -> None:
    assert set(b"".join(PAYLOADS)) == set(range(256))
    assert len({len(payload) for payload in PAYLOADS}) >= 5 and max(map(len, PAYLOADS)) <= 150


def test_the_likeliest_cause_is_the_first_fault_and_then_the_first_warning() -> None:
    warning, fault = Finding("a", "board", "warning", ""), Finding("b", "wire", "fault", "")
    other = Finding("c", "wire", "fault", "")
    assert cause([warning, fault, other]) is fault and cause([warning]) is warning
    assert cause([Finding("d", "pc", "ok", ""), Finding("e", "wire", "note", "")]) is None

"""The board: does it answer, what runs on it, are its files whole; and the link to it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from dataclasses import replace
from typing import Any

from kline.protocol.link import probe, records
from openkline.device.device import Device
from openkline.device.repl import is_prompt
from openkline.device.state import State
from openkline.doctor.calls import ProbeCalls, ProbeFailed
from openkline.doctor.facts import BoardFacts, BoardFile, LinkFacts
from openkline.documents import parse_json
from openkline.errors import DeviceRefused
from openkline.firmware import modules

ALL_BYTES = bytes(range(256))
# Payloads that cross a COBS block and the board's window; together all byte values, each at least once.
PAYLOADS = (b"", b"\x00", ALL_BYTES[:128], ALL_BYTES[128:], bytes(150), b"\xff" * 150, ALL_BYTES[1:120])
_MAX_LINES = 200
_COUNTERS_S = 2.0
_BOARD_ERRORS = ("link_rx_bad", "link_rx_gaps", "link_tx_resent", "link_abandoned", "link_queue_full")
_PC_ERRORS = ("rx_bad", "rx_gaps", "tx_resent", "losses")


class Lines(logging.Handler):
    """Keeps what the board says that is no record (device.py logs it), prompts included."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.prompts = 0
        self._logger = logging.getLogger("openkline.board")
        self._level = self._logger.level
        self._propagate = self._logger.propagate

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().removeprefix("board: ")
        if is_prompt(text):
            self.prompts += 1
        elif len(self.lines) < _MAX_LINES:
            self.lines.append(text)

    def __enter__(self) -> Lines:
        self._logger.addHandler(self)
        self._logger.setLevel(logging.DEBUG)
        self._logger.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level)
        self._logger.propagate = self._propagate


async def wait_for(device: Device, heard: Lines, timeout_s: float) -> BoardFacts:
    """Until the board says WELCOME, or has been silent for so long; what it said instead is in .lines."""
    refusal = ""
    try:
        await device.wait_for(State.READY, State.WAITING, timeout_s=timeout_s)
    except TimeoutError:
        pass
    except DeviceRefused as error:
        refusal = str(error)
    info = device.info if device.state is State.READY else None
    can_probe = info is not None and bool(info.capabilities & records.CAN_PROBE)
    return BoardFacts(info, refusal, tuple(heard.lines), heard.prompts, device.counters.bytes_in, can_probe)


async def examine(board: BoardFacts, calls: ProbeCalls) -> BoardFacts:
    """What the board says of itself and of its files. ProbeFailed."""
    described = await describe(calls)
    files = await _files(calls)
    ours = await asyncio.get_running_loop().run_in_executor(None, _ours) if files is not None else {}
    return replace(board, described=described, files=files, ours=ours)


async def describe(calls: ProbeCalls) -> dict[str, Any]:
    """OP_BOARD's fields."""
    text = b""
    code = probe.PROBE_DONE
    while code == probe.PROBE_DONE:
        code, part = await calls.call(probe.OP_BOARD, bytes((len(text) // probe.BOARD_PART,)))
        text += part or b""
    try:
        found = parse_json(text)
    except ValueError as error:
        raise ProbeFailed(f"the board's description of itself is not JSON ({error})") from None
    assert isinstance(found, dict)
    return found


async def _files(calls: ProbeCalls) -> tuple[BoardFile, ...] | None:
    """The board hashes its files again, one each call; None: its modules are in no slot."""
    found: list[BoardFile] = []
    while True:
        code, data = await calls.call(probe.OP_FILE, len(found).to_bytes(2, "little"))
        if code == probe.PROBE_NO_MORE:
            return None if data else tuple(found)
        if data is not None:
            found.append(BoardFile(data[33:].decode("utf-8", "replace"), data[0], data[1:33].hex()))


def _ours() -> dict[str, str]:
    """SHA-256 of the modules that this openkline would flash; {} when they can't be compiled here."""
    try:
        return {path: hashlib.sha256(data).hexdigest() for path, data in modules.compile_modules().items()}
    except modules.ModuleError:
        return {}


async def count(device: Device) -> dict[str, int]:
    """The board's counters as they are now; those it had when it doesn't answer in time."""
    had_s = device.board_counted_s
    device.send_record(records.COUNTERS_REQUEST, b"")
    loop = asyncio.get_running_loop()
    until_s = loop.time() + _COUNTERS_S
    while device.board_counted_s == had_s and loop.time() < until_s:
        await asyncio.sleep(0.01)
    return dict(device.board_counters)


async def try_link(device: Device, calls: ProbeCalls) -> LinkFacts:
    """Round trips of records of different lengths, and the error counters of both ends before and after."""
    board, pc = await count(device), device.link.counters()
    took_ms, lost, wrong = [], 0, 0
    for payload in PAYLOADS:
        begun_s = time.monotonic()
        try:
            answer = await calls.ask(probe.OP_LINK_ECHO, payload)
        except ProbeFailed:
            lost += 1
            continue
        took_ms.append((time.monotonic() - begun_s) * 1000)
        wrong += answer != payload
    board_now, pc_now = await count(device), device.link.counters()
    return LinkFacts(
        tuple(took_ms),
        lost,
        wrong,
        board={name: board_now.get(name, 0) - board.get(name, 0) for name in _BOARD_ERRORS},
        pc={name: pc_now[name] - pc[name] for name in _PC_ERRORS},
    )

"""The ELM327 through everything: TCP, the server, the real firmware in real time, ECUs on the virtual wire."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from tests.ports import free_port

from openkline.device.device import Device
from openkline.device.port import SimPort
from openkline.device.sim import SimOptions
from openkline.elm.backend import BoardLine
from openkline.elm.options import ElmOptions
from openkline.elm.server import ElmServer
from openkline.obd.session import SETTINGS

from .daemon import bridge, command
from .rig import ROOT, sim_device, until

VECTORS = ROOT / "tests" / "vectors"


class Phone:
    """An app: one command at a time, each answer up to the prompt."""

    @classmethod
    async def connect(cls, port: int) -> Phone:
        phone = cls()
        phone.reader, phone.writer = await asyncio.open_connection("127.0.0.1", port)
        return phone

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, line: str, timeout_s: float = 20) -> bytes:
        self.writer.write(line.encode() + b"\r")
        return await self.read(timeout_s)

    async def read(self, timeout_s: float = 20, end: bytes = b">") -> bytes:
        async with asyncio.timeout(timeout_s):
            return await self.reader.readuntil(end)

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


def busy(server: ElmServer) -> bool:
    """The client that drives waits for the car."""
    driver = server.driver
    return driver is not None and driver.session is not None and driver.session.busy


# Run by boards/SIM/boot.py --script on MicroPython: a line for each burst that the board itself sends.
WATCH = """
board = [driver for driver in w.wire.drivers if driver.name == "board"][0]
last_us = [-1000000]

def edge(level):
    if not board.level and not level:
        if w.now - last_us[0] > 30000:
            with open({path!r}, "a") as f:
                f.write("%d\\n" % w.now)
        last_us[0] = w.now

w.wire.listeners.append(edge)
"""


@contextlib.asynccontextmanager
async def elm(
    car: str, *words: str, uncounted_refusals: bool = False
) -> AsyncIterator[tuple[ElmServer, Device, SimPort]]:
    async with sim_device(SimOptions(car=car, extra=words), SETTINGS) as (device, port):
        server = ElmServer(BoardLine(device), ElmOptions(port=0, uncounted_refusals=uncounted_refusals))
        await server.start()
        try:
            yield server, device, port
        finally:
            await server.stop()


async def test_engine_and_gearbox_over_kwp() -> None:
    async with elm("kwp_fast") as (server, device, port):
        phone = await Phone.connect(server.port)
        assert await phone.ask("ATZ") == b"ATZ\r\r\rELM327 v1.5\r\r>"
        assert await phone.ask("ATE0") == b"ATE0\rOK\r\r>"
        await phone.ask("ATSP5")
        assert await phone.ask("0100") == b"BUS INIT: OK\r41 00 80 08 00 00 \r41 00 98 3E 80 03 \r\r>"
        assert await phone.ask("ATKW") == b"1:E9 2:8F\r\r>"
        await phone.ask("ATH1")
        # The gearbox speaks first, and knows no such value; checksums as they were on the wire.
        assert re.fullmatch(rb"83 F1 18 7F 01 12 1E \r84 F1 10 41 0C (.. ){3}\r\r>", await phone.ask("010C"))
        await phone.ask("ATH0")
        # The freeze frame, on its bytes: python-OBD asks without a number of the frame, and decodes it wrongly.
        assert await phone.ask("02 02 00") == b"42 02 00 00 00 \r42 02 00 01 33 \r\r>"
        assert await phone.ask("02 0C 00") == b"7F 02 12 \r42 0C 00 1F 40 \r\r>"
        # One ECU alone, by its own address.
        await phone.ask("ATSH 81 10 F1")
        assert await phone.ask("02 05 00 1") == b"42 05 00 7B \r\r>"
        assert await phone.ask("03") == b"43 01 33 00 00 00 00 \r\r>"
        assert await phone.ask("0902 5") == (
            b"49 02 01 00 00 00 31 \r49 02 02 4D 38 47 44 \r49 02 03 4D 39 41 58 \r"
            b"49 02 04 4B 50 30 34 \r49 02 05 32 37 38 38 \r\r>"
        )
        # Only listening, and back; the session has been kept.
        phone.writer.write(b"ATMA\r")
        await until(lambda: busy(server))
        assert await phone.ask("") == b"STOPPED\r\r>"
        assert await phone.ask("04") == b"44 \r\r>"
        assert await phone.ask("ATRV") == b"12.0V\r\r>"
        # The board's reset button (the virtual car begins anew, too): the client goes on.
        port.board.reset()
        await until(lambda: device.counters.reboots == 1)
        assert await phone.ask("03") == b"BUS INIT: OK\r43 01 33 00 00 00 00 \r\r>"
        await phone.close()


async def test_frames_that_come_60_ms_apart_are_this_requests_answer_and_no_others() -> None:
    async with elm(str(VECTORS / "vin_frames_60ms_late.json")) as (server, _, _):
        phone = await Phone.connect(server.port)
        for line in ("ATE0", "ATSP5", "0100"):
            await phone.ask(line)
        for _ in range(2):
            lines = (await phone.ask("0902")).split(b"\r")
            assert [line[:8] for line in lines[:5]] == [b"49 02 %02d" % n for n in range(1, 6)], lines
            assert await phone.ask("010C") == b"41 0C 0D 20 \r\r>"
            assert await phone.ask("010D1") == b"41 0D 39 \r\r>"
        # Who doesn't wait for the rest: it is no answer to what is asked then.
        await phone.ask("0902 1")
        for line, answer in (("010C", b"41 0C 0D 20 "), ("010D1", b"41 0D 39 ")):
            lines = (await phone.ask(line)).split(b"\r")
            assert set(lines[:-2]) <= {answer, b"NO DATA"}, lines
        await phone.close()


async def test_a_count_of_one_where_the_gearbox_is_first() -> None:
    for uncounted, answer in ((False, b"7F 01 12 \r\r>"), (True, b"7F 01 12 \r41 0C ")):
        async with elm("kwp_fast", uncounted_refusals=uncounted) as (server, _, _):
            phone = await Phone.connect(server.port)
            for line in ("ATE0", "ATSP5", "0100"):
                await phone.ask(line)
            assert (await phone.ask("010C1")).startswith(answer)
            await phone.close()


async def test_an_ecu_that_needs_400_ms_is_waited_for_with_at_st(tmp_path: Path) -> None:
    car = json.loads((VECTORS / "vin_frames_60ms_late.json").read_text())
    car["ecus"][0]["rules"] = [{"request": "01 0C", "delay_ms": 400}]
    (tmp_path / "car.json").write_text(json.dumps(car))
    async with elm(str(tmp_path / "car.json")) as (server, _, _):
        phone = await Phone.connect(server.port)
        for line in ("ATE0", "ATSP5", "0100"):
            await phone.ask(line)
        assert await phone.ask("010C") == b"NO DATA\r\r>"
        await phone.ask("ATST 96")
        # Asked while the ECU still owes the other answer, it may not be heard; that answer is not its.
        assert await phone.ask("010D") in (b"NO DATA\r\r>", b"41 0D 39 \r\r>")
        assert await phone.ask("010D") == b"41 0D 39 \r\r>"
        for adaptive in ("ATAT0", "ATAT1", "ATAT2"):
            await phone.ask(adaptive)
            assert await phone.ask("010C") == b"41 0C 0D 20 \r\r>"
        await phone.close()


async def test_nothing_goes_out_that_nobody_asked_for(tmp_path: Path) -> None:
    script, sent = tmp_path / "watch.py", tmp_path / "sent"
    script.write_text(WATCH.format(path=str(sent)))
    sent.touch()

    def bursts() -> int:
        return len(sent.read_text().splitlines())

    async with elm("kwp_fast", "--script", str(script)) as (server, _, _):
        phone = await Phone.connect(server.port)
        # What apps begin with touches the board, but not the car.
        for line in ("ATZ", "ATE0", "ATI", "ATRV", "ATPC", "ATSW 19", "ATSP5", "ATDPN", "ATIGN", "STI"):
            await phone.ask(line)
        assert bursts() == 0
        await phone.ask("010C")
        asked = bursts()
        assert asked >= 2  # StartCommunication, request
        await until(lambda: bursts() >= asked + 2, "no keep-alive each 0.5 s")
        await phone.close()
        await until(lambda: server.driver is None and not server.changing)
        ended = bursts()
        other = await Phone.connect(server.port)
        assert await other.ask("ATI") == b"ATI\rELM327 v1.5\r\r>"
        await asyncio.sleep(1.6)  # three keep-alives' time
        assert bursts() == ended
        await other.close()


async def test_a_client_that_goes_in_the_middle_of_an_initialisation() -> None:
    async with elm("iso9141") as (server, _, _):
        first = await Phone.connect(server.port)
        first.writer.write(b"ATSP3\r010C\r")
        await first.read(end=b"BUS INIT: ...")
        await asyncio.sleep(0.9)  # in the middle of the address, which takes 2 s after 0.3 s of silence
        await first.close()
        second = await Phone.connect(server.port)
        await second.ask("ATE0")
        await second.ask("ATSP3")
        second.writer.write(b"010C\r")
        await second.read(end=b"BUS INIT: ...")
        await asyncio.sleep(0.5)  # in the middle of W5 and the address
        second.writer.write(b" ")
        assert await second.read(5) == b"STOPPED\r\r>"
        assert re.fullmatch(rb"BUS INIT: \.\.\.OK\r41 0C .. .. \r\r>", await second.ask("010C"))
        assert await second.ask("012F") == b"NO DATA\r\r>"
        second.writer.write(b"010C\r")
        await until(lambda: busy(server))
        second.writer.write(b"x")
        assert await second.read() == b"STOPPED\r\r>"
        assert re.fullmatch(rb"41 0C .. .. \r\r>", await second.ask("010C1"))
        await second.close()


async def test_the_program_says_where_it_listens_and_ends_when_told() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "openkline", "elm327", "-d", "sim", "--car", "none", "--listen", "127.0.0.1:0", "--pty",
        "--voltage", "13.8", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.timeout(30):
            path = (await process.stdout.readline()).decode().strip()
            said = (await process.stderr.readuntil(b"firmware")).decode()  # the board has answered
        assert path in said
        found = re.search(r"127\.0\.0\.1:(\d+)", said)
        assert found is not None
        phone = await Phone.connect(int(found[1]))
        assert await phone.ask("ATRV") == b"ATRV\r13.8V\r\r>"
        await phone.ask("ATE0")
        await phone.ask("ATSP5")
        assert await phone.ask("010C") == b"BUS INIT: ERROR\r\r>"
        await phone.close()
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        os.close(fd)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            rest = (await process.stderr.read()).decode()
            assert await process.wait() == 0
        assert "no ECU answered the fast initialisation" in rest and "Traceback" not in rest
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def test_as_part_of_the_bridge() -> None:
    port = free_port()
    async with bridge("--elm327", str(port), "--car", "kwp_fast") as running:
        assert f"elm327   127.0.0.1:{port}".encode() in running.err
        await until(lambda: b"firmware" in running.err, "the board has answered")
        phone = await Phone.connect(port)
        await phone.ask("ATE0")
        await phone.ask("ATSP5")
        assert (await phone.ask("0105")).startswith(b"BUS INIT: OK\r")
        assert (await running.status())["device"]["state"] == "ready"
        status, _, err = await command("send", "-p", str(running.port), "68 18 01")
        assert status == 5 and b"an ELM327 on a K-line" in b" ".join(err.split()), err
        assert await running.end() == 0

"""What apps send to an ELM327 when they connect, in their order, to a virtual car over TCP; one app after the other.

Sources: Car Scanner: its log in wican-fw issue 508. ELMConfig: the MK4 wiki (startup_connect_elm327). AndrOBD: ElmProt
in its sources. FORScan: a list of the commands in v2.3.70. pyren, ddt4all (Renault): init_iso and set_iso_addr in their
sources, with the address of the virtual engine.
"""

from __future__ import annotations

import re

from .test_elm import Phone, elm

OK, NONE = rb"OK\r\r>", rb"\?\r\r>"
IDENTITY = rb"\r\rELM327 v1.5\r\r>"
Step = str | tuple[str, bytes]  # where only the command stands, it is answered with OK
CAR_SCANNER: list[Step] = [
    ("ATZ", rb"ATZ\r" + IDENTITY), ("ATE0", rb"ATE0\r" + OK), ("STI", NONE), ("VTI", NONE), "ATD", "ATD0", "ATE0",
    "ATH1", "ATSP5", "ATE0", "ATH1", "ATM0", "ATS0", "ATAT1", "ATAL", "ATST64",
    ("0100", rb"BUS INIT: OK\r86F1184100800800005.\r86F1104100983E8003..\r\r>"), ("ATDPN", rb"5\r\r>"),
    ("0902", rb"83F1187F091226\r(87F110490205?[0-9A-F]*\r){5}\r>"), ("ATRV", rb"12.0V\r\r>"),
]  # fmt: skip
ELM_CONFIG: list[Step] = [
    ("ATWS", rb"ATWS\r" + IDENTITY), ("ATL0", rb"ATL0\r" + OK), ("ATE0", rb"ATE0\r" + OK), ("STI", NONE),
    ("ATPPS", rb"00:FF F  01:FF F  02:FF F  03:32 F\r(..:.. [NF]  ){3}(..:.. [NF](  |\r)){41}\r>"), ("AT@2", NONE),
]  # fmt: skip
ANDROBD: list[Step] = [
    ("ATZ", rb"ATZ\r" + IDENTITY), ("ATE0", rb"ATE0\r" + OK), "ATL0", "ATS0", "ATAT0", "ATST32", "ATSP5", "ATH1",
    ("0100", rb"BUS INIT: OK\r86F118.*\r86F110.*\r\r>"), "ATH0", "ATCRA7E8", "ATCRA", "ATST31",
    ("010C", rb"7F0112\r410C....\r\r>"), ("ATLP", rb"OK"), (" ", IDENTITY),
]  # fmt: skip
FORSCAN: list[Step] = [
    ("ATZ", rb"ATZ\r" + IDENTITY), ("ATI", rb"ATI\rELM327 v1.5\r\r>"), ("ATE0", rb"ATE0\r" + OK), "ATL0", "ATH1",
    "ATS0", ("AT@2", NONE), "ATPP2ASV38", "ATPP2AON", "ATPP2CSV81", "ATPP2CON", "ATPP2DSV04", "ATPP2DON", "ATTPB",
    "ATAL", "ATSH0007E0", "ATCRA7E8", "ATCEA", ("0100", rb"CAN ERROR\r\r>"), "ATPC", "ATTP3", ("ATRD", rb"00\r\r>"),
]  # fmt: skip
PYREN: list[Step] = [
    ("\r", rb"\r\?\r\r>"), ("at ws", rb"at ws\r" + IDENTITY), ("at e0", rb"at e0\r" + OK), "at s1", "at h0", "at d1",
    "at al", "at kw0", "at sh 81 10 f1", "at sw 96", "at wm 81 10 f1 3E", "at ib10", "at st ff", "at at 0", "at sp 5",
    ("at fi", rb"BUS INIT: OK\r\r>"), "at at 1", ("81", rb"C1 E9 8F \r\r>"), ("0105", rb"41 05 .. \r\r>"),
    ("10C0", rb"7F 10 (11|12) \r\r>"), ("at bd", rb"07 83 F1 10 7F 10 (.. ){7}\r\r>"), ("at cs", rb"T:00 R:00\r\r>"),
    ("82", rb"C2 \r\r>"),
]  # fmt: skip


async def test_apps_are_answered_as_by_the_chip() -> None:
    async with elm("kwp_fast") as (server, _, _):
        for app in (CAR_SCANNER, ELM_CONFIG, ANDROBD, FORSCAN, PYREN):
            phone = await Phone.connect(server.port)
            for step in app:
                command, expected = (step, OK) if isinstance(step, str) else step
                phone.writer.write(command.removesuffix("\r").encode() + b"\r")
                answer = await phone.read(end=b"OK" if expected == rb"OK" else b">")
                assert re.fullmatch(expected, answer), (command, answer)
            await phone.close()

"""What real cars do, and the test that fails when the firmware no longer cares.

Each row takes one behaviour out of a copy of the firmware and names the test that notices. `make soak` does all of it
(a minute); `make test` checks that the table still fits the source, and does one row.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KLINE = ROOT / "firmware" / "kline"


@dataclass(frozen=True)
class Row:
    """file is below firmware/kline; `removed` stands there once, and `instead` takes its place."""

    situation: str
    file: str
    removed: str
    instead: str
    test: str


ROWS = (
    Row("several ECUs answer, and the first is the wrong one: the best answer has data",
        "protocol/obd/requests.py",
        "            if answer.ok():\n                return answer\n        return self.answers[0]",
        "            return answer\n        return self.answers[0]",
        "mpy_obd_requests.test_the_gearbox_refuses_before_the_engine_answers"),
    Row("keep listening until P2max",
        "device/obd/init.py", "                tell(assembly.request, frame)\n            frame = parser.take(told)\n",
        "                tell(assembly.request, frame)\n            return\n",
        "mpy_obd_requests.test_the_gearbox_refuses_before_the_engine_answers"),
    Row("answers are grouped by ECU",
        "protocol/obd/requests.py", "            if answer.ecu == ecu:\n", "            if True:\n",
        "mpy_obd_requests.test_the_gearbox_refuses_before_the_engine_answers"),
    Row("two ECUs answer the fast initialisation",
        "device/obd/init.py", "session.ecus = [answer.ecu for answer in assembly.positive()]",
        "session.ecus = [best.ecu]", "mpy_obd_init.test_two_ecus_answer_the_fast_init"),
    Row("NRC 78: keep waiting",
        "protocol/obd/requests.py", "        return self._any(nrc.RESPONSE_PENDING)", "        return False",
        "mpy_obd_requests.test_pending_is_waited_for"),
    Row("NRC 78: up to P3max, for each one",
        "protocol/obd/requests.py", "    return 5_000_000 if timing.p3_max_us == NO_LIMIT else timing.p3_max_us",
        "    return 200_000", "mpy_obd_requests.test_pending_is_waited_for"),
    Row("NRC 21: ask again",
        "protocol/obd/requests.py", "        return self._any(nrc.BUSY_REPEAT_REQUEST)", "        return False",
        "mpy_obd_requests.test_busy_is_asked_again"),
    Row("a VIN is five numbered frames, and never half of them",
        "protocol/obd/answers.py", "join_numbered(answer.frames, VIN_FRAMES if request[1] == VIN else 0)",
        'b"".join([frame[2:] for frame in answer.frames])',
        "mpy_obd_requests.test_a_vin_with_a_frame_missing_is_no_vin"),
    Row("trouble codes come three to a frame, without a count",
        "protocol/obd/dtc.py", "for i in range(0, len(data) - 1, 2)", "for i in range(1, len(data) - 1, 2)",
        "mpy_obd_diagnostics.test_monitors_and_codes"),
    Row("silence to mode 03 means no codes only where PID 01 says zero",
        "protocol/obd/questions.py", "            if len(found.get(ecu, ())) != said[ecu].codes:\n",
        "            if False:\n",
        "mpy_obd_diagnostics.test_no_codes_is_only_believed_where_pid_01_agrees"),
    Row("a stray 00 between echo and answer",
        "protocol/obd/kwp.py", "            if size == 0:\n                return None\n            self._drop(1)\n",
        "            return None\n",
        "mpy_obd_requests.test_a_stray_low_between_echo_and_answer"),
    Row("a stray 00, and silence: that is no damage",
        "device/obd/exchange.py", "parser.dropped_bytes - dropped > 1", "parser.dropped_bytes != dropped",
        "mpy_obd_requests.test_a_stray_low_is_no_damaged_answer"),
    Row("answers without a gap between them (ISO 9141: no length either)",
        "protocol/obd/kwp.py", "                if (not left and ended) or self._header_follows(last + 1, left):",
        "                if not left and ended:", "mpy_obd_requests.test_concatenated_answers"),
    Row("48 is not length 8",
        "protocol/obd/kwp.py",
        "        if mode == EXCEPTION:\n            return self._size_iso9141(start, n, ended)\n",
        "", "mpy_obd_requests.test_values_on_all_three"),
    Row("keep-alive by protocol: 01 00 on ISO 9141",
        "protocol/obd/requests.py",
        '    return b"\\x01\\x00" if key.protocol == ISO_9141 else b"\\x3e"', '    return b"\\x3e"',
        "mpy_obd_requests.test_keep_alive_by_protocol"),
    Row("the session ends after P3max",
        "device/obd/tester.py", "        return p3_max_us != timing.NO_LIMIT and ", "        return False and ",
        "mpy_obd_requests.test_p3max_ends_the_session_and_the_next_request_begins_a_new_one"),
    Row("the tester hears what it sends, and what others do to it",
        "device/obd/line.py", "        if echo != byte:\n", "        if False:\n",
        "mpy_obd_requests.test_damage_to_our_own_bytes_is_noticed_in_the_echo"),
    Row("no thinking beyond P3min",
        "device/obd/exchange.py", "pause_steps(times.p3_min_us)", "pause_steps(250_000)",
        "mpy_obd_service.test_rate_of_requests_through_the_link"),
    Row("key bytes are not equal, and stand in either order",
        "protocol/obd/keybytes.py", "    for key, other in ((first, second), (second, first)):",
        "    for key, other in ((first, first), (second, second)):",
        "mpy_obd_init.test_key_bytes_unequal_swapped_unknown"),
    Row("key bytes decide about the header",
        "protocol/obd/kwp.py", "    if key.protocol == ISO_9141:\n        return encode_iso9141(data)\n", "",
        "mpy_obd_requests.test_values_on_all_three"),
    Row("94 94: P2min is 0",
        "protocol/obd/keybytes.py", "first in (0x08, 0x94)", "first in (0x08,)",
        "mpy_obd_init.test_key_bytes_unequal_swapped_unknown"),
    Row("the rate is that of the sync byte",
        "device/obd/init.py", "    baud = measure_sync(line, until_us)\n", "    baud = 10_400\n",
        "mpy_obd_init.test_other_rates_are_measured_from_the_sync_byte"),
    Row("another address than 33",
        "device/obd/line.py", "        word = address << 1 | 0x200\n", "        word = 0x33 << 1 | 0x200\n",
        "mpy_obd_init.test_another_address"),
    Row("W5 and a whole restart: an ECU that has not noticed the loss",
        "device/obd/tester.py", "            yield from self.line.quiet_steps(_RESTART_IDLE_US)\n", "",
        "mpy_obd_requests.test_the_second_round_comes_after_p3max"),
    Row("a parked car is left to sleep",
        "device/obd/tester.py", "        if self._failures and 0 <= waited_ms < pause_s * 1000:", "        if False:",
        "mpy_obd_requests.test_ignition_off_and_on"),
    Row("a wrong checksum is asked again",
        "device/obd/exchange.py", "    return cut or assembly.broken or parser.dropped_bytes - dropped > 1",
        "    return False",
        "mpy_obd_requests.test_a_wrong_checksum_is_asked_again"),
    Row("an answer to another question",
        "protocol/obd/requests.py", "        if data[0] != request[0] | 0x40 or not self._repeats(data):",
        "        if data[0] != request[0] | 0x40:",
        "mpy_obd_requests.test_an_answer_to_another_question_is_not_taken"),
    Row("several ECUs: an answer that was damaged is missed, though another one was whole",
        "device/obd/exchange.py", "elif not late and (assembly.enough() or not damaged",
        "elif not late and (assembly.positive() or not damaged",
        "mpy_obd_diagnostics.test_a_damaged_answer_is_not_passed_over_because_another_ecu_has_answered"),
    Row("several ECUs: one that says nothing any more is not without codes",
        "protocol/obd/questions.py",
        "        if service == requests.STORED and without_a_word(known, said, assembly):\n", "        if False:\n",
        "mpy_obd_diagnostics.test_an_ecu_that_says_nothing_any_more_is_not_without_codes"),
    Row("several ECUs: the freeze frame is the one of the ECU that has it",
        "protocol/obd/questions.py", "pids.decode(pid, frozen.get(ecu, b\"\"))",
        "pids.decode(pid, list(frozen.values())[0])",
        "mpy_obd_diagnostics.test_the_freeze_frame_is_the_one_of_the_ecu_that_has_it"),
    Row("keep-alive does not wake a car whose session is over",
        "device/obd/tester.py", "        if self.alive() and self.idle_ms() >= after_ms:",
        "        if self.initialized and self.idle_ms() >= after_ms:",
        "mpy_obd_requests.test_keep_alive_never_opens_a_session"),
    Row("a refusal that comes too late is not the next request's",
        "device/obd/exchange.py", "late = before is not None and assembly.late(before)", "late = False",
        "mpy_obd_late.test_a_late_answer_is_not_the_next_requests"),
    Row("an answer that comes too late: the request after it was not heard, and is asked again",
        "protocol/obd/requests.py", "        self.broken = True\n        return FOREIGN\n", "        return FOREIGN\n",
        "mpy_obd_late.test_a_late_answer_is_not_the_next_requests"),
    Row("P3min counts from whatever was last on the line",
        "device/obd/line.py", "        came = self.ignore()\n", "        came = False\n",
        "mpy_obd_late.test_p3_counts_from_a_late_answer"),
    Row("nobody is interrupted",
        "device/obd/line.py", "            if self.ignore():\n", "            if False:\n",
        "mpy_obd_late.test_a_request_waits_for_the_end_of_a_late_answer"),
    Row("P3max counts from the last byte",
        "device/obd/tester.py", "-(ticks_diff(ticks_us(), self.line.last_end_us) // 1000)", "0",
        "mpy_obd_late.test_p3max_counts_from_the_last_byte"),
    Row("TesterPresent may be no service of the car",
        "device/obd/tester.py", "if not session.legislated():\n            data = ", "if True:\n            data = ",
        "mpy_obd_late.test_a_car_without_tester_present_keeps_its_session"),
    Row("one ECU resets while another goes on",
        "device/obd/exchange.py", "            if not assembly.broken and [", "            if False and [",
        "mpy_obd_late.test_one_ecu_resets_while_another_goes_on"),
    Row("a restart takes 5 s of silence, and not 4",
        "device/obd/tester.py", "_RESTART_IDLE_US = 5_100_000", "_RESTART_IDLE_US = 4_000_000",
        "mpy_obd_late.test_the_second_round_is_over_5_s_after_the_first"),
    Row("an ECU that wakes up within the address takes its middle for the beginning",
        "device/obd/tester.py", "= unanswered + 1 if error.code == errors.NO_SYNC else 0", "= 0",
        "mpy_obd_late.test_an_ecu_that_wakes_up_within_the_address"),
    Row("fast initialisation at the rate of the profile",
        "device/obd/tester.py", "            if kind == SLOW or baud == self._home_baud:", "            if True:",
        "mpy_obd_late.test_a_profile_knows_the_rate_of_a_fast_initialisation"),
    Row("several PIDs in one answer: fuel trims of four banks",
        "protocol/obd/multi.py", "        return two\n", "        return None\n",
        "mpy_obd_multi.test_fuel_trims_of_a_car_with_four_banks"),
)  # fmt: skip

ids = [row.situation.split(":")[0].replace(" ", "-") + f"-{i}" for i, row in enumerate(ROWS)]


def run(firmware: Path, test: str, folder: Path) -> subprocess.CompletedProcess[str]:
    module, function = test.split(".")
    parts = (ROOT / "tests/device", ROOT / "boards/SIM/port", ROOT / "boards/SIM", firmware, ".frozen")
    program = os.environ.get("MICROPYTHON") or str(Path(sys.executable).parent / "micropython")
    return subprocess.run(
        [program, "-X", "heapsize=16M", "-c", f"__import__({module!r}).{function}()"],
        env=dict(os.environ, MICROPYPATH=":".join(map(str, parts)), OPENKLINE_ROOT=str(ROOT)),
        cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=120,
    )  # fmt: skip


def notices(row: Row, tmp_path: Path) -> None:
    copy = tmp_path / "firmware"
    shutil.copytree(ROOT / "firmware", copy)
    path = copy / "kline" / row.file
    path.write_text(path.read_text().replace(row.removed, row.instead))
    done = run(copy, row.test, tmp_path)
    assert done.returncode != 0, f"{row.test} does not notice: {row.situation}"
    assert "SyntaxError" not in done.stderr and "ImportError" not in done.stderr, done.stderr


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_the_table_fits_the_source(row: Row) -> None:
    assert (KLINE / row.file).read_text().count(row.removed) == 1, row
    module, function = row.test.split(".")
    assert f"def {function}(" in (ROOT / "tests/device" / f"{module}.py").read_text()


def test_one_is_noticed(tmp_path: Path) -> None:
    notices(ROWS[0], tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_each_is_noticed(row: Row, tmp_path: Path) -> None:
    notices(row, tmp_path)

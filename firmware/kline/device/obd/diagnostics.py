"""What a mechanic asks: live values, monitors, trouble codes, freeze frame, VIN; on a KLineObd2.

Each method has a twin in _steps (see obd/tester.py). Results that several ECUs have are dicts by ECU address. Nothing
here mistakes a refusal or silence for a value: live() raises ObdError, and codes() says whether it is certain.
"""

from kline.device.obd import errors
from kline.device.obd.errors import ObdError
from kline.device.obd.line import drain
from kline.protocol.obd import pids, requests
from kline.protocol.obd.multi import MultiPids
from kline.protocol.obd.nrc import name
from kline.protocol.obd.words import describe, monitor_status

_TRIES = 3
_LAST_BITMAP = 0xE0


class Diagnostics:
    """Works on the session of `tester`, a KLineObd2."""

    def __init__(self, tester):
        self.tester = tester
        self._multi = None
        self._multi_of = None  # the session that it was learned in

    # -- live data ---------------------------------------------------------------------------------------------------

    def supported(self):
        """PidSet of mode 01, of all ECUs together; also kept in the session."""
        return drain(self.supported_steps())

    def supported_steps(self):
        """supported() in steps."""
        base = 0
        while base <= _LAST_BITMAP:
            assembly = yield from self.tester.request_steps(bytes((requests.LIVE, base)))
            found = self.tester.session.supported
            for answer in assembly.positive():
                found.add_bitmap(base, answer.frames[0], 1)
            base += 32
            if base not in found:
                break
        return self.tester.session.supported

    def live(self, pid):
        """The pids.Values of one PID. ObdError REFUSED (with the reason), SILENT or DAMAGED."""
        return drain(self.live_steps(pid))

    def live_steps(self, pid):
        """live() in steps."""
        assembly = yield from self.tester.request_steps(bytes((requests.LIVE, pid)))
        values = pids.decode(pid, _data(assembly))
        if not values:
            raise ObdError(errors.SILENT, "with as much data as PID %02X has" % pid)
        return values

    def live_all(self, wanted):
        """A round of live values: {pid: [pids.Value]}; as many PIDs in one request as the ECU takes.

        A PID that is refused or not answered has values of None.
        """
        return drain(self.live_all_steps(wanted))

    def live_all_steps(self, wanted):
        """live_all() in steps."""
        tester = self.tester
        if tester.session is not None and tester.session is not self._multi_of:
            self._multi = MultiPids(tester.session.key)
            self._multi_of = tester.session
        found = {}
        for group in self._multi.groups(list(wanted)) if self._multi else ():
            if len(group) > 1:
                assembly = yield from tester.request_steps(requests.multi_request(group))
                found.update(self._multi.read(group, assembly.answers))
        values = {}
        for pid in wanted:
            data = found.get(pid)
            if data is None:
                request = bytes((requests.LIVE, pid))
                answer = (yield from tester.request_steps(request)).best()
                data = requests.payload(request, answer) if answer else None
            values[pid] = pids.decode(pid, data or b"") or [pids.Value(field, None) for field in pids.fields(pid)]
        return values

    # -- monitors and codes ------------------------------------------------------------------------------------------

    def monitors(self):
        """{ecu: MonitorStatus} of those that have PID 01."""
        return drain(self.monitors_steps())

    def monitors_steps(self):
        """monitors() in steps."""
        found = {}
        assembly = yield from self.tester.request_steps(b"\x01\x01")
        for answer in assembly.positive():
            one = monitor_status(answer.frames[0], 1)
            if one is not None:
                found[answer.ecu] = one
        return found

    def codes(self, service=requests.STORED):
        """({ecu: [codes]}, certain): stored (03), pending (07) or permanent (0A) codes.

        Silence means "none" only where PID 01 says zero, and the number of stored codes has to fit PID 01's, for each
        ECU that is known: else it is asked again, and `certain` is False when it stays so. Of pending and permanent
        codes PID 01 says nothing: there `certain` means that somebody answered.
        """
        return drain(self.codes_steps(service))

    def codes_steps(self, service=requests.STORED):
        """codes() in steps."""
        for _ in range(_TRIES):
            monitors = {}
            if service == requests.STORED:
                monitors = yield from self.monitors_steps()
            assembly = yield from self.tester.request_steps(bytes((service,)))
            found = {}
            for answer in assembly.positive():
                found[answer.ecu] = requests.codes(answer)
            certain = bool(found or monitors) and not assembly.broken
            known = self.tester.session.ecus if service == requests.STORED else ()
            if requests.without_a_word(known, monitors, assembly):
                certain = False
            for ecu in monitors:
                listed = found.get(ecu, [])
                if requests.judge_codes(len(listed), ecu in found, monitors[ecu].codes) == requests.UNCERTAIN:
                    certain = False
            if certain:
                break
        return found, certain

    def clear(self, sure=False):
        """Erase codes, freeze frames and monitors' results in all ECUs: {ecu: nrc, 0 = done}. Wants sure=True."""
        return drain(self.clear_steps(sure))

    def clear_steps(self, sure=False):
        """clear() in steps."""
        if not sure:
            raise ObdError(
                errors.NOT_ALLOWED,
                "clear(sure=True) erases all trouble codes, the freeze frame and the readiness of the monitors",
            )
        assembly = yield from self.tester.request_steps(bytes((requests.CLEAR,)))
        _answer(assembly)
        return {answer.ecu: answer.nrc for answer in assembly.answers}

    def freeze_frame(self):
        """(code that stored it, [pids.Value]) of the first ECU that has one; None where all that answer say no.

        ObdError REFUSED, SILENT or DAMAGED: nobody says whether there is one.
        """
        return drain(self.freeze_frame_steps())

    def freeze_frame_steps(self):
        """freeze_frame() in steps."""
        assembly = yield from self.tester.request_steps(requests.freeze_request(0x02))
        frozen = requests.frozen_by(assembly)
        if not frozen:
            _data(assembly)
            return None
        ecu, stored = frozen[0]
        have = requests.PidSet()
        base = 0
        while base <= _LAST_BITMAP and (base in have or not base):
            bitmap = yield from self._frozen_steps(base, ecu)
            if not have.add_bitmap(base, bitmap or b""):
                break
            base += 32
        values = []
        for pid in have.pids():
            if pid % 32 and pid != 2:
                data = yield from self._frozen_steps(pid, ecu)
                values.extend(pids.decode(pid, data or b""))
        return describe(2, stored)[0], values

    def _frozen_steps(self, pid, ecu):
        request = requests.freeze_request(pid)
        assembly = yield from self.tester.request_steps(request)
        for answer in assembly.positive():
            if answer.ecu == ecu:
                return requests.payload(request, answer)
        return None

    # -- vehicle information -----------------------------------------------------------------------------------------

    def vin(self):
        """The vehicle identification number; "" where no ECU has one."""
        return drain(self.vin_steps())

    def vin_steps(self):
        """vin() in steps."""
        found = yield from self._info_steps(requests.VIN)
        for ecu in found:
            vin = requests.vin(found[ecu])
            if vin:
                return vin
        return ""

    def calibration_ids(self):
        """{ecu: [ids]}."""
        return drain(self.calibration_ids_steps())

    def calibration_ids_steps(self):
        """calibration_ids() in steps."""
        found = yield from self._info_steps(requests.CALIBRATION_IDS)
        return {ecu: requests.calibration_ids(found[ecu]) for ecu in found}

    def calibration_numbers(self):
        """{ecu: [CVN, the check sum of each calibration]}."""
        return drain(self.calibration_numbers_steps())

    def calibration_numbers_steps(self):
        """calibration_numbers() in steps."""
        found = yield from self._info_steps(requests.CALIBRATION_NUMBERS)
        return {ecu: requests.calibration_numbers(found[ecu]) for ecu in found}

    def ecu_names(self):
        """{ecu: name}."""
        return drain(self.ecu_names_steps())

    def ecu_names_steps(self):
        """ecu_names() in steps."""
        found = yield from self._info_steps(requests.ECU_NAME)
        return {ecu: requests.text(found[ecu]) for ecu in found}

    def _info_steps(self, kind):
        """{ecu: joined data} of an info type; asked again where a frame is missing."""
        found = {}
        request = bytes((requests.INFO, kind))
        for _ in range(_TRIES):
            assembly = yield from self.tester.request_steps(request)
            whole = True
            for answer in assembly.positive():
                data = requests.payload(request, answer)
                if data is None:
                    whole = False
                else:
                    found[answer.ecu] = data
            if whole:
                break
        return found


def _answer(assembly):
    """The best answer. ObdError: there is none."""
    answer = assembly.best()
    if answer is None:
        raise ObdError(errors.DAMAGED if assembly.broken else errors.SILENT, assembly.request.hex(" "))
    return answer


def _data(assembly):
    answer = _answer(assembly)
    if answer.nrc:
        raise ObdError(errors.REFUSED, "%s: %s" % (assembly.request.hex(" "), name(answer.nrc)))
    return requests.payload(assembly.request, answer)

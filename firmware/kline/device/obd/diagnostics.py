"""What a mechanic asks: live values, monitors, trouble codes, freeze frames, VIN; on a KLineObd2.

The questions are those of protocol/obd/questions.py, which the PC asks as well: there is what each returns. Each method
has a twin in _steps (see obd/tester.py). ObdError REFUSED, SILENT or DAMAGED: there is no answer.
"""

from kline.device.obd import errors
from kline.device.obd.errors import ObdError
from kline.device.obd.line import drain
from kline.protocol.obd import multi, pids, questions, requests
from kline.protocol.obd.answers import payload
from kline.protocol.obd.nrc import name


class Diagnostics:
    """Works on the session of `tester`, a KLineObd2.

    damaged  an answer was damaged, in spite of repetitions: an ECU may have said what is missing from a result
    """

    def __init__(self, tester):
        self.tester = tester
        self.damaged = False
        self._multi = None
        self._multi_of = None  # the session that it was learned in

    def _ask_steps(self, question):
        """What the question returns."""
        asked = {}
        assembly = None
        try:
            while True:
                request = question.send(assembly)
                # A second round waits longer.
                assembly = yield from self.tester.request_steps(
                    request, 4 * self.tester.limits.p2_max_us if request in asked else 0
                )
                asked[request] = assembly
        except StopIteration as end:
            return end.value
        except questions.NoAnswer as error:
            text = error.request.hex(" ")
            raise ObdError(error.why, "%s: %s" % (text, name(error.nrc)) if error.nrc else text)
        finally:
            for assembly in asked.values():
                self.damaged = self.damaged or assembly.broken

    def _known(self):
        """The ECUs that this car has."""
        return self.tester.session.ecus if self.tester.session else ()

    # -- live data ---------------------------------------------------------------------------------------------------

    def supported(self):
        """PidSet of mode 01, of all ECUs together; also kept in the session."""
        return drain(self.supported_steps())

    def supported_steps(self):
        """supported() in steps."""
        session = self.tester.session
        return self._ask_steps(questions.supported(session.supported if session else requests.PidSet()))

    def live(self, pid):
        """The pids.Values of one PID."""
        return drain(self.live_steps(pid))

    def live_steps(self, pid):
        """live() in steps."""
        return self._ask_steps(questions.live(pid))

    def live_all(self, wanted):
        """A round of live values: {pid: [pids.Value]}; as many PIDs in one request as the ECU takes.

        A PID that is refused or not answered has values of None.
        """
        return drain(self.live_all_steps(wanted))

    def live_all_steps(self, wanted):
        """live_all() in steps."""
        tester = self.tester
        if tester.session is not None and tester.session is not self._multi_of:
            self._multi = multi.MultiPids(tester.session.key)
            self._multi_of = tester.session
        found = {}
        for group in self._multi.groups(list(wanted)) if self._multi else ():
            if len(group) > 1:
                assembly = yield from tester.request_steps(multi.request_of(group))
                found.update(self._multi.read(group, assembly.answers))
        values = {}
        for pid in wanted:
            data = found.get(pid)
            if data is None:
                request = bytes((requests.LIVE, pid))
                answer = (yield from tester.request_steps(request)).best()
                data = payload(request, answer) if answer else None
            values[pid] = pids.decode(pid, data or b"") or [pids.Value(field, None) for field in pids.fields(pid)]
        return values

    # -- monitors and codes ------------------------------------------------------------------------------------------

    def monitors(self):
        """{ecu: answers.MonitorStatus} of those that have PID 01."""
        return drain(self.monitors_steps())

    def monitors_steps(self):
        """monitors() in steps."""
        return self._ask_steps(questions.monitors())

    def codes(self, service=requests.STORED):
        """({ecu: [codes]}, certain): stored (03), pending (07) or permanent (0A) codes."""
        return drain(self.codes_steps(service))

    def codes_steps(self, service=requests.STORED):
        """codes() in steps."""
        return self._ask_steps(questions.codes(service, self._known()))

    def clear(self, sure=False):
        """Erase codes, freeze frames and monitors' results in all ECUs; wants sure=True.

        {ecu: nrc, 0 = done, None = it said nothing}
        """
        return drain(self.clear_steps(sure))

    def clear_steps(self, sure=False):
        """clear() in steps."""
        if not sure:
            raise ObdError(
                errors.NOT_ALLOWED,
                "clear(sure=True) erases all trouble codes, the freeze frame and the readiness of the monitors",
            )
        return self._ask_steps(questions.clear(self._known()))

    def freeze_frames(self):
        """{ecu: (code that stored its frame, {pid: [pids.Value], [] = no answer})}; {} where all say they have none."""
        return drain(self.freeze_frames_steps())

    def freeze_frames_steps(self):
        """freeze_frames() in steps."""
        return self._ask_steps(questions.freeze_frames())

    # -- vehicle information -----------------------------------------------------------------------------------------

    def vin(self):
        """The vehicle identification number, of the first ECU by address that gives one; "" where none does."""
        found = self.vins()
        return found[min(found)] if found else ""

    def vins(self):
        """{ecu: vehicle identification number}"""
        return drain(self.vins_steps())

    def vins_steps(self):
        """vins() in steps."""
        return self._ask_steps(questions.vins())

    def calibration_ids(self):
        """{ecu: [ids]}"""
        return drain(self.calibration_ids_steps())

    def calibration_ids_steps(self):
        """calibration_ids() in steps."""
        return self._ask_steps(questions.calibration_ids())

    def calibration_numbers(self):
        """{ecu: [CVN, the checksum of each calibration]}"""
        return drain(self.calibration_numbers_steps())

    def calibration_numbers_steps(self):
        """calibration_numbers() in steps."""
        return self._ask_steps(questions.calibration_numbers())

    def ecu_names(self):
        """{ecu: name}"""
        return drain(self.ecu_names_steps())

    def ecu_names_steps(self):
        """ecu_names() in steps."""
        return self._ask_steps(questions.ecu_names())

"""What can go wrong between the PC and the board, and the exit status that a command ends with then.

    OpenklineError                    1
     +- DeviceFailed                  1   an error of this program's own ended the work with the board
     +- DeviceError                   3   the port cannot be opened
     |   +- DeviceMissing                 there is no such port, or no board
     |   +- DeviceAmbiguous               several boards, none was named
     |   +- DeviceForbidden               no permission
     |   +- DeviceBusy                    another program has it
     |   '- DeviceUnusable                there is no use in trying again: what was named is no serial port
     |       '- SimulatorError            the virtual board can't be started
     +- DeviceRefused                 4   the board answered, but can't be worked with (versions)
     +- NotSent                       5   a message did not get onto the bus
     +- GatewayError                  6   a gateway does not do what was asked
     |   +- GatewayUnreachable            nothing answers there, or not as a gateway does
     |   +- GatewayBusy                   it has no free slot
     |   '- GatewayLost                   the connection is gone
     +- ObdError                      7   the car did not answer, or refused, or its line is broken
     '- UpdateFailed                  8   the board refused an update, or runs what it ran before

0: done; 2: wrong usage (as usual for command lines); 9: doctor has found something; 130: interrupted with Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Sequence


class OpenklineError(Exception):
    exit_code = 1


class DeviceError(OpenklineError):
    exit_code = 3


class DeviceMissing(DeviceError):
    pass


class DeviceAmbiguous(DeviceError):
    def __init__(self, message: str, candidates: Sequence[object] = ()) -> None:
        super().__init__(message)
        self.candidates = tuple(candidates)


class DeviceForbidden(DeviceError):
    pass


class DeviceBusy(DeviceError):
    pass


class DeviceUnusable(DeviceError):
    pass


class SimulatorError(DeviceUnusable):
    pass


class DeviceRefused(OpenklineError):
    exit_code = 4


class DeviceFailed(OpenklineError):
    pass


class NotSent(OpenklineError):
    exit_code = 5


class GatewayError(OpenklineError):
    exit_code = 6


class GatewayUnreachable(GatewayError):
    pass


class GatewayBusy(GatewayError):
    pass


class GatewayLost(GatewayError):
    pass


class UpdateFailed(OpenklineError):
    exit_code = 8


class ObdError(OpenklineError):
    """name: one of kline.protocol.link.host_records.OBD_ERRORS, bad_call, wrong_mode, failed, interrupted, timeout."""

    exit_code = 7

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class OptionError(OpenklineError, ValueError):
    """An option has a value that it can't have: wrong usage."""

    exit_code = 2

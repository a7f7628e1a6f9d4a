"""The ticks that the firmware keeps in attributes: by which rule of kline/protocol/ticks.py, and which test idles.

tests/lint_ticks.py (`make lint`) compares it with the source. A test named here idles for 540, 1,060 and 1,080 s on a
virtual clock; beside each in mpy_idle_time.py stands one of 7 hours (soak_..).
"""

from __future__ import annotations

from dataclasses import dataclass

RULES = ("turn", "while", "within", "told", "counter")
"""Those of ticks.py; told: handed out at once and never compared; counter: no tick, but counted like one."""


@dataclass(frozen=True)
class Tick:
    """rule: of RULES; test: FILE::FUNCTION below tests/; hidden: the linter can't see it (it was in a buffer)."""

    rule: str
    test: str
    hidden: bool = False


_IDLE = "device/mpy_idle_time.py::test_"
_LINK = "protocol/test_link_idle.py::test_"
_AFTER_BOOT = _IDLE + "the_first_message_long_after_boot"
_TRAFFIC = _IDLE + "with_traffic"
_RENEWED = _IDLE + "a_request_long_after_the_session_is_as_quick_as_any"
_KEPT = _IDLE + "a_session_is_kept"
_FIRST_SESSION = _IDLE + "the_first_session_long_after_boot"
_BOTH_ENDS = _LINK + "both_ends_idle"

TICKS = {
    "device/app.py: _started_ms": Tick("turn", _IDLE + "uptime_and_counters_go_on"),
    "device/app.py: _counted_ms": Tick("within", _IDLE + "uptime_and_counters_go_on"),
    "device/app.py: _collected_ms": Tick("within", _AFTER_BOOT),
    "device/app.py: _heard_ms": Tick("turn", _IDLE + "the_board_waits_five_minutes_for_a_pc"),
    "device/ibus_handler.py: frame_us": Tick("told", _TRAFFIC),
    "device/idle.py: last_rx_transition_us": Tick("while", _AFTER_BOOT),
    "device/obd/exchange.py: _newest_ms": Tick("within", _KEPT),
    "device/obd/init.py: last_end_us": Tick("within", _RENEWED),
    "device/obd/line.py: last_end_us": Tick("within", _RENEWED),
    "device/obd/line.py: edge_us": Tick("within", _RENEWED),
    "device/obd/line.py: looked_us": Tick("while", _RENEWED),
    "device/obd/line.py: _begun_us": Tick("while", _FIRST_SESSION),
    "device/obd/service.py: _looked_ms": Tick("within", _KEPT),
    "device/obd/sync.py: looked_us": Tick("while", _FIRST_SESSION),
    "device/obd/tester.py: _last_ms": Tick("within", _RENEWED),
    "device/obd/tester.py: _failed_ms": Tick("within", _RENEWED),
    "device/quiet_car.py: _last_ms": Tick("within", _IDLE + "manners_after_weeks"),
    "device/quiet_car.py: _paid_ms": Tick("turn", _IDLE + "manners_after_weeks"),
    "device/sender.py: ended_us": Tick("told", _IDLE + "messages_long_after_a_collision"),
    "device/transmit_queue.py: queued_ms": Tick(
        "within", _IDLE + "a_message_that_waited_for_room_does_not_go_out_minutes_late", hidden=True
    ),
    "device/transmitter.py: _not_before_us": Tick("within", _IDLE + "one_message_every_40_s_from_boot"),
    "device/transmitter.py: _low_since_us": Tick("within", _IDLE + "a_line_that_was_stuck_for_long"),
    "device/transport.py: last_byte_us": Tick("within", _TRAFFIC),
    "device/usb_link.py: _paid_us": Tick("turn", _AFTER_BOOT),
    "protocol/ibus/frames.py: end_us": Tick("told", _TRAFFIC, hidden=True),
    "protocol/ibus/frames.py: _grown_us": Tick("while", _LINK + "a_byte_long_after_another"),
    "protocol/link/framing.py: text_bytes": Tick("counter", _BOTH_ENDS),
    "protocol/link/host_end.py: _fed_us": Tick("within", _LINK + "text_of_before_the_pc_was_stopped"),
    "protocol/link/host_end.py: _now_us": Tick("turn", _BOTH_ENDS),
    "protocol/link/link.py: _now_us": Tick("turn", _BOTH_ENDS),
    "protocol/link/link.py: _pumped_us": Tick("turn", _BOTH_ENDS),
    "protocol/link/link.py: _heard_us": Tick("turn", _BOTH_ENDS),
    "protocol/link/link.py: _beat_us": Tick("turn", _BOTH_ENDS),
    "protocol/link/link.py: _greeted_us": Tick("within", _LINK + "a_record_without_a_session_long_after_the_greeting"),
    "protocol/link/link.py: abandoned": Tick("counter", _BOTH_ENDS),
    "protocol/link/outbox.py: _since_us": Tick("while", _BOTH_ENDS),
    "protocol/link/speaker.py: _now_us": Tick("turn", _BOTH_ENDS),
}

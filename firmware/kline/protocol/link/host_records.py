"""Records of the USB link, what only the PC needs: names of the numbers in them, and packing of what the PC says.

Apart from records.py for the sake of the board's heap, where these names would take over a kilobyte.
"""

from kline.protocol.link.records import (
    TRANSMIT_DEADLINE_MS,
    TRANSMIT_FLAGS,
    TRANSMIT_ID,
    TRANSMIT_MAX_TRIES,
    put_u16,
    put_u32,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer

# COUNTERS: the order of its values. New ones are appended; a reader takes as many as it finds.
COUNTER_NAMES = (
    "frames",
    "bad_checksum",
    "bad_length",
    "too_long",
    "stalled",
    "dropped_bytes",
    "filtered",
    "rx_bytes",
    "rx_full",
    "rx_uart_full",
    "tx_frames",
    "tx_collisions",
    "tx_refused",
    "tx_failed",
    "wakings",
    "link_rx_records",
    "link_rx_bad",
    "link_rx_gaps",
    "link_rx_duplicates",
    "link_tx_records",
    "link_tx_resent",
    "link_abandoned",
    "link_queue_full",
    "link_no_session",
    "link_text_bytes",
    "callback_errors",
    "loop_max_us",
    "heap_free",
    "uptime_s",
    "wake_refused",
    "rate_waits",
    "echo_lost",
    "tx_flushed",
    "link_rx_held",
)

# OBD_END: names of its codes from END_ERROR + 1 on.
OBD_ERRORS = (
    "no_echo", "echo_wrong", "stuck_low", "busy", "no_sync", "sync_wrong", "no_key_bytes", "key_bytes", "no_address",
    "silent", "refused", "late", "not_connected", "too_soon", "not_allowed", "no_car", "damaged",
)  # fmt: skip


def pack_configure(out: bytearray, key: int, value: int) -> int:
    """CONFIGURE: key u8, value u32."""
    out[0] = key
    return put_u32(out, 1, value)


def pack_transmit(out: bytearray, ident: int, max_tries: int, flags: int, deadline_ms: int, body: "Buffer") -> int:
    """TRANSMIT: id u16, max_tries u8 (0 = the device's), flags u8, deadline_ms u16 (0 = none), body."""
    put_u16(out, TRANSMIT_ID, ident)
    out[TRANSMIT_MAX_TRIES] = max_tries
    out[TRANSMIT_FLAGS] = flags
    at = put_u16(out, TRANSMIT_DEADLINE_MS, deadline_ms)
    for i in range(len(body)):
        out[at + i] = body[i]
    return at + len(body)

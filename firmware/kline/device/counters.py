"""The values of a COUNTERS record."""

import gc


def values_of(app):
    """In the order of host_records.COUNTER_NAMES."""
    scanner = app.ibus.handler.scanner
    transport = app.transport
    transmitter = transport.transmitter
    link = app.link
    return [
        scanner.frames,
        scanner.bad_checksum,
        scanner.bad_length,
        scanner.too_long,
        scanner.stalled,
        scanner.dropped_bytes,
        app.ibus.handler.filtered,
        transport.rx_bytes,
        transport.rx_full,
        transport.rx_uart_full,
        transmitter.frames,
        transmitter.collisions,
        transmitter.refused,
        transmitter.failed,
        transmitter.quiet_car.wakings,
        link.rx_records,
        link.deframer.bad,
        link.rx_gaps,
        link.rx_duplicates,
        link.outbox.sent_first,
        link.outbox.sent_again,
        link.abandoned,
        link.queue_full,
        link.no_session,
        link.deframer.text_bytes,
        app.ibus.handler.callback_errors + app.errors + (app.obd.errors if app.obd else 0),
        app.loop_max_us,
        gc.mem_free(),
        app.uptime_s,
        transmitter.quiet_car.refused,
        transmitter.quiet_car.waits,
        transport.echo_lost(),
        transmitter.queue.flushed,
        link.rx_held,
    ]

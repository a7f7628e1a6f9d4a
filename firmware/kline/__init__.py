"""openkline's firmware package. `from kline import IbusEsp32` loads the class (and what it needs) at that moment."""

from kline.version import VERSION as __version__  # noqa: F401

_HOME = {
    "IbusEsp32": "kline.device.ibus_esp32",
    "IbusHandler": "kline.device.ibus_handler",
    "KLineTransport": "kline.device.transport",
    "KLineConfig": "kline.device.config",
    "KLineObd2": "kline.device.obd.tester",
    "RingBuffer": "kline.protocol.ring",
}


def __getattr__(name):
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(name)
    module = __import__(home, None, None, (name,))
    value = getattr(module, name)
    globals()[name] = value
    return value

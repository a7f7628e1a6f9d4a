# For a MicroPython build of your own with openkline inside (frozen):
#
#     make BOARD=ESP32_GENERIC FROZEN_MANIFEST=/path/to/openkline/firmware/manifest.py
#
# or, beside the modules that the board has anyway, in a manifest of yours:
#
#     include("$(PORT_DIR)/boards/manifest.py")
#     include("/path/to/openkline/firmware/manifest.py")
#
# opt=3 as in `openkline flash`: no line numbers, no assertions. A frozen main.py runs even if the file system has one;
# the modules of an update's slot come before the frozen ones.

metadata(version="0.1.0", description="A car's single-wire buses: BMW I/K-Bus and OBD-II over K-line")  # noqa: F821
package("kline", opt=3)  # noqa: F821
module("main.py", opt=3)  # noqa: F821

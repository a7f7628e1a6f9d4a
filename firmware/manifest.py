# For a MicroPython build of your own with openkline inside (frozen), beside the modules that the port freezes for every
# board (without those, nothing would mount the file system):
#
#     make -C ports/esp32 BOARD=ESP32_GENERIC FROZEN_MANIFEST=/path/to/openkline/firmware/manifest.py
#
# or, for a board with a manifest of its own, in one of yours (what is included twice counts once):
#
#     include("$(BOARD_DIR)/manifest.py")
#     include("/path/to/openkline/firmware/manifest.py")
#
# opt=3 as in `openkline flash`: no line numbers, no assertions. A frozen main.py runs even if the file system has one;
# the modules of an update's slot come before the frozen ones. There is no metadata() here: a build may have one only,
# and that is yours; and with it each module would get a __version__.

include("$(PORT_DIR)/boards/manifest.py")  # noqa: F821
package("kline", opt=3)  # noqa: F821
module("main.py", opt=3)  # noqa: F821

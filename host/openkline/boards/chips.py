"""What the pins of each chip are bound to, and which of them may carry the car's wire.

A use is "rx", "tx", "spare" (TX is parked there while the UART is set up, so it is driven like TX), "led" or "vin" (the
ADC that sees the supply voltage).

Sources, per chip: Espressif, ESP-IDF Programming Guide, "GPIO & RTC GPIO", table "GPIO Summary" and its notes (which
pins exist, strapping, SPI0/1, GPI, USB-JTAG), and the chip's datasheet: ESP32 section 2.2 "Pin Overview" and 3
"Boot Configurations", ESP32-S3 and ESP32-C3 the same sections (UART0's default pins, VDD_SPI on GPIO11 of the C3).
Flash offsets: Espressif, ESP-IDF "Bootloader" (0x1000 on the ESP32, 0x0 on S3 and C3).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

REFUSED = "refused"
WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """What speaks against a pin. severity: REFUSED or WARNING; reason: a sentence without its subject."""

    use: str
    gpio: int
    severity: str
    reason: str

    def __str__(self) -> str:
        return f"{self.use.upper()} on GPIO {self.gpio}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Chip:
    """GPIO numbers by what they are bound to.

    key           as esptool's --chip takes it
    title         as esptool and Espressif write it
    flash_offset  where an image with boot loader begins
    exists        all GPIOs of the chip
    flash         SPI0/1, or the flash's supply: the program runs from there
    adc           ADC1; ADC2 is the radio's
    psram         taken where the module has PSRAM (or flash in the package) on them, else free
    """

    key: str
    title: str
    flash_offset: int
    exists: frozenset[int]
    flash: frozenset[int]
    psram: frozenset[int]
    input_only: frozenset[int]
    strapping: frozenset[int]
    uart0: frozenset[int]
    usb: frozenset[int]
    adc: frozenset[int]

    def check(self, use: str, gpio: int) -> Finding | None:
        """What speaks against this use of the pin; None: nothing. For a LED nothing is refused but what can't work."""
        if gpio not in self.exists:
            return Finding(use, gpio, REFUSED, f"the {self.title} has no such pin")
        if gpio in self.flash:
            return Finding(use, gpio, REFUSED, "belongs to the flash chip, from which the program runs")
        if use == "vin" and gpio not in self.adc:
            return Finding(use, gpio, REFUSED, "has no ADC that the radio leaves alone (ADC1)")
        if gpio in self.input_only and use not in ("rx", "vin"):
            return Finding(use, gpio, REFUSED, f"is an input only on the {self.title}")
        bound = self._bound(gpio)
        if bound:
            return Finding(use, gpio, WARNING if use == "led" else REFUSED, bound)
        if gpio in self.psram:
            return Finding(use, gpio, WARNING, "belongs to the PSRAM or flash on some modules (WROVER, PICO, octal)")
        return None

    def _bound(self, gpio: int) -> str:
        if gpio in self.strapping:
            return "is a strapping pin: its level during reset decides how the chip starts"
        if gpio in self.uart0:
            return "belongs to UART0, which is the link to the PC or prints the ROM's start log"
        if gpio in self.usb:
            return "belongs to the chip's USB port"
        return ""


def _pins(*parts: int | range) -> frozenset[int]:
    found: set[int] = set()
    for part in parts:
        found.update([part] if isinstance(part, int) else part)
    return frozenset(found)


CHIPS = {
    chip.key: chip
    for chip in (
        Chip(
            key="esp32",
            title="ESP32",
            flash_offset=0x1000,
            # 20 only in the package of the PICO-V3: for all others it doesn't exist.
            exists=_pins(range(20), range(21, 24), range(25, 28), range(32, 40)),
            flash=_pins(range(6, 12)),
            psram=_pins(16, 17),
            input_only=_pins(range(34, 40)),
            strapping=_pins(0, 2, 5, 12, 15),
            uart0=_pins(1, 3),
            usb=_pins(),
            adc=_pins(range(32, 40)),
        ),
        Chip(
            key="esp32s3",
            title="ESP32-S3",
            flash_offset=0x0,
            exists=_pins(range(22), range(26, 49)),
            flash=_pins(range(26, 33)),
            psram=_pins(range(33, 38)),
            input_only=_pins(),
            strapping=_pins(0, 3, 45, 46),
            uart0=_pins(43, 44),
            usb=_pins(19, 20),
            adc=_pins(range(1, 11)),
        ),
        Chip(
            key="esp32c3",
            title="ESP32-C3",
            flash_offset=0x0,
            exists=_pins(range(22)),
            flash=_pins(range(11, 18)),  # 11 is VDD_SPI
            psram=_pins(),
            input_only=_pins(),
            strapping=_pins(2, 8, 9),
            uart0=_pins(20, 21),
            usb=_pins(18, 19),
            adc=_pins(range(5)),
        ),
    )
}


def find_chip(name: str) -> Chip | None:
    """By key or title, whatever the case: esp32s3, ESP32-S3. None: not in the table."""
    return CHIPS.get(name.lower().replace("-", ""))


def refused(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity == REFUSED]

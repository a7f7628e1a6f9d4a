"""Options of the tests that need a board; without --device they are skipped."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hardware")
    group.addoption("--device", metavar="PORT", help="serial port of a board, such as /dev/ttyUSB0")
    group.addoption("--pins", metavar="RX,TX,SPARE", default="16,17,4", help="GPIOs of the jumper and a free one")

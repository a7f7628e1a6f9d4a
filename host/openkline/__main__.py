"""`python -m openkline`, where the script is not on PATH."""

from openkline.cli import main

main(prog_name="openkline")

"""The only part of openkline that touches hardware (`machine`). Runs on MicroPython."""

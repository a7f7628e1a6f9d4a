"""Version of the firmware and of the host package: one number, because they are released together."""

VERSION = "0.1.0"

"""Where `openkline bridge` writes frames and messages: docs/bridge.md."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from openkline.bridge.bridge import Bridge
from openkline.bus import BusFrame
from openkline.cli.bridge_options import BridgeOptions
from openkline.cli.common import terminal_renderer
from openkline.errors import OpenklineError
from openkline.log.files import FdSink, FrameLog, LogFile
from openkline.log.formats import GatewayFormat, JsonFormat
from openkline.log.json_lines import JsonLines
from openkline.log.messages import MessageLog, TimedLines, as_line
from openkline.log.moderated import Moderated

log = logging.getLogger("openkline.bridge.bridge")

_RAW_LEVEL = 4


def add_logs(options: BridgeOptions, bridge: Bridge) -> None:
    """OpenklineError: the file can't be written."""
    if options.level in (None, _RAW_LEVEL) or options.as_json:
        for frame_log in _frame_logs(options, bridge):
            bridge.add_log(frame_log)
    elif options.file is not None:
        bridge.add_messages(_message_log(options, options.file))


def _frame_logs(options: BridgeOptions, bridge: Bridge) -> list[FrameLog[BusFrame]]:
    """To the file when one is named, else to stdout; without a level to both."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        log.warning("the program that read stdout has ended, so the bridge ends, too; -f FILE logs without one")
        bridge.stop.set()

    def on_broken_pipe() -> None:
        loop.call_soon_threadsafe(stop)

    as_json = options.as_json or options.log_format == "json"
    raw = JsonFormat().write if as_json else GatewayFormat(options.direction).write
    if options.file is None:
        render = raw if options.level == _RAW_LEVEL or as_json or options.log_format else terminal_renderer(False)
        return [FrameLog(FdSink(1), render, "stdout", on_broken_pipe)]
    logs: list[FrameLog[BusFrame]] = [FrameLog(_open_file(options, options.file), raw, str(options.file))]
    if options.level is None:
        logs.append(FrameLog(FdSink(1), terminal_renderer(options.as_json), "stdout", on_broken_pipe))
    return logs


def _message_log(options: BridgeOptions, path: Path) -> FrameLog[str]:
    writer = FrameLog(_open_file(options, path), as_line, str(path))
    handler = MessageLog(writer)
    handler.setFormatter(JsonLines() if options.log_json else TimedLines())
    logging.getLogger("openkline").addHandler(Moderated(handler))
    return writer


def _open_file(options: BridgeOptions, path: Path) -> LogFile:
    file = LogFile(path, options.rotate_size, options.rotate_hours * 3600, options.keep)
    try:
        file.open()
    except OSError as error:
        raise OpenklineError(f"{path}: cannot be written ({error.strerror})") from error
    return file

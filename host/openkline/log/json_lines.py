"""Messages as JSON, one object per line: what --log-json writes."""

from __future__ import annotations

import json
import logging

from openkline.log.plain_lines import shortened


class JsonLines(logging.Formatter):
    """A message as one object in one line: time (unix seconds), level, logger, message, and exception if there is one.

    level: debug, info, warning, error, critical; exception: the traceback as Python prints it.
    """

    def format(self, record: logging.LogRecord) -> str:
        record = shortened(record)
        line: dict[str, object] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)

"""Bus logs: formats.py has one reader/writer interface per format, files.py writes while the bus runs."""

from openkline.log.formats import FORMATS, LogFormat, LogFrame, LogProblem, detect

__all__ = ["FORMATS", "LogFormat", "LogFrame", "LogProblem", "detect"]

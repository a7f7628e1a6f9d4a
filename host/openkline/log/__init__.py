"""Bus logs: reader.py takes any form, formats.py writes, files.py writes while the bus runs."""

"""Reads tests/vectors/kline_exchanges.txt; runs on CPython and on MicroPython."""


def read(folder):  # type: ignore[no-untyped-def]
    """[(kind, first bytes, [further frames], meaning)]"""
    found = []
    with open(folder + "/kline_exchanges.txt") as file:  # noqa: PTH123 (no pathlib there)
        for line in file:
            if line.startswith("#") or not line.strip():
                continue
            columns = [column.strip() for column in line.split("|")]
            if columns[0] == "key":
                found.append((columns[0], unhex(columns[1]), [], columns[2]))
            else:
                frames = [unhex(frame) for frame in columns[2].split("/") if frame.strip()]
                found.append((columns[0], unhex(columns[1]), frames, columns[3]))
    return found


def unhex(text):  # type: ignore[no-untyped-def]
    return bytes([int(pair, 16) for pair in text.split()])

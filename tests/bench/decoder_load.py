"""What the decoder's benchmark decodes, on MicroPython and on CPython alike."""

from kline.protocol.ibus.frames import IbusScanner, encode
from kline.protocol.ring import RingBuffer

BUS_BYTES_PER_S = 873  # what a full bus carries at 9600 8E1
BYTE_US = 1146


def frames(n):
    """n frames of 5 to 36 bytes, the same each time."""
    made = []
    x = 1
    for i in range(n):
        x = (x * 1103515245 + 12345) & 0x3FFFFFFF
        size = 5 + (x >> 8) % 32
        made.append(encode(0x68, x & 0xFF, bytes([(i + k * 7) & 0xFF for k in range(size - 4)])))
    return made


def decode(made, out):
    """Pass the frames through ring and scanner as a handler does; returns how many came out."""
    ring = RingBuffer(256)
    scanner = IbusScanner(ring)
    found = 0
    now_us = 0
    for frame in made:
        ring.write(frame)
        now_us = (now_us + len(frame) * BYTE_US) & 0x3FFFFFFF
        n = scanner.scan(now_us)
        while n:
            ring.copy_to(out, n)
            scanner.take()
            found += 1
            n = scanner.scan(now_us)
    return found


def report(where, n_frames, n_bytes, seconds):
    rate = n_bytes / seconds
    times = rate / BUS_BYTES_PER_S
    print(f"decoder on {where}: {n_frames / seconds:.0f} frames/s, {rate:.0f} bytes/s = {times:.0f} times a full bus")

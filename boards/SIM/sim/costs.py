"""What the firmware's calls cost, in microseconds of model time: estimates, not measurements on a board.

Source: measured with the real port (1.24, 1.27) on an emulated ESP32; ratios are better than values. Entries marked
(est.) are interpolated. Everything that reports a latency made of these says "modelled". See docs/virtual-board.md.
"""

COSTS = {
    "callback": 25,  # a scheduled callback starts this long after its interrupt, when the VM idles
    "ticks": 2,  # ticks_us and its kin (est.: a builtin call)
    "sleep": 5,  # entering and leaving a sleep (est.)
    "pin_value": 2,  # (est.)
    "pin_init": 15,  # Pin(id, mode..) (est.: a pad's registers, no driver call)
    "pin_irq": 17,
    "irq_trigger": 11,
    "pulse": 3,  # time_pulse_us, the part outside its window (est.)
    "any": 3,
    "readinto": 8,  # (est.: any() plus a copy)
    "write_start": 28,  # uart.write: to the start bit; pulse + any + this = 34-37 us measured gate to start bit
    "write_end": 8,  # uart.write: from the start bit to its return (est.)
    "txdone": 3,  # (est.)
    "uart_init": 60,  # 45-80
    "uart_install": 250,  # (re)installing the driver: buffers, interrupt (est.)
    "uart_irq": 17,  # (est.: as pin.irq)
    "timer_init": 44,  # 22-66
    "timer_deinit": 15,  # (est.)
    "timer_late": 15,  # a one-shot's interrupt comes this late, plus up to timer_jitter; its callback 25 us after that:
    "timer_jitter": 110,  # 40-150 us in all
    "poll": 14,  # poll(0), ipoll(0): one look at all streams
    "stdin": 6,  # reading what is there (est.)
    "stdout": 40,  # writing up to 128 bytes into an empty FIFO
    "gc": 4000,  # gc.collect() with about 50 KB used; 200 empty, 28000 with a full heap
    "misc": 5,  # unique_id, freq, reset_cause .. (est.)
}

TICK_US = 10_000  # FreeRTOS tick: a poll sleeps until the next one, unless an interrupt wakes the VM
SCHED_DEPTH = 8  # MICROPY_SCHEDULER_DEPTH of the port
TX_FIFO = 128  # bytes in the UART's hardware FIFOs (all ESP32 variants)
RX_FIFO = 128
STDIN_RING = 259  # the port's stdin ring: 260 bytes, one of them never used
LINK_BAUD = 115200  # the USB-UART bridge, 10 bits a byte

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
    "mem_free": 5,
    "misc": 5,  # unique_id, freq, reset_cause .. (est.)
}

TICK_US = 10_000  # FreeRTOS tick: a poll sleeps until the next one, unless an interrupt wakes the VM
SCHED_DEPTH = 8  # MICROPY_SCHEDULER_DEPTH of the port
TX_FIFO = 128  # bytes in the UART's hardware FIFOs (all ESP32 variants)
RX_FIFO = 128
STDIN_RING = 259  # the port's stdin ring: 260 bytes, one of them never used
LINK_BAUD = 115200  # the USB-UART bridge, 10 bits a byte

# The same calls on a chip whose Python costs time, at 160 MHz (E2: see BYTECODE). Those above were measured with a chip
# twice as fast as a real one; what E2 did not measure again is taken twice.
CHIP_CALLS = {
    "callback": 57,  # (E2: 57 to 89) Pin callback
    "ticks": 4,
    "sleep": 10,
    "pin_value": 4,
    "pin_init": 30,
    "pin_irq": 34,
    "irq_trigger": 22,
    "pulse": 6,
    "any": 6,
    "readinto": 60,  # (fit: what drain_uart takes beyond its bytecode)
    "write_start": 53,  # (E2: write 53; gate's end to the start bit 69 to 71)
    "write_end": 16,
    "txdone": 6,
    "uart_init": 97,  # (E2)
    "uart_install": 500,
    "uart_irq": 34,
    "timer_init": 90,  # (E2)
    "timer_deinit": 30,
    "poll": 28,
    "stdin": 12,
    "stdout": 80,
    "gc": 7200,  # (E2) at 61 KB used: I-Bus mode
    "gc_obd": 16_600,  # (E2) at 74 KB used: once OBD mode is loaded
    "mem_free": 1300,  # (est.: 8,000 blocks of the heap, 25 cycles each)
    "misc": 10,
}

# What Python costs on the chip, in microseconds at 160 MHz. (E2): measured with the real port (1.27) on an emulated
# chip at 1,336 pystones/s, a stock board is 1.0 to 1.25 times slower; ratios are exact to a percent. (fit): chosen
# within what was measured for its kind so that the table of calls in tests/device/mpy_costs.py comes out.
BYTECODE = {
    "turn": 4.7,  # (E2) a turn of `for .. in range`
    "index": 2.4,  # (E2) load or store of x[i]
    "attribute": 1.5,  # (E2: 1.4 to 1.5) load or store of x.name
    "global": 1.5,  # (fit: a look-up like an attribute's)
    "operation": 1.7,  # (E2: 1.7 to 2.0) arithmetic between locals, its store included
    "compare": 1.7,  # (E2: with its jump 3.3)
    "jump": 1.6,  # (E2, as above)
    "store": 0.7,  # (fit) a local or a constant into a local
    "call": 16.0,  # (E2: 16 to 20) of a Python function, its return included
    "argument": 0.5,  # (fit)
    "method": 2.5,  # (fit) look-up of x.name to be called: the instance's table, then its class's
    "builtin": 5.0,  # (E2: 3 to 8) call of a C function
    "heap_frame": 41.0,  # (E2: 8 on a fresh heap, 41 in the application's) a frame of over 44 bytes
    "allocation": 41.0,  # (fit: as a heap frame's)
    "try": 2.0,  # (fit)
    "raise": 60.0,  # (fit: an exception is allocated and found its handler)
    "iterate": 6.0,  # (fit) beginning of a `for` over anything but range
    "import": 30.0,  # (fit) of a module that is loaded
}
FRAME_ON_STACK = 44  # bytes; a larger frame is allocated (MicroPython, py/objfun.c: VM_MAX_STATE_ON_STACK, 11 words)

CHIPS = {"160": 1.0, "240": 0.65, "c3": 1.0}  # (E2) stock ESP32 and S3; after machine.freq(240_000_000); C3 has 160 MHz

# Flash: data sheet of a usual 4 MB chip (W25Q32, typical times; not seen on a board).
ERASE_US = 45_000  # a sector; at most 400 ms
PROGRAM_US = 3  # a byte (0.7 ms for a page of 256)
READ_BYTES = 64  # at most, in one transaction of the flash controller; it takes 60 to 310 us (E2): Flash.read_us

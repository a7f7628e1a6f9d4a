"""The car's end of an OBD K-line: one or several ECUs, each with its own driver and ear, at level resolution.

    from sim.ecu import Car
    car = Car(w.wire, "boards/SIM/cars/kwp_fast.json", seed=1)    # or a dict in the format of sim/ecu_script.py
    w.run_until(...)                                              # the tester does its initialisation and asks
    car.ecus[0].refusals                                          # [(t_us, limit, measured us or a text)]
    car.ecus[0].accepted                                          # the same for what lay within its limits
    car.ecus[0].requests, car.ecus[0].answers                     # [(t_us of the end / of the first start bit, frame)]
    car.fault("01 0C", nrc=0x21, times=2)                         # a rule of the script, from now on
    car.ignition(False); car.ignition(True); car.reset(0)

An ECU judges the tester's waveform on the wire. What lies outside a limit it doesn't answer, and notes which limit
and the measured value. It shares no code with the firmware: each is the other's witness.

    slow init    W0/W5 idle, each edge of the 5-baud byte ("bit", deviation from its ideal time), "stop_bit", "address",
                 W4 before the inverted key byte 2, "key_byte_2"
    fast init    "idle", TiniL (low), TWuP (from its beginning to the first start bit), "start_communication"
    requests     P3 (from the last byte on the wire, anyone's), P4 (between the tester's bytes), "header", "length",
                 "checksum", "framing", "no_session", "pending" (spoke while an answer was due), "collision"
"""

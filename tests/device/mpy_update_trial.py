"""A new slot's one trial, and what main.py makes of slots and files that are broken."""

import gc
import json
import os

import sim  # noqa: F401
import slot_app
from sim.flash import PowerCut
from update_rig import RESET, Board, Done, Late, hello

OLD, NEW = "0.1.0", "0.2.0"

# What can be wrong with a new version: its kline/device/app.py.
BAD = {
    "syntax": "def run(boot:\n",
    "import": "import no_such_module\n",
    "raises while it is imported": "1 / 0\n",
    "no run": "def start(boot):\n    pass\n",
    "wrong arguments": "def run():\n    pass\n",
    "raises": "def run(boot):\n    raise ValueError(boot.slot)\n",
    "returns": "def run(boot):\n    pass\n",
    "runs out of memory": "def run(boot):\n    kept = []\n    while True:\n        kept.append(bytearray(100000))\n",
    "calls itself for ever": "def run(boot):\n    run(boot)\n",
    "restarts": "import machine\n\n\ndef run(boot):\n    machine.reset()\n",
    "hangs while it is imported": "import time\nwhile True:\n    time.sleep_ms(100)\n",
    "hangs": "import time\n\n\ndef run(boot):\n    while True:\n        time.sleep_ms(5)\n",
    "hangs, and keeps Exceptions": (
        "import time\n\n\ndef run(boot):\n    while True:\n        try:\n            time.sleep(1)\n"
        "        except Exception:\n            pass\n"
    ),
}


def silent(pc):
    yield


def boot_json():
    with open("boot.json") as file:
        return json.load(file)


def on_trial(**options):
    board = Board(running=OLD, before=None)
    board.fill("b", NEW, **options)
    with open("boot.json", "w") as file:
        json.dump({"slot": "a", "trial": "b"}, file)
    return board


def test_a_trial_that_fails_leads_back():
    for what, body in BAD.items():
        board = on_trial(body=body)
        del slot_app.running[:]
        assert board.start(hello, limit_s=70) == RESET, what
        assert board.pc.world.now < 63_000_000, what
        assert boot_json() == {"slot": "a"}, what
        assert board.start(hello) == Done, what
        assert slot_app.running == [OLD], what
        gc.collect()


def test_a_trial_that_nobody_says_hello_to_leads_back_after_a_minute():
    board = on_trial()
    assert board.start(silent, limit_s=70) == RESET
    assert 60 < board.pc.world.now / 1e6 < 63, board.pc.world.now
    assert board.start(hello) == Done
    assert slot_app.running == [NEW, OLD]


def test_a_hello_in_the_last_second_is_enough():
    board = on_trial()

    def late(pc):
        yield from pc.wait(59.5)
        yield from pc.opened()

    assert board.start(late, limit_s=120) == Late
    assert boot_json() == {"slot": "b"}
    assert board.start(hello) == Done
    assert slot_app.running == [NEW, NEW]


def test_power_that_fails_during_a_trial_leads_back():
    board = on_trial()
    assert board.start(silent, prepare=lambda w: w.at(5_000_000, lambda _: w.interrupt(PowerCut()))) == PowerCut
    assert board.start(hello) == Done
    assert slot_app.running == [NEW, OLD]


def test_without_a_writable_boot_json_there_is_no_trial():
    board = on_trial()
    board.flash.broken = True
    assert board.start(hello) == Done
    assert slot_app.running == [OLD]
    board.flash.broken = False
    assert board.start(hello) == Done
    assert slot_app.running == [OLD, NEW]


def test_a_confirmation_that_cannot_be_written_leads_back_at_the_next_start():
    board = on_trial()

    def broken(pc):
        yield from pc.wait(2)  # the trial has begun
        board.flash.broken = True
        yield from pc.opened()

    assert board.start(broken, limit_s=70) == Late
    board.flash.broken = False
    assert boot_json() == {"slot": "a"}
    assert board.start(hello) == Done
    assert slot_app.running == [NEW, OLD]


def test_broken_files_of_the_start_dont_keep_the_board_from_it():
    broken = ("", "{", "[]", "null", "7", '"a"', "{}", '{"slot": "c"}', '{"slot": 5}', '{"slot": ["a"]}', "\xff\xfe",
              '{"trial": "b"}', '{"slot": "a", "trial": "a"}', '{"slot": "a", "trial": "c"}',
              '{"slot": "a", "trial": {}}', None)  # fmt: skip
    for content in broken:
        board = Board(running=OLD, before=NEW)
        if content is None:
            os.remove("boot.json")
        else:
            with open("boot.json", "w") as file:
                file.write(content)
        del slot_app.running[:]
        assert board.start(hello) == Done, content
        assert slot_app.running in ([OLD], [NEW]), (content, slot_app.running)
        gc.collect()


def test_a_running_slot_that_breaks_is_left_for_the_other():
    for slot, version in (("a", NEW), ("b", OLD)):
        for how in ("no slot.json", "half a slot.json", "no application", "half an application"):
            board = Board(running=OLD, before=NEW)
            with open("boot.json", "w") as file:
                json.dump({"slot": slot}, file)
            path = slot + ("/slot.json" if "json" in how else "/kline/device/app.py")
            os.remove(path)
            if "half" in how:
                with open(path, "w") as file:
                    file.write('{"version": "0.1' if "json" in how else "def ")
            del slot_app.running[:]
            assert board.start(hello) == Done, how
            assert slot_app.running == [version], (how, slot_app.running)
            # and an update goes to the slot that doesn't run
            assert slot_app.current.boot.slot == ("b" if slot == "a" else "a")
            gc.collect()


def test_ctrl_c_in_the_boot_window_leads_to_the_repl_with_the_slot_in_reach():
    board = on_trial()

    def ctrl_c(pc):
        pc.host.write(b"\x03")
        yield

    assert board.start(ctrl_c, limit_s=5) is None
    assert slot_app.running == []
    assert boot_json() == {"slot": "a", "trial": "b"}

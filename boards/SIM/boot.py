"""Starts the virtual board: a World, what sits on its wire, and the unmodified firmware/main.py on top.

    MICROPYPATH=boards/SIM/port:boards/SIM:firmware:.frozen micropython boards/SIM/boot.py [options]

stdin and stdout are the USB serial link: a terminal in raw mode, a pty or pipes. `-h` lists the options. Start it
without MicroPython's own -i: the REPL comes by itself when main.py returns, and -i would swallow the exit status:
75 after machine.reset(), 76 after a soft reset, 0 at the end of stdin or of --for.
"""

import builtins
import json
import os

import sim
import usys

HELP = """options:
  --clock paced|virtual   paced (default): real time; virtual: as fast as it goes
  --seed N                makes a run repeatable (1)
  --car none|demo|NAME|FILE  what sits on the wire (none); NAME: of a script in boards/SIM/cars; obd: kwp_fast
  --replay FILE           plays lines `US HEX`, a frame and when it ends; `- HEX`: right behind (sim/player.py);
                          a number: of an open descriptor
  --replay-after S        seconds from the host's first byte to the first frame (2)
  --start-file FILE       the replay waits until this file exists instead
  --baud N --parity N|none  of a raw capture (9600, 0 = even)
  --noise N               disturbances per second
  --fault NAME[,NAME]     breaks the wiring, or lets others talk: names in sim/faults.py
  --script FILE           runs a program with `w` (the World) and `sim` before the firmware
  --flash DIR             the board's file system (default: a new one, empty)
  --bare                  only that file system, no firmware; without a main.py in it, MicroPython's prompt comes up
  --reset-cause N         machine.reset_cause() (1)
  --for S                 ends after so many seconds of model time
  --no-repl               ends when main.py returns"""

FLAGS = ("no-repl", "bare")
OPTIONS = (
    "clock",
    "seed",
    "car",
    "replay",
    "replay-after",
    "start-file",
    "baud",
    "parity",
    "noise",
    "fault",
    "script",
    "flash",
    "reset-cause",
    "for",
)


def parse(words):
    """-> {option: value}; exits with 2 and a reason on what it doesn't know."""
    found = {}
    i = 0
    while i < len(words):
        name = words[i][2:] if words[i].startswith("--") else words[i]
        if name in ("-h", "help"):
            print(HELP)
            raise SystemExit(0)
        if name in FLAGS:
            found[name] = True
            i += 1
        elif name in OPTIONS and i + 1 < len(words):
            found[name] = words[i + 1]
            i += 2
        else:
            print("virtual board: " + words[i] + ": unknown option, or without its value\n" + HELP)
            raise SystemExit(2)
    return found


def board_fields(path):
    """The [board] table of a board.toml: lines key = value, with values that are JSON as well."""
    fields = {}
    inside = False
    with open(path) as f:
        for line in f:
            line = line.strip()
            if line.startswith("["):
                inside = line == "[board]"
            elif inside and "=" in line and not line.startswith("#"):
                key, value = line.split("=", 1)
                fields[key.strip()] = json.loads(value.strip())
    return fields


def absolute(path):
    return path if path.startswith("/") else os.getcwd() + "/" + path


def enter_flash(folder, here, bare):
    """Changes into the board's file system. Returns the fields of board.json, which is written if it isn't there.

    bare: it is not written; the wire hangs on the pins of board.toml until it is there at the next start.
    """
    if folder is None:
        word = "".join(["%02x" % b for b in os.urandom(6)])
        folder = (os.getenv("TMPDIR") or "/tmp") + "/openkline-board-" + word
    try:
        os.mkdir(folder)
    except OSError:
        pass
    os.chdir(folder)
    try:
        with open("board.json") as f:
            return json.load(f)
    except OSError:
        fields = board_fields(here + "/board.toml")
        if not bare:
            with open("board.json", "w") as f:
                json.dump(fields, f)
        return fields


def forget_flash():
    """Removes a file system that nobody named."""
    folder = os.getcwd()
    try:
        for name in os.listdir():
            os.remove(name)
        os.chdir("/")
        os.rmdir(folder)
    except OSError:
        pass


def print_to(stdout):
    """print() through the modelled link, so that it keeps its place in the stream."""
    plain = builtins.print

    def link_print(*args, sep=" ", end="\n", file=None):
        if file is not None:
            plain(*args, sep=sep, end=end, file=file)
        else:
            stdout.write(sep.join([str(a) for a in args]) + end)

    builtins.print = link_print
    return plain


class Launch:
    """Starts something on the wire when the host is there: after its first byte and a while, or when a file appears.

    latest_us: without a host, at this time.
    """

    def __init__(self, world, begin, after_us, start_file=None, latest_us=None):
        self.world, self.begin, self.after_us, self.start_file = world, begin, after_us, start_file
        self.latest_us = latest_us
        world.at(0, self._look)

    def _look(self, _):
        w = self.world
        if self.start_file is not None:
            try:
                os.stat(self.start_file)
                self.begin()
                return
            except OSError:
                pass
        elif w.pacer.first_input_us is not None and w.now >= w.pacer.first_input_us + self.after_us:
            self.begin()
            return
        elif self.latest_us is not None and w.now >= self.latest_us:
            self.begin()
            return
        w.at(w.now + 20_000, self._look)


def read_car(name, here):
    """The OBD car's script behind --car; exits with 2 and a reason."""
    from sim.ecu_data import Data
    from sim.ecu_script import ScriptError, load, setups

    path = name
    if "/" not in name and not name.endswith(".json"):
        path = here + "/cars/" + ("kwp_fast" if name == "obd" else name) + ".json"
    try:
        script = load(path)
        for setup in setups(script):
            Data(setup)
        return script
    except OSError:
        names = [n[:-5] for n in sorted(os.listdir(here + "/cars")) if n.endswith(".json")]
        print("virtual board: --car " + name + ": none, demo, obd, a file, or one of " + ", ".join(names))
    except ScriptError as e:
        print("virtual board: --car " + name + ": " + str(e))
    raise SystemExit(2)


def populate(w, options, replay, start_file):
    """Puts on the wire what the options say."""
    car = options.get("car", "none")
    if car == "demo":
        from sim.car import Car

        w.car = Car(w)
        Launch(w, w.car.start, 500_000, latest_us=5_000_000)
    elif car != "none":
        from sim.obdcar import Car

        w.car = Car(w.wire, options["car-script"], w.seed, keep=1000)
    if "noise" in options:
        w.noise = sim.Noise(w.wire, float(options["noise"]), w.seed)
    if "fault" in options:
        from sim import faults

        for name in options["fault"].split(","):
            if name not in faults.NAMES:
                print("virtual board: --fault " + name + ": one of " + ", ".join(faults.NAMES))
                raise SystemExit(2)
            faults.apply(w, name)
    if replay is not None:
        parity = options.get("parity", "0")

        def begin():
            w.player = sim.Player(
                w.wire,
                sim.player.lines_of(replay),
                baud=int(options.get("baud", 9600)),
                parity=None if parity == "none" else int(parity),
            )

        Launch(w, begin, int(float(options.get("replay-after", 2)) * 1_000_000), start_file)


def run_firmware(w, main):
    """Runs main.py. Returns the exit status, or None if the REPL is to follow."""
    names = {"__name__": "__main__", "__file__": "main.py"}
    try:
        with open(main) as f:
            code = f.read()
        exec(compile(code, "main.py", "exec"), names)
    except SystemExit as e:
        return e.value if isinstance(e.value, int) else 0
    except KeyboardInterrupt as e:
        usys.modules["sys"].print_exception(e)
    except Exception as e:
        usys.modules["sys"].print_exception(e)
    return None


def main():
    options = parse(usys.argv[1:])
    here = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
    here = absolute(here)
    firmware = absolute(here + "/../../firmware")
    for i, p in enumerate(usys.path):
        if p and p != ".frozen":
            usys.path[i] = absolute(p)
    bare = "bare" in options
    if bare:
        usys.path.insert(0, "")  # as on the board
        usys.path.append("lib")
    else:
        usys.path.append(firmware)
    replay = script = None
    if "replay" in options:
        name = options["replay"]
        replay = open(int(name) if name.isdigit() else name, "rb")
    if "script" in options:
        with open(options["script"]) as f:
            script = f.read()
    if options.get("car", "none") not in ("none", "demo"):
        options["car-script"] = read_car(options["car"], here)
    start_file = absolute(options["start-file"]) if "start-file" in options else None
    fields = enter_flash(options.get("flash"), here, bare)

    clock = options.get("clock", "paced")
    w = sim.World(int(options.get("seed", 1)), clock, board=fields, reset_cause=int(options.get("reset-cause", 1)))
    if clock == "virtual":
        from sim.paced import Pacer

        w.pacer = Pacer(w, pace=False)
    if "for" in options:
        w.pacer.end_us = int(float(options["for"]) * 1_000_000)
        w.pacer.ends_at_eof = False
    populate(w, options, replay, start_file)
    if script is not None:
        exec(script, {"w": w, "sim": sim})

    plain = print_to(w.usb.stdout)
    main_py = find_main(firmware, bare)
    status = run_firmware(w, main_py) if main_py else None
    w.pacer.finish()
    builtins.print = plain
    if status is not None or "no-repl" in options:
        if "flash" not in options:
            forget_flash()
        raise SystemExit(status or 0)
    os.putenv("MICROPYINSPECT", "1")


def find_main(firmware, bare):
    """main.py on the path (an installed package links it elsewhere), else the source tree's; bare: the board's own."""
    if bare:
        return "main.py" if "main.py" in os.listdir() else None
    for p in usys.path:
        try:
            os.stat(p + "/main.py")
            return p + "/main.py"
        except OSError:
            pass
    return firmware + "/main.py"


main()

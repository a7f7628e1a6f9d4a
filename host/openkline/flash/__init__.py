"""`openkline flash`: from a bare board to one that answers.

flasher.py   the steps in their order; run again, it does what is still missing
plan.py      what is to be done with which board, as --dry-run prints it
memory.py    what was chosen for a board, remembered on this computer
find.py      which port, and what the operating system says against it
esp.py       the chip's boot loader, through the program esptool
images.py    MicroPython's image: where it comes from, and whether it is whole
files.py     the board's file system, through the program mpremote
selftest.py  the application's answers
tools.py     how the two programs are run
trouble.py   what they say when it goes wrong, in words that say what to try
progress.py  what a person sees meanwhile
"""

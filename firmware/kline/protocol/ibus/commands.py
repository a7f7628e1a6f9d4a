"""Commands of the E46's K-bus, by name: 115 messages that circulate among owners.

Source of all bytes: github.com/muki01/I-K_Bus (MIT), E46_Codes.h. Names, groups and sentences are ours; what a message
does is what the source's label says of it, and we have not tried any of them on a car. Where the label is ambiguous,
the sentence says so. Messages whose length byte is wrong in the source are left out.

Each line of the table:  name | message without checksum | ! or nothing | what it does
`!` = caution, a person should be asked first: something moves, locks or unlocks, the driver loses light, or key and
ignition are pretended, on which other modules act.

Lamp messages (3F 0B BF 0C, then 8 bytes) set bits, which the single-lamp messages show: byte 5 (counted from 1) has 01
brake centre, 08 brake left, 10 brake right, 20 left front turn, 40 right front turn; byte 6 has 02 low beam right,
04 low beam left, 10 main beam left, 20 high beam right, 40 left tail; byte 7 has 01 fog, 08 rear, 20 left and 80 right
rear turn. "Combination" below is read off these bits.

The table is text and is parsed for each search: nothing is kept in memory but the text.
"""

from kline.protocol.ibus.frames import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = "github.com/muki01/I-K_Bus (MIT), E46_Codes.h"

_TABLE = (
    "windows",
    """\
window_front_driver_open | 3F 05 00 0C 52 01 | ! | Open the front window on the driver's side
window_front_driver_close | 3F 05 00 0C 53 01 | ! | Close the front window on the driver's side
window_front_passenger_open | 3F 05 00 0C 54 01 | ! | Open the front window on the passenger's side
window_front_passenger_close | 3F 05 00 0C 55 01 | ! | Close the front window on the passenger's side
window_rear_driver_open | 3F 05 00 0C 41 01 | ! | Open the rear window on the driver's side
window_rear_driver_close | 3F 05 00 0C 42 01 | ! | Close the rear window on the driver's side
window_rear_passenger_open | 3F 05 00 0C 44 01 | ! | Open the rear window on the passenger's side
window_rear_passenger_close | 3F 05 00 0C 43 01 | ! | Close the rear window on the passenger's side
""",
    "sunroof",
    """\
sunroof_open_a_bit | 3F 05 00 0C 7E 01 | ! | Open the sunroof by one step
sunroof_close_a_bit | 3F 05 00 0C 7F 01 | ! | Close the sunroof by one step
""",
    "locks",
    """\
doors_unlock_with_interior_light | 3F 05 00 0C 03 01 | ! | Unlock the doors and light the interior
doors_lock_key | 3F 05 00 0C 34 01 | ! | Lock the doors (the label adds key, unexplained)
doors_fuel_trunk | 3F 05 00 0C 46 01 | ! | Doors, fuel flap and trunk; lock or unlock, the label does not say
driver_door_lock | 3F 05 00 0C 47 01 | ! | Lock the driver's door only
all_except_driver_lock | 3F 05 00 0C 4F 01 | ! | Lock every door but the driver's
doors_hard_lock | 3F 05 00 0C 97 01 | ! | Lock the doors hard (the label's word, unexplained)
""",
    "trunk",
    """\
trunk_open_code_02 | 3F 05 00 0C 02 01 | ! | Open the trunk (one of three codes that the source gives for it)
trunk_open_code_05 | 3F 05 00 0C 05 01 | ! | Open the trunk (one of three codes that the source gives for it)
trunk_open_code_95 | 3F 05 00 0C 95 01 | ! | Open the trunk (one of three codes that the source gives for it)
""",
    "remote_key",
    """\
remote_lock | 00 04 BF 72 12 | ! | Pretend the lock button of the remote key
remote_unlock | 00 04 BF 72 22 | ! | Pretend the unlock button of the remote key
remote_close_button | 00 04 BF 72 16 | ! | Pretend the remote key's close button; remote_release_button ends it
remote_open_button | 00 04 BF 72 26 | ! | Pretend the remote key's open button; remote_release_button ends it
remote_release_button | 00 04 BF 72 06 | ! | Pretend that the remote key's button was let go
""",
    "ignition",
    """\
key_in | 44 05 BF 74 04 00 | ! | Pretend that the key was put in the lock
key_out | 44 05 BF 74 00 FF | ! | Pretend that the key was taken out
ignition_off | 80 04 BF 11 00 | ! | Pretend that the ignition is off
ignition_pos1 | 80 04 BF 11 01 | ! | Pretend that the ignition is in position 1
ignition_pos2 | 80 04 BF 11 03 | ! | Pretend that the ignition is in position 2
""",
    "wipers",
    """\
wipers_front | 3F 05 00 0C 49 01 | ! | Run the windscreen wipers
washer_front | 3F 05 00 0C 62 01 | ! | Spray the windscreen
""",
    "interior_light",
    """\
interior_off | 3F 05 00 0C 01 01 | | Switch the interior light off
interior_off_dim | 3F 05 00 0C 68 01 | | Interior light off or dimmed; which, the label does not say
interior_dim_code_30 | 3F 05 00 0C 30 01 | | Dim the interior light; up or down the label does not say
interior_on_3s | 3F 05 00 0C 60 01 | | Light the interior for 3 seconds
clown_flash | 3F 05 00 0C 4E 01 | | Light what the source calls the clown nose for 3 seconds
""",
    "lights",
    """\
lights_off | 3F 0F D0 0C 00 00 00 00 00 00 00 00 40 E4 FF 00 | ! | Switch the outside lights off
follow_me_home | 3F 0B BF 0C 00 00 80 00 00 00 00 06 | | Follow-me-home lighting
goodbye_lights | 3F 0B BF 0C 00 00 00 00 62 08 A0 06 | | Goodbye lighting: a combination with all four turn signals
park_and_signals | 3F 0B BF 0C 80 00 00 00 00 00 00 06 | | Parking lights and turn signals by one bit, 80 in byte 1
park_and_signals_lamps | 3F 0B BF 0C 00 00 00 00 62 48 0A 06 | | Parking lights and turn signals: a combination
park_and_signals_brake | 3F 0B BF 0C 00 00 00 00 7A 48 0A 06 | | As park_and_signals_lamps, plus both brake lights
park_signals_brake_fog | 3F 0B BF 0C 00 00 00 00 7A 48 0B 06 | | As park_and_signals_brake, plus the fog lights
low_beams | 3F 0B BF 0C 00 00 00 00 02 4E 0A 06 | | Both low beams: a combination with further lamps
low_beam_left | 3F 0B BF 0C 00 00 00 00 00 04 00 06 | | Low beam, left
low_beam_right | 3F 0B BF 0C 00 00 00 00 00 02 00 06 | | Low beam, right
low_beam_delayed | 3F 0B BF 0C 10 00 00 00 00 00 00 06 | | Low beam, delayed (the label says no more)
main_beam_left | 3F 0B BF 0C 00 00 00 00 00 10 00 06 | | Main beam, left
high_beam_right | 3F 0B BF 0C 00 00 00 00 00 20 00 06 | | High beam, right (the label adds low, unexplained)
fog_lights | 3F 0B BF 0C 00 00 00 00 00 00 01 06 | | Fog lights; front or rear the label does not say
tail_left | 3F 0B BF 0C 00 00 00 00 00 40 00 06 | | Tail light, left
rear_light | 3F 0B BF 0C 00 00 00 00 00 00 08 06 | | Rear light; which one the label does not say
brake_light_centre | 3F 0B BF 0C 00 00 00 00 01 00 00 06 | | Third brake light, above
brake_light_left | 3F 0B BF 0C 00 00 00 00 08 00 00 06 | | Brake light, left
brake_light_right | 3F 0B BF 0C 00 00 00 00 10 00 00 06 | | Brake light, right
turn_front_left_steady | 3F 0B BF 0C 00 00 00 00 20 00 00 06 | | Front left turn signal, steady
turn_front_right_steady | 3F 0B BF 0C 00 00 00 00 40 00 00 06 | | Front right turn signal, steady
turn_rear_left_steady | 3F 0B BF 0C 00 00 00 00 00 00 20 06 | | Rear left, steady (the label leaves out turn signal)
turn_rear_right_steady | 3F 0B BF 0C 00 00 00 00 00 00 80 06 | | Rear right, steady (the label leaves out turn signal)
parking_light_left | 3F 0B BF 0C 00 00 00 40 00 00 00 06 | | Parking light, left
parking_light_right | 3F 0B BF 0C 00 00 00 80 00 00 00 06 | | Parking light, right
hazard_lights | 3F 0B BF 0C 20 00 00 00 00 00 00 06 | | Hazard lights
hazard_cluster_and_lamps | 3F 05 00 0C 70 01 | | Hazard lights, in cluster and lamp module
hazard_lamps_3s | 3F 05 00 0C 75 01 | | Hazard lights for 3 seconds, by the lamp module
""",
    "cluster",
    """\
average_speed_clear | 3B 05 80 41 10 0A | | Clear the on-board computer's average speed
speed_limit_set_current | 3B 05 80 41 09 20 | | Speed limit: take the current speed, as far as the label tells
speed_limit_off | 3B 05 80 41 09 08 | | Switch the speed limit's warning off
mileage_request | BF 03 80 16 | | Ask the cluster for the mileage
time_request | 68 05 80 41 01 01 | | Ask the cluster for the time of day
""",
    "steering_wheel",
    """\
wheel_volume_up | 50 04 68 32 11 | | Steering wheel: radio louder
wheel_volume_down | 50 04 68 32 10 | | Steering wheel: radio quieter
wheel_phone_volume_up | 50 04 C8 32 11 | | Steering wheel: telephone louder
wheel_phone_volume_down | 50 04 C8 32 10 | | Steering wheel: telephone quieter
wheel_speech_button | 50 04 B0 3B 80 | | Steering wheel: the telephone button held, for the speech input
wheel_send_end_button | 50 04 C8 3B 80 | | Steering wheel: the telephone button, to send or end a call
wheel_rt_button | 50 04 68 3B 02 | | Steering wheel: the R/T button
""",
    "radio",
    """\
radio_go_to | 68 04 FF 3B 00 | | Go to the radio; the source is not sure, and has the same bytes as no button pressed
""",
    "cd_changer",
    """\
cd_stop | 68 05 18 38 01 00 | | Tell the CD changer to stop
cd_pause | 68 05 18 38 02 00 | | Tell the CD changer to pause
cd_play | 68 05 18 38 03 00 | | Tell the CD changer to play
cd_back_00 | 68 05 18 38 08 00 | | As the radio, to the CD changer: back, with 00 (one of two in the source)
cd_back_01 | 68 05 18 38 08 01 | | As the radio, to the CD changer: back, with 01 (one of two in the source)
cd_left | 68 05 18 38 0A 01 | | As the radio, to the CD changer: left
cd_right | 68 05 18 38 0A 00 | | As the radio, to the CD changer: right
cd_select | 68 05 18 38 07 01 | | As the radio, to the CD changer: select
cd_button_1 | 68 05 18 38 06 01 | | As the radio, to the CD changer: button 1
cd_button_2 | 68 05 18 38 06 02 | | As the radio, to the CD changer: button 2
cd_button_3 | 68 05 18 38 06 03 | | As the radio, to the CD changer: button 3
cd_button_4 | 68 05 18 38 06 04 | | As the radio, to the CD changer: button 4
cd_button_5 | 68 05 18 38 06 05 | | As the radio, to the CD changer: button 5
cd_button_6 | 68 05 18 38 06 06 | | As the radio, to the CD changer: button 6
cd_presence_request | 68 03 18 01 | | Ask whether the CD changer is there
cd_presence_reply | 18 04 FF 02 00 | | As the CD changer: I am here
cd_presence_reply_after_reset | 18 04 FF 02 01 | | As the CD changer: I am here, after a reset
cd_status | 18 0E 68 39 00 82 00 3F 00 07 00 00 01 01 01 | | As the CD changer: a status that the source leaves open
cd_status_stopped | 18 0A 68 39 00 02 00 3F 00 07 01 | | As the CD changer: status stopped
cd_status_playing | 18 0A 68 39 02 09 00 3F 00 07 01 | | As the CD changer: status playing
""",
    "phone",
    """\
phone_on | C8 04 E7 2C 10 | | As the telephone: switched on
phone_handsfree_on | C8 04 E7 2C 11 | | As the telephone: switched on, hands-free
phone_incoming_call | C8 04 E7 2C 05 | | As the telephone: a call comes in
phone_active_call | C8 04 E7 2C 33 | | As the telephone: a call is going on
""",
    "dsp",
    """\
dsp_presence_request | 68 03 6A 01 | | Ask whether the sound processor (DSP) is there
dsp_presence_reply | 6A 04 FF 02 00 | | As the DSP: I am here
dsp_presence_reply_after_reset | 6A 04 FF 02 01 | | As the DSP: I am here, after a reset
dsp_volume_up_1 | 68 04 6A 32 11 | | DSP louder by 1 step
dsp_volume_up_2 | 68 04 6A 32 21 | | DSP louder by 2 steps
dsp_volume_up_3 | 68 04 6A 32 31 | | DSP louder by 3 steps
dsp_volume_down_1 | 68 04 6A 32 10 | | DSP quieter by 1 step
dsp_volume_down_2 | 68 04 6A 32 20 | | DSP quieter by 2 steps
dsp_volume_down_3 | 68 04 6A 32 30 | | DSP quieter by 3 steps
dsp_function_0 | 68 04 6A 36 30 | | DSP function 0 (the label says no more)
dsp_function_1 | 68 04 6A 36 E1 | | DSP function 1 (the label says no more)
dsp_source_off | 68 04 6A 36 AF | | DSP source: off
dsp_source_cd | 68 04 6A 36 A0 | | DSP source: CD
dsp_source_tuner | 68 04 6A 36 A1 | | DSP source: tuner
""",
)


class Command:
    """One named message. body: source, length, destination, data.., no checksum. caution: ask a person first."""

    __slots__ = ("body", "caution", "description", "group", "name")

    def __init__(self, group: str, line: str) -> None:
        fields = [field.strip() for field in line.split("|")]
        self.name = fields[0]
        self.body = bytes.fromhex(fields[1])
        self.caution = fields[2] == "!"
        self.description = fields[3]
        self.group = group

    def frame(self) -> bytes:
        """The whole frame, with checksum."""
        return encode(self.body[0], self.body[2], self.body[3:])

    def __repr__(self) -> str:
        return "<Command %s>" % self.name


def commands() -> "Iterator[Command]":
    """Every command, group by group."""
    for i in range(0, len(_TABLE), 2):
        for line in _TABLE[i + 1].split("\n"):
            if line:
                yield Command(_TABLE[i], line)


def find(text: str) -> "Iterator[Command]":
    """Commands that have every word of `text` in name, group or description; case does not matter."""
    words = text.lower().split()
    for command in commands():
        where = (command.name + " " + command.group + " " + command.description).lower()
        if all(word in where for word in words):
            yield command


def get(name: str) -> "Command | None":
    """The command of exactly this name, or None."""
    for command in commands():
        if command.name == name:
            return command
    return None

"""Names of I/K-Bus addresses and message types, for people. Nothing on the receive path uses them.

Which address and which type means what: public documentation of the E31..E87 models as gathered in
github.com/piersholt/wilhelm-docs; abbreviations are the maker's, the wording is ours. One address may serve different
devices in different models. `?` marks what that documentation has as unconfirmed.

Tables are text, searched as such: a few KB in one piece, and nothing else in memory.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kline.protocol._types import Buffer

_ADDRESSES = """
00 ZKE Body electronics (general module)
08 SHD Sunroof
18 CDC CD changer
24 HKM Trunk lid
28 RCC Radio-controlled clock
2E EDC Damper control
30 CCM Check control
3B GT Navigation graphics
3F DIA Diagnosis, through the gateway
40 FBZV Remote control of the central locking
43 GTF Navigation graphics, rear
44 EWS Immobiliser
45 DWA Alarm
46 CID Central display
47 FMBT Rear control panel
48 JBIT Telephone (Japan)
50 MFL Steering wheel buttons
51 SPMBT Mirror memory, passenger
53 MUL Several receivers ?
5B IHKA Climate control
60 PDC Parking distance
66 ALC Adaptive headlights
68 RAD Radio
69 EKM Electronic body module
6A DSP Sound processor
6B STH Auxiliary heating
70 RDC Tyre pressure (RDC, DWS)
71 SMF Seat memory, driver
72 SMF Seat memory, driver
76 CDC CD changer (DIN) ?
7F NAV Navigation
80 IKE Instrument cluster (IKE, KMB)
9A ALWR Headlight levelling
9B CVM Soft top (CVM) or mirror memory, driver (SPMFT)
9C CVM Soft top
9D ETS Electronic disconnect switch
A0 FID Rear display
A4 MRS Airbags and belts
A7 FHK Rear climate control
AC EHC Ride height
B0 SES Voice input
B9 RF/IR Small remote control
BB NAJ Navigation (Japan)
BF GLO All modules
C0 MID Multi-information display
C8 TEL Telephone
CD MID Multi-information display
D0 LCM Lamps and light switch (LCM, LSZ)
DA SMB Seat memory, passenger
E0 IRIS Integrated radio and information
E7 ANZV All displays
E8 RLS Rain and light sensor
EA DSPC Sound processor's controls
ED VID Video
F0 BMBT On-board monitor's buttons
F5 SZM Centre console switches (SZM) or second lamp control (LKM2)
FF LOC All modules of this bus
"""

_MESSAGES = """
01 Are you there?
02 I am here
05 Monitor service mode, request
06 Monitor service mode
10 Ignition, request
11 Ignition
12 Sensors, request
13 Sensors
14 Language and region, request
15 Language and region
16 Mileage, request
17 Mileage
18 Road and engine speed
19 Temperature
1A Check control message
1B Check control priority
1D Temperature, request
1F Time by GPS
20 MID button
21 Menu text
22 Text buffer
23 Title text
24 Property text
27 Cluster to MID ?
2A On-board computer status
2B Telephone lamps
2C Telephone status
2D Telephone number to dial
31 Menu choice
32 Volume
34 DSP setting
36 Radio tone setting
37 Radio tone and select menu
38 CD changer, request
39 CD changer status
3B Steering wheel button
40 On-board computer, input
41 On-board computer, command
42 On-board computer, remote control
45 Radio screen mode
46 Radio screen mode, request
47 Monitor soft button
48 Monitor button
49 Monitor dial
4A Tape and LED command
4B Tape status
4E Audio source
4F Monitor and video source command
50 Check control status, request
51 Check control status
52 Check control message, relayed
53 Redundant data, request
54 Redundant data
55 Redundant data, copy
57 Cluster button
58 Rain and light sensor to body electronics ?
59 Light sensor
5A Lamp states, request
5B Lamp states
5C Instrument lighting
5D Instrument lighting, request
61 Ride height to all ?
70 Airbags and belts to all ?
71 Remote key, request
72 Remote key
73 Key state, request
74 Key state
75 Rain and light sensor to body electronics ?
76 Visible signals
77 Body electronics to rain and light sensor ?
78 Seat and mirror memory
79 Doors and lids, request
7A Doors and lids
7C Sunroof to all ?
7D Body electronics to sunroof ?
82 Climate control to all ?
83 Climate control command
86 Climate control to navigation ?
87 Navigation to climate control ?
9E Graphics to radio clock ?
A2 Position: coordinates
A4 Position: place
A5 Body text
A6 SMS symbol
A7 Traffic messages, request
A8 Traffic messages
A9 Assist data
AA Navigation command
AB Navigation view
AF Navigation to voice input ?
D4 Station list
"""

# From the diagnosis tester (3F) and to it (A0 and on) a number means something else than elsewhere.
_TESTER = 0x3F
_DIAGNOSIS = """
00 identification
02 read
04 read fault memory
05 clear fault memory
06 read memory
08 read coding
09 write coding
0B read status
0C control an output
1B PDC distances
53 vehicle data
69 vehicle code
9E keep open
9F end
A0 done
A1 busy
A2 bad parameter
B0 bad parameter
FF bad command
"""


def _look_up(table: str, byte: int) -> str:
    """What stands behind the byte's two hex digits in its line of the table; '' when there is none."""
    start = table.find("\n%02X " % byte)
    return "" if start < 0 else table[start + 4 : table.find("\n", start + 1)]


def address_name(byte: int) -> str:
    """Abbreviation, such as `IKE`; of an unknown address its two hex digits."""
    return _look_up(_ADDRESSES, byte).split(" ")[0] or "%02X" % byte


def address_title(byte: int) -> str:
    """What sits there, such as `Instrument cluster (IKE, KMB)`; of an unknown address its two hex digits."""
    entry = _look_up(_ADDRESSES, byte)
    return entry[entry.find(" ") + 1 :] or "%02X" % byte


def message_name(source: int, destination: int, byte: int) -> str:
    """What a message with this type (first data byte) is about, between these addresses.

    Of an unknown type its two hex digits; from or to the diagnosis tester with a word that says so.
    """
    if _TESTER in (source, destination):
        return "Diagnosis: " + (_look_up(_DIAGNOSIS, byte) or "%02X" % byte)
    return _look_up(_MESSAGES, byte) or "%02X" % byte


def describe(frame: "Buffer") -> str:
    """One line about a frame, with or without its checksum: `IKE -> GLO  Ignition`. Anything shorter: its hex."""
    if len(frame) < 4:
        return " ".join(["%02X" % byte for byte in frame])
    return "%s -> %s  %s" % (address_name(frame[0]), address_name(frame[2]), message_name(frame[0], frame[2], frame[3]))

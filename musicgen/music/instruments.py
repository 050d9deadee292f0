"""Instruments by name: General MIDI's 128 and folk names, with programs and written ranges.

program("fiddle") -> 110        program("tin whistle") -> 72        program("22") -> 22
written_range("fiddle") -> (55, 83)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from musicgen.config import unknown
from musicgen.errors import ConfigError, ControlError, printable
from musicgen.music.theory import Pitch
from musicgen.music.tune import Voice, notes_of

# General MIDI level 1, sound set; the position is the program number, counted from 0.
GENERAL_MIDI = (
    *("acoustic grand piano", "bright acoustic piano", "electric grand piano"),
    *("honky-tonk piano", "electric piano 1", "electric piano 2", "harpsichord", "clavinet"),
    *("celesta", "glockenspiel", "music box", "vibraphone"),
    *("marimba", "xylophone", "tubular bells", "dulcimer"),
    *("drawbar organ", "percussive organ", "rock organ", "church organ"),
    *("reed organ", "accordion", "harmonica", "tango accordion"),
    *("nylon guitar", "steel guitar", "jazz guitar", "clean electric guitar"),
    *("muted electric guitar", "overdriven guitar", "distortion guitar", "guitar harmonics"),
    *("acoustic bass", "fingered bass", "picked bass", "fretless bass"),
    *("slap bass 1", "slap bass 2", "synth bass 1", "synth bass 2"),
    *("violin", "viola", "cello", "contrabass"),
    *("tremolo strings", "pizzicato strings", "orchestral harp", "timpani"),
    *("string ensemble 1", "string ensemble 2", "synth strings 1", "synth strings 2"),
    *("choir aahs", "voice oohs", "synth voice", "orchestra hit"),
    *("trumpet", "trombone", "tuba", "muted trumpet"),
    *("french horn", "brass section", "synth brass 1", "synth brass 2"),
    *("soprano sax", "alto sax", "tenor sax", "baritone sax"),
    *("oboe", "english horn", "bassoon", "clarinet"),
    *("piccolo", "flute", "recorder", "pan flute"),
    *("blown bottle", "shakuhachi", "whistle", "ocarina"),
    *("square lead", "sawtooth lead", "calliope lead", "chiff lead"),
    *("charang lead", "voice lead", "fifths lead", "bass and lead"),
    *("new age pad", "warm pad", "polysynth pad", "choir pad"),
    *("bowed pad", "metallic pad", "halo pad", "sweep pad"),
    *("rain", "soundtrack", "crystal", "atmosphere"),
    *("brightness", "goblins", "echoes", "sci-fi"),
    *("sitar", "banjo", "shamisen", "koto"),
    *("kalimba", "bagpipe", "fiddle", "shanai"),
    *("tinkle bell", "agogo", "steel drums", "woodblock"),
    *("taiko drum", "melodic tom", "synth drum", "reverse cymbal"),
    *("guitar fret noise", "breath noise", "seashore", "bird tweet"),
    *("telephone ring", "helicopter", "applause", "gunshot"),
)


# General MIDI level 1, percussion key map, from the first key on.
FIRST_PERCUSSION_KEY = 35
PERCUSSION = (
    *("acoustic bass drum", "bass drum 1", "side stick", "acoustic snare", "hand clap"),
    *("electric snare", "low floor tom", "closed hi hat", "high floor tom", "pedal hi hat"),
    *("low tom", "open hi hat", "low mid tom", "hi mid tom", "crash cymbal 1", "high tom"),
    *("ride cymbal 1", "chinese cymbal", "ride bell", "tambourine", "splash cymbal", "cowbell"),
    *("crash cymbal 2", "vibraslap", "ride cymbal 2", "hi bongo", "low bongo", "mute hi conga"),
    *("open hi conga", "low conga", "high timbale", "low timbale", "high agogo", "low agogo"),
    *("cabasa", "maracas", "short whistle", "long whistle", "short guiro", "long guiro", "claves"),
    *("hi wood block", "low wood block", "mute cuica", "open cuica", "mute triangle"),
    "open triangle",
)
PERCUSSION_KEYS = {name: key for key, name in enumerate(PERCUSSION, FIRST_PERCUSSION_KEY)}


@dataclass(frozen=True, slots=True)
class Instrument:
    """An instrument under one or several names.

    `program` is the General MIDI program that sounds most like it. `lowest` and `highest` are the
    pitches that a tune for it is written with, "" where they are not known.
    """

    names: tuple[str, ...]
    program: int
    lowest: str = ""
    highest: str = ""

    @property
    def written(self) -> tuple[int, int]:
        """`lowest` and `highest` as MIDI numbers."""
        low, high = (Pitch(name[0], 0, int(name[1:])).midi for name in (self.lowest, self.highest))
        return low, high


# Ranges are those of tune books: whistles, flutes of the low octave and banjos sound an octave
# lower or higher than they are written.
INSTRUMENTS = (
    Instrument(("d whistle",), 72, "D4", "B5"),
    # General MIDI's own whistle is somebody whistling.
    Instrument(("tin whistle", "penny whistle", "whistle"), 72, "D4", "B5"),
    Instrument(("low whistle",), 74, "D4", "B5"),
    Instrument(("c whistle",), 72, "C4", "A5"),
    Instrument(("flute",), 73, "D4", "D6"),  # wooden, in D
    Instrument(("concert flute",), 73, "C4", "C7"),
    Instrument(("recorder",), 74, "C4", "D6"),  # soprano
    Instrument(("alto recorder",), 74, "F4", "G6"),
    Instrument(("fiddle",), 110, "G3", "B5"),  # first position
    Instrument(("violin",), 40, "G3", "B5"),
    Instrument(("hardanger fiddle",), 110, "A3", "B5"),
    Instrument(("viola",), 41, "C3", "E5"),
    Instrument(("cello",), 42, "C2", "D4"),
    Instrument(("mandolin",), 25, "G3", "B5"),
    Instrument(("octave mandolin",), 25, "G3", "B5"),
    Instrument(("tenor banjo",), 105, "G3", "B5"),
    Instrument(("bouzouki",), 25, "G3", "A5"),
    Instrument(("five-string banjo", "five string banjo"), 105, "D4", "A5"),
    Instrument(("banjo",), 105, "D4", "A5"),
    Instrument(("guitar",), 25, "E3", "B5"),
    Instrument(("mountain dulcimer",), 15, "D4", "D6"),
    Instrument(("hammered dulcimer",), 15, "D4", "D6"),
    Instrument(("harp",), 46, "C3", "C6"),
    Instrument(("uilleann pipes",), 109, "D4", "D6"),
    Instrument(("bagpipes",), 109, "G4", "A5"),
    Instrument(("highland pipes", "smallpipes"), 109, "G4", "A5"),
    Instrument(("button accordion",), 21, "B3", "B5"),
    Instrument(("accordion",), 21, "F3", "A6"),
    Instrument(("melodeon",), 21, "D4", "B5"),
    Instrument(("concertina",), 20, "G3", "C6"),
    Instrument(("harmonica", "mouth organ"), 22, "C4", "C6"),
    Instrument(("voice",), 53, "B3", "E5"),
    Instrument(("piano",), 0),
    Instrument(("organ",), 19),
    Instrument(("harmonium",), 20),
    Instrument(("bandoneon",), 23),
    Instrument(("double bass", "bass"), 32),
    Instrument(("strings",), 48),
    Instrument(("choir",), 52),
    Instrument(("horn",), 60),
    Instrument(("pipes",), 109),
)
# Program of each name, folk names first.
PROGRAMS = {name: row.program for row in INSTRUMENTS for name in row.names}
PROGRAMS |= {name: PROGRAMS.get(name, number) for number, name in enumerate(GENERAL_MIDI)}
# Names that parts have and instruments do not, and the programs that sing them.
PART_NAMES = PROGRAMS | dict.fromkeys(
    ("soprano", "alto", "tenor", "baritone", "vocal", "vocals"), 53
)
# The program of a voice without name and program, by the least average of its MIDI pitches.
BY_RANGE = ((60, "flute"), (53, "viola"), (43, "cello"), (0, "contrabass"))
# Lowest and highest MIDI number of each name for which they are known.
RANGES = {name: row.written for row in INSTRUMENTS if row.lowest for name in row.names}


def program(instrument: str) -> int:
    """General MIDI program, 0 to 127, of a name in any case, or of a number as text.

    Raises:
        ConfigError: there is no such instrument.
    """
    name = _plain(instrument)
    if name.isascii() and name.isdecimal():
        if len(name) > 3 or int(name) > 127:
            raise ConfigError(f"instrument {name[:20]}: General MIDI counts from 0 to 127")
        return int(name)
    if name not in PROGRAMS:
        message = unknown(f"'{name[:40]}'", name, PROGRAMS, kind="instrument")
        if "did you mean" not in message:
            message = f"{message.partition(';')[0]}; use a name such as fiddle, or 0 to 127"
        raise ConfigError(message)
    return PROGRAMS[name]


def usual_program(name: str, pitches: Sequence[int]) -> int:
    """The program of a voice that has none: that of the instrument in its name, the longest of
    several ("Violin I" has "violin"); else one whose range fits its MIDI pitches."""
    words = f" {' '.join(re.findall(r'[a-z0-9-]+', name.lower()))} "
    known = [part for part in PART_NAMES if f" {part} " in words]
    if known:
        return PART_NAMES[max(known, key=len)]
    average = sum(pitches) / len(pitches) if pitches else BY_RANGE[0][0]
    return next(PROGRAMS[instrument] for least, instrument in BY_RANGE if max(average, 0) >= least)


def sounding_program(
    voice: Voice, given: int | None, *, number: int = 0, instrument: str = ""
) -> int:
    """The program that plays a voice in every format, where `given` is that of the place: for drums
    a kit, else of `instrument`, names with commas, one for each voice in turn, then `given`, then
    the usual one.

    Raises:
        ConfigError: there is no such instrument.
    """
    if voice.percussion is not None:
        return given or 0
    names = [name for name in instrument.split(",") if name.strip()]
    if names:
        return program(names[number % len(names)])
    if given is not None:
        return given
    pitches = [note.midi + voice.transposition for e in voice.events for note in notes_of(e)]
    return usual_program(voice.name or voice.id, pitches)


def written_range(instrument: str) -> tuple[int, int]:
    """Lowest and highest MIDI number that a tune for an instrument is written with.

    Raises:
        ControlError: its range is not known.
    """
    name = _plain(instrument)
    if name not in RANGES:
        raise ControlError(unknown(f"'{printable(name[:40])}'", name, RANGES, kind="instrument"))
    return RANGES[name]


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").split())

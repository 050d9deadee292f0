"""Instruments by name: General MIDI's 128, and what folk musicians call them.

program("fiddle") -> 110        program("tin whistle") -> 72        program("22") -> 22
"""

from __future__ import annotations

from musicgen.config import unknown
from musicgen.errors import ConfigError, ControlError, printable

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
# What a player says, and the program that comes nearest.
FOLK_NAMES = {
    "piano": 0,
    "hammered dulcimer": 15,
    "organ": 19,
    "harmonium": 20,
    "concertina": 20,
    "button accordion": 21,
    "melodeon": 21,
    "mouth organ": 22,
    "bandoneon": 23,
    "guitar": 25,
    "bouzouki": 25,
    "mandolin": 25,
    "double bass": 32,
    "bass": 32,
    "harp": 46,
    "strings": 48,
    "choir": 52,
    "horn": 60,
    "whistle": 72,  # General MIDI's own is somebody whistling
    "tin whistle": 72,
    "penny whistle": 72,
    "low whistle": 74,
    "pipes": 109,
    "bagpipes": 109,
    "uilleann pipes": 109,
}
_PROGRAMS = {name: number for number, name in enumerate(GENERAL_MIDI)} | FOLK_NAMES


def program(instrument: str) -> int:
    """General MIDI program, 0 to 127, of a name in any case, or of a number as text.

    Raises:
        ConfigError: no such instrument.
    """
    name = " ".join(instrument.lower().replace("_", " ").split())
    if name.isascii() and name.isdecimal():
        if len(name) > 3 or int(name) > 127:
            raise ConfigError(f"instrument {name[:20]}: General MIDI counts from 0 to 127")
        return int(name)
    if name not in _PROGRAMS:
        raise ConfigError(_unknown(name))
    return _PROGRAMS[name]


def _unknown(name: str) -> str:
    message = unknown(f"'{name[:40]}'", name, _PROGRAMS, kind="instrument")
    if "did you mean" in message:
        return message
    return f"{message.partition(';')[0]}; use a name such as fiddle, or 0 to 127"


# Lowest and highest pitch that a tune for the instrument is written with, as tune books write
# them: whistles, flutes of the low octave and banjos sound an octave lower or higher than that.
RANGES = {
    "d whistle": ("D4", "B5"),
    "tin whistle": ("D4", "B5"),
    "penny whistle": ("D4", "B5"),
    "whistle": ("D4", "B5"),
    "low whistle": ("D4", "B5"),
    "c whistle": ("C4", "A5"),
    "flute": ("D4", "D6"),  # wooden, in D
    "concert flute": ("C4", "C7"),
    "recorder": ("C4", "D6"),  # soprano
    "alto recorder": ("F4", "G6"),
    "fiddle": ("G3", "B5"),  # first position
    "violin": ("G3", "B5"),
    "hardanger fiddle": ("A3", "B5"),
    "viola": ("C3", "E5"),
    "cello": ("C2", "D4"),
    "mandolin": ("G3", "B5"),
    "octave mandolin": ("G3", "B5"),
    "bouzouki": ("G3", "A5"),
    "tenor banjo": ("G3", "B5"),
    "five-string banjo": ("D4", "A5"),
    "banjo": ("D4", "A5"),
    "guitar": ("E3", "B5"),
    "mountain dulcimer": ("D4", "D6"),
    "hammered dulcimer": ("D4", "D6"),
    "harp": ("C3", "C6"),
    "uilleann pipes": ("D4", "D6"),
    "highland pipes": ("G4", "A5"),
    "bagpipes": ("G4", "A5"),
    "smallpipes": ("G4", "A5"),
    "button accordion": ("B3", "B5"),
    "accordion": ("F3", "A6"),
    "melodeon": ("D4", "B5"),
    "concertina": ("G3", "C6"),
    "harmonica": ("C4", "C6"),
    "mouth organ": ("C4", "C6"),
    "voice": ("B3", "E5"),
}
RANGES |= {name.replace("-", " "): span for name, span in RANGES.items()}


def written_range(instrument: str) -> tuple[int, int]:
    """Lowest and highest MIDI number that a tune for an instrument is written with.

    Raises:
        ControlError: no range is known for it.
    """
    name = " ".join(instrument.lower().replace("_", " ").split())
    if name not in RANGES:
        message = unknown(f"'{printable(name[:40])}'", name, RANGES, kind="instrument")
        raise ControlError(message)
    low, high = RANGES[name]
    return _midi(low), _midi(high)


def _midi(name: str) -> int:
    return (
        12 * (int(name[1:]) + 1)
        + {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[name[0]]
    )

"""Key, meter, clef and transposition out of <attributes>."""

from __future__ import annotations

from fractions import Fraction
from xml.etree.ElementTree import Element

from musicgen.formats.musicxml.attributes import read_name
from musicgen.formats.musicxml.remarks import read_change, read_remark
from musicgen.formats.musicxml.values import LeftOut, content, integer, number, words
from musicgen.music.clefs import Clef
from musicgen.music.theory import (
    COMMON_TIME,
    CUT_TIME,
    FREE_METER,
    STEPS,
    Interval,
    Key,
    Meter,
    parse_meter,
    parse_mode,
)

MAX_FIFTHS = 14  # no letter is altered by more than two; Fb locrian has 13 flats
_USUAL_LINES = {"G": 2, "F": 4, "C": 3}
_SYMBOLS = {("common", Meter((4,), 4)): COMMON_TIME, ("cut", Meter((2,), 2)): CUT_TIME}
_MAX_SHIFT = 48  # semitones that an instrument may transpose by


def read_key(element: Element, left_out: LeftOut) -> tuple[Key, bool]:
    """A key, and whether its mode was given. Without, it is read as major for the time being."""
    for child in element:
        exact = read_change(*read_remark(child))
        if exact is not None and exact.key is not None:
            return exact.key, True
    if element.find("key-step") is not None:
        steps = [words(step.text) for step in element.iterfind("key-step")]
        alters = [number(alter.text) for alter in element.iterfind("key-alter")]
        known = {
            step: int(alter)
            for step, alter in zip(steps, alters, strict=False)
            if alter is not None and step in STEPS and step and abs(int(alter)) <= 2
        }
        if len(known) < len(steps):
            left_out["a key signature with unusual accidentals, read in part"] += 1
        return Key("", "none", tuple(known.items())), True
    fifths = integer(element.findtext("fifths"))
    if fifths is None or abs(fifths) > MAX_FIFTHS:
        left_out["a key signature that cannot be read, taken as none"] += 1
        return Key("", "none"), True
    word = content(element, "mode").lower()
    if word == "none" and not fifths:
        return Key("", "none"), True
    mode = parse_mode(word) if word else None
    return Key.of_signature(fifths, mode or "major"), mode is not None


def read_meter(element: Element, left_out: LeftOut) -> Meter | None:
    """A meter; several beat types are brought to the smallest note among them."""
    if element.find("senza-misura") is not None:
        return FREE_METER
    beats = [words(b.text).replace(" ", "") for b in element.iterfind("beats")]
    units = [integer(u.text) for u in element.iterfind("beat-type")]
    meter = None
    if len(beats) == len(units) == 1:
        meter = parse_meter(f"{beats[0]}/{units[0]}")
    elif beats and len(beats) == len(units):
        singles = [parse_meter(f"{b}/{u}") for b, u in zip(beats, units, strict=True)]
        if all(singles):
            unit = max(m.unit for m in singles if m)
            meter = Meter(tuple(n * (unit // m.unit) for m in singles if m for n in m.beats), unit)
    if meter is None:
        left_out[f"a meter that cannot be read ('{'+'.join(beats)[:20]}')"] += 1
        return None
    return _SYMBOLS.get((element.get("symbol", ""), meter), meter)


def read_clef(element: Element) -> str:
    """Name of a clef; "" for the treble clef, which goes without saying, and for unknown ones."""
    sign, line = content(element, "sign"), integer(element.findtext("line"))
    octave = integer(element.findtext("clef-octave-change")) or 0
    return read_name(Clef(sign, _USUAL_LINES.get(sign, 0) if line is None else line, octave))


def read_transposition(element: Element) -> Interval | None:
    """From written to sounding pitch; None where the two are the same or nothing can be read."""
    semitones = integer(element.findtext("chromatic")) or 0
    octaves = integer(element.findtext("octave-change")) or 0
    steps = integer(element.findtext("diatonic"))
    if steps is None:
        steps = round(Fraction(semitones * 7, 12))
    semitones += 12 * octaves
    return Interval(steps + 7 * octaves, semitones) if 0 < abs(semitones) <= _MAX_SHIFT else None

"""Key, meter, clef and tempo as MusicXML."""

from __future__ import annotations

from fractions import Fraction
from statistics import fmean

from musicgen.errors import InvalidTuneError
from musicgen.formats.musicxml.accidentals import NAMES
from musicgen.formats.musicxml.lengths import written
from musicgen.formats.musicxml.lines import notes_of
from musicgen.formats.musicxml.remarks import change_remark, key_remark, remark
from musicgen.formats.musicxml.signs import direction
from musicgen.music.clefs import Clef, clef_name, parse_clef
from musicgen.music.theory import FIFTHS_ORDER, Key, Meter, default_qpm
from musicgen.music.tune import Change, Tempo, Voice
from musicgen.system.markup import element, text

_BASS_BELOW = 55.0  # mean MIDI pitch below which a voice without a clef goes in the bass


def clef_of(voice: Voice) -> Clef:
    """The clef of a voice; by its range where none is named."""
    clef = parse_clef(voice.clef)
    if clef is not None:
        return clef
    pitches = [note.midi for event in voice.events for note in notes_of(event)]
    return Clef("F", 4) if pitches and fmean(pitches) < _BASS_BELOW else Clef("G", 2)


def read_name(clef: Clef) -> str:
    """Name of a clef; "" for the treble clef, which goes without saying, and for unknown ones."""
    name = clef_name(clef)
    return "" if name == "treble" else name


def attributes(
    *,
    divisions: int | None = None,
    key: Key | None = None,
    meter: Meter | None = None,
    clef: Clef | None = None,
    transposition: int | None = None,
    all_modes: bool = False,
    staves: int = 0,
    staff: int = 0,
) -> str:
    """An <attributes> element with what is given; `staff` is that of the clef, of several `staves`.
    MuseScore 3 complains of modes other than major and minor, so only `all_modes` names them; our
    remark always does."""
    parts = []
    if divisions is not None:
        parts.append(element("divisions", text(divisions)))
    if key is not None:
        parts.append(_key(key, all_modes=all_modes))
    if meter is not None:
        parts.append(_time(meter))
    if staves:
        parts.append(element("staves", text(staves)))
    if clef is not None:
        numbered = {"number": staff} if staff else {}
        lines = [element("line", text(clef.line))] if clef.line else []
        octaves = [element("clef-octave-change", text(clef.octave))] if clef.octave else []
        parts.append(element("clef", element("sign", clef.sign), *lines, *octaves, **numbered))
    if transposition is not None:
        parts.append(element("transpose", element("chromatic", text(transposition))))
    return element("attributes", *parts)


def _key(key: Key, *, all_modes: bool) -> str:
    if key.accidentals:
        altered = (
            element("key-step", step)
            + element("key-alter", text(key.signature[step]))
            + element("key-accidental", NAMES[key.signature[step]])
            for step in FIFTHS_ORDER
            if key.signature[step]
        )
        return element("key", key_remark(key), *altered)
    named = key.tonic and (all_modes or key.mode in ("major", "minor"))
    mode = element("mode", key.mode if named else "none") if named or not key.tonic else ""
    return element("key", key_remark(key), element("fifths", text(key.fifths)), mode)


def _time(meter: Meter) -> str:
    if not meter.beats:
        return element("time", "<senza-misura/>")
    symbol = {"C": "common", "C|": "cut"}.get(meter.symbol)
    beats = element("beats", "+".join(map(str, meter.beats)))
    kind = {"symbol": symbol} if symbol else {}
    return element("time", beats, element("beat-type", text(meter.unit)), **kind)


def tempo(speed: Tempo) -> str:
    """Tempo words and metronome mark above the staff."""
    kinds = []
    if speed.text:
        kinds.append(element("words", text(speed.text), font_weight="bold"))
    if speed.bpm is not None:
        kinds.append(_metronome(speed))
    if not kinds:
        return change_remark(Change(tempo=speed))
    types = "".join(element("direction-type", kind) for kind in kinds)
    sound = element("sound", tempo=_number(speed.qpm)) if speed.qpm is not None else ""
    is_exact = (
        speed.bpm is not None
        and Fraction(_number(speed.bpm)) == speed.bpm
        and _single(speed.beat)
        and speed.text == " ".join(speed.text.split())
    )
    exact = "" if is_exact else change_remark(Change(tempo=speed))
    return element("direction", exact, types, sound, placement="above")


def default_tempo(rhythm: str) -> str:
    """The tempo at which we play a tune of some rhythm that gives none, for players only."""
    return element("sound", remark("played"), tempo=_number(Fraction(default_qpm(rhythm))))


def _single(beat: Fraction) -> bool:
    """Whether one note value is as long as a beat."""
    try:
        values = written(beat, None)
    except InvalidTuneError:
        return False
    return len(values) == 1 and values[0].actual == 1


def _metronome(speed: Tempo) -> str:
    assert speed.bpm is not None
    beat, bpm = speed.beat, speed.bpm
    if not _single(beat):
        beat, bpm = Fraction(1), speed.bpm * speed.beat
    values = written(beat, None)
    return element(
        "metronome",
        element("beat-unit", values[0].type),
        "<beat-unit-dot/>" * values[0].dots,
        element("per-minute", _number(bpm)),
    )


def _number(value: Fraction) -> str:
    return f"{float(value):.6g}"


def rehearsal(label: str) -> str:
    """A section label above the staff."""
    return direction(element("rehearsal", text(label)), placement="above")

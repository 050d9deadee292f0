"""Write MusicXML 4.0, exact to the last division; the engraver reads nothing else.

Every duration is a whole number of divisions; beams, accidentals and tuplet brackets are written
out, so that no reader has to infer them. Heading lines without an element of their own are
<miscellaneous-field>s, everything else that MusicXML cannot express are `remarks`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import starmap
from math import lcm

from musicgen.errors import InvalidTuneError
from musicgen.formats.musicxml.attributes import clef_of, read_name
from musicgen.formats.musicxml.barlines import (
    ending_stops,
    for_players,
    right_barline,
    shared_bars,
)
from musicgen.formats.musicxml.braces import PartVoices, parts_of
from musicgen.formats.musicxml.instruments import drum_map, instruments
from musicgen.formats.musicxml.jumps import Jumps
from musicgen.formats.musicxml.lengths import written
from musicgen.formats.musicxml.lines import notes_of
from musicgen.formats.musicxml.measures import MeasureWriter, PartPlace, Shape
from musicgen.formats.musicxml.remarks import remark
from musicgen.music.playback import parts_in_order
from musicgen.music.tune import EIGHTH, Bar, Change, Timed, Tune, Voice
from musicgen.system.markup import element, text

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" '
    '"http://www.musicxml.org/dtds/partwise.dtd">\n'
)
MAX_DIVISIONS = 1_000_000
MAX_OCTAVE = 9  # of a <pitch>, which knows 0 to 9


def to_musicxml(
    tune: Tune,
    *,
    line_starts: Collection[int] = (),
    named: bool = False,
    all_modes: bool = False,
    as_written: bool = False,
) -> str:
    """The tune as a MusicXML document; a new line of music begins at the bars `line_starts`.

    With `named` each note and rest of a main line has an id that begins with
    `e{voice}.{bar}.{event}.`, all numbers from 0, events being the timed ones of the bar.
    With `all_modes` keys name other modes than major and minor too, of which MuseScore 3 complains.
    Unless `as_written`, repeats that begin without a sign have one, jumps are at the bar lines, in
    the usual words, and the parts are written out in the order that they are played in.

    Raises:
        InvalidTuneError: it has no music, or a pitch or duration that cannot be written.
    """
    if not tune.voices or not tune.bars:
        raise InvalidTuneError(f"'{tune.title}': there is no music to write")
    ordered = None if as_written else parts_in_order(tune)
    tune = tune if ordered is None else ordered.tune
    bars = shared_bars(tune.voices)
    if ordered is not None:
        bars = [
            replace(bar, repeat_start=bar.repeat_start or i in ordered.repeats)
            for i, bar in enumerate(bars)
        ]
    bars = bars if as_written else for_players(bars)
    try:
        _check_pitches(tune)
        shape = Shape(
            _divisions(tune),
            bars,
            ending_stops(bars),
            frozenset(line_starts),
            named,
            all_modes,
            frozenset(_tempo_places(tune.voices[0])),
            Jumps() if as_written or ordered else Jumps.of(tune.bars),
            ordered,
        )
        groups = [[(n, 0)] for n in range(len(tune.voices))] if as_written else parts_of(tune)
        parts = [
            element("part", _measures(tune, group, number, shape), id=f"P{number}")
            for number, group in enumerate(groups, 1)
        ]
    except InvalidTuneError as error:
        raise InvalidTuneError(f"'{tune.title}': {error}") from None
    heading = _heading(tune, groups)
    return _HEAD + element("score-partwise", *heading, *parts, version="4.0") + "\n"


def _measures(tune: Tune, group: PartVoices, part: int, shape: Shape) -> str:
    """All measures of a part: in each its voices one after the other."""
    staves = [staff for _, staff in group]
    writers = []
    for order, (number, staff) in enumerate(group):
        begins = staff not in staves[:order]
        place = PartPlace(part, staff, max(staves), order, begins)
        writers.append(MeasureWriter(tune, tune.voices[number], shape, place))
    full = tune.meter.bar_duration
    pickup = full is not None and shape.bars[0].duration < full
    measures = []
    for index, shared in enumerate(shape.bars):
        content, position = writers[0].write(index)
        for order, writer in enumerate(writers[1:], 1):
            music, end = writer.write(index)
            content += remark("staff", order) + writer.notes.back(position) + music
            position = end
        content += right_barline(shared, shape.endings.get(index, ""))
        implicit = {"implicit": "yes"} if pickup and index == 0 else {}
        measures.append(element("measure", content, number=index + (not pickup), **implicit))
    return "".join(measures)


def _heading(tune: Tune, groups: Sequence[PartVoices]) -> Iterator[str]:
    yield element("work", element("work-title", text(tune.title)))
    others = [
        ("rhythm", tune.rhythm),
        ("parts", tune.parts),
        ("number", str(tune.number) if tune.number != 1 else ""),
        ("unit", f"{float(tune.unit):g}" if tune.unit != EIGHTH else ""),
    ]
    others = [pair for pair in others if pair[1]]
    others += [(f"abc {letter}", content) for letter, content in tune.fields]
    others += [("words", line) for line in tune.words]
    creator = element("creator", text(tune.composer), type="composer") if tune.composer else ""
    yield element(
        "identification",
        creator,
        element("encoding", element("software", "musicgen")),
        _miscellaneous(others),
    )
    voices = [[tune.voices[number] for number, _ in group] for group in groups]
    yield element("part-list", *starmap(_score_part, enumerate(voices, 1)))


def _miscellaneous(fields: Sequence[tuple[str, str]]) -> str:
    if not fields:
        return ""
    return element(
        "miscellaneous", *(element("miscellaneous-field", text(c), name=name) for name, c in fields)
    )


def _score_part(number: int, voices: Sequence[Voice]) -> str:
    others = _own_fields(voices[0])
    for order, voice in enumerate(voices[1:], 2):
        others += [(f"{name} {order}", field) for name, field in _own_fields(voice)]
        others.append((f"name {order}", voice.name))
    parts = [element("identification", _miscellaneous(others))] if others else []
    parts.append(element("part-name", text(voices[0].name)))
    parts += instruments(voices[0], number)
    return element("score-part", *parts, id=f"P{number}")


def _own_fields(voice: Voice) -> list[tuple[str, str]]:
    """The fields of a voice that only our own reader looks at."""
    others = [("voice", voice.id), ("properties", voice.properties)]
    others = [pair for pair in others if pair[1]]
    others += [("clef", voice.clef)] if voice.clef != read_name(clef_of(voice)) else []
    others += [("program", "")] if voice.program is None else []
    if voice.percussion is not None:
        others.append(("drums", " ".join(f"{m}={key}" for m, key in drum_map(voice).items())))
    return others


def _tempo_places(voice: Voice) -> Iterator[tuple[int, Fraction]]:
    """Bars, and onsets in them, at which the tempo changes."""
    for number, bar in enumerate(voice.bars):
        onset = Fraction(0)
        for event in bar.events:
            if not isinstance(event, Change):
                onset += event.duration
            elif event.tempo is not None:
                yield number, onset


def _check_pitches(tune: Tune) -> None:
    for number, bar in _numbered_bars(tune):
        for pitch in (note.pitch for event in _timed(bar) for note in notes_of(event)):
            if not 0 <= pitch.octave <= MAX_OCTAVE:
                raise InvalidTuneError(
                    f"bar {number}: {pitch.name} is outside octaves 0 to {MAX_OCTAVE}"
                )


def _divisions(tune: Tune) -> int:
    """The smallest number of divisions of a quarter in which every written value is whole."""
    divisions = 1
    for number, bar in _numbered_bars(tune):
        try:
            divisions = lcm(divisions, *(d.denominator for d in _written_durations(bar)))
        except InvalidTuneError as error:
            raise InvalidTuneError(f"bar {number}: {error}") from None
        if divisions > MAX_DIVISIONS:
            raise InvalidTuneError("its durations are too irregular to be written together")
    return divisions


def _numbered_bars(tune: Tune) -> Iterator[tuple[int, Bar]]:
    """Bars of all voices, numbered from 1."""
    return (pair for voice in tune.voices for pair in enumerate(voice.bars, 1))


def _timed(bar: Bar) -> Iterator[Timed]:
    """Notes, chords and rests of a bar and its overlays."""
    return (
        event
        for line in (bar.events, *bar.overlays)
        for event in line
        if not isinstance(event, Change)
    )


def _written_durations(bar: Bar) -> Iterator[Fraction]:
    yield bar.duration
    for event in _timed(bar):
        for duration in {event.duration, *(note.duration for note in notes_of(event))}:
            yield from (value.duration for value in written(duration, event.tuplet))

"""A whole score to a Tune: heading, parts, and the bar lines and changes that the parts share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import compress
from pathlib import PurePath
from xml.etree.ElementTree import Element

from musicgen.errors import ParseError
from musicgen.formats.musicxml.braces import PartVoices, score_directive
from musicgen.formats.musicxml.document import Document
from musicgen.formats.musicxml.reading.barlines import MeasureFrame, add_starts_after_endings
from musicgen.formats.musicxml.reading.braces import own_fields, voices_apart
from musicgen.formats.musicxml.reading.copies import without_copies
from musicgen.formats.musicxml.reading.credits import read_credits
from musicgen.formats.musicxml.reading.instruments import PartInstruments, read_instruments
from musicgen.formats.musicxml.reading.modes import with_modes
from musicgen.formats.musicxml.reading.part import PartMusic, PartReader, Placed
from musicgen.formats.musicxml.reading.voices import VoiceBuilder, staves
from musicgen.formats.musicxml.values import LeftOut, content, integer, number, words
from musicgen.music.theory import FREE_METER, Key, Meter
from musicgen.music.transposition import move_key, move_voice
from musicgen.music.tune import (
    EIGHTH,
    Change,
    Chord,
    Note,
    Source,
    Tempo,
    Tune,
    Voice,
    has_pitches,
)

MAX_PARTS = 200
_FILE_NAME = re.compile(r"\.(?:mxl|xml|musicxml)$", re.I)
_START = Fraction(0)


@dataclass(frozen=True, slots=True)
class ScorePart:
    """Name and instrument of a part."""

    id: str
    name: str
    instruments: PartInstruments = field(default_factory=PartInstruments)
    own: Mapping[str, str] = field(default_factory=dict)  # fields of our own scores


def read_score(document: Document, path: str) -> Tune:
    """The Tune of a <score-partwise> or <score-timewise>.

    Raises:
        ParseError: it is something else, or holds no music.
    """
    root = document.root
    measures_of_parts = _measures_by_part(root)
    if not measures_of_parts:
        raise ParseError("holds no part with measures; is it a whole score?")
    if len(measures_of_parts) > MAX_PARTS:
        raise ParseError(f"has {len(measures_of_parts)} parts, more than {MAX_PARTS}; split it")
    left_out = LeftOut()
    if document.doubt:
        left_out.place = 1
        left_out[f"the file {document.doubt}"] += 1
    exact = content(root, "identification/encoding/software") == "musicgen"
    parts = {part.id: part for part in _score_parts(root)}
    known = []
    for id_, bars in measures_of_parts.items():
        part = parts.get(id_, ScorePart(id_, ""))
        for voice, measures in enumerate(voices_apart(bars) if exact else [bars]):
            own = own_fields(part.own, voice)
            music = PartReader(left_out, part.instruments).read(measures)
            if music.places:
                without_copies(music)
            known.append((replace(part, own=own, name=own.get("name", part.name)), music))
    left_out.place = None
    tune = assemble(known, left_out, exact=exact)
    tune = _with_own_heading(tune, root) if exact else _with_heading(tune, root, path)
    warnings = left_out.warnings(document.lines(left_out.first_elements))
    return replace(tune, source=Source(path), warnings=tuple(warnings))


def assemble(
    parts: Sequence[tuple[ScorePart, PartMusic]], left_out: LeftOut, *, exact: bool = False
) -> Tune:
    """A Tune without heading of these parts.

    Raises:
        ParseError: there is no note and no rest in them.
    """
    parts = sorted(parts, key=lambda pair: pair[1].drums is not None)
    score = ScoreReader([music for _, music in parts], left_out, exact=exact)
    voices = [voice for part, music in parts for voice in score.voices(music, part)]
    if not any(True for voice in voices for bar in voice.bars for _ in bar.timed):
        raise ParseError("holds no notes and no rests; is it the right file?")
    if not has_pitches(voices):
        raise ParseError("holds no notes other than drums; is it the right file?")
    return score.tune(voices)


def _measures_by_part(root: Element) -> dict[str, list[Element]]:
    """Measures of each part, in the order of the score."""
    if root.tag == "score-partwise":
        return {
            part.get("id", f"#{number}"): part.findall("measure")
            for number, part in enumerate(root.iterfind("part"))
        }
    if root.tag == "score-timewise":
        parts: dict[str, list[Element]] = {}
        for measure in root.iterfind("measure"):
            for number, part in enumerate(measure.iterfind("part")):
                parts.setdefault(part.get("id", f"#{number}"), []).append(part)
        return parts
    if root.tag == "opus":
        raise ParseError("is an opus, a list of other files; read those files")
    raise ParseError(
        f"is XML but not MusicXML: it begins with <{root.tag[:40]}>; is it the right file?"
    )


def _score_parts(root: Element) -> Iterator[ScorePart]:
    for element in root.iterfind("part-list/score-part"):
        name, others = content(element, "part-name"), dict(_miscellaneous(element))
        yield ScorePart(
            element.get("id", ""), name, read_instruments(element, others.get("drums", "")), others
        )


def _with_heading(tune: Tune, root: Element, path: str) -> Tune:
    """The tune with its title, composer and other lines of the heading; a title that is a file's
    name, as in old collections, loses its extension."""
    printed = read_credits(root)
    titles = [content(root, "movement-title"), content(root, "work/work-title")]
    titles = [title for title in titles if title] or printed.get("title", [])
    titles += printed.get("subtitle", [])
    titles = list(dict.fromkeys(_FILE_NAME.sub("", title) for title in titles))
    creators: dict[str, list[str]] = {}
    for creator in root.iterfind("identification/creator"):
        if name := words(creator.text):
            creators.setdefault(creator.get("type", "composer"), []).append(name)
    for kind in ("composer", "lyricist", "arranger"):
        if kind in printed:
            creators.setdefault(kind, printed[kind])
    composers = creators.pop("composer", [])
    fields = [("T", title) for title in titles[1:]]
    fields += [("C", name) for name in composers[1:]]
    fields += [("N", f"{kind}: {name}") for kind, names in creators.items() for name in names]
    fields += [("N", f"rights: {words(r.text)}") for r in root.iterfind("identification/rights")]
    source = content(root, "identification/source")
    fields += [("S", source)] if source else []
    return replace(
        tune,
        title=(titles[0] if titles else "") or PurePath(path).stem,
        composer=composers[0] if composers else "",
        fields=(*fields, *tune.fields),
    )


def _with_own_heading(tune: Tune, root: Element) -> Tune:
    """The tune with the heading of our own scores, which has a field for every line."""
    pairs = list(_miscellaneous(root))
    fields = dict(pairs)
    unit = number(fields.get("unit"))
    return replace(
        tune,
        title=content(root, "work/work-title"),
        composer=content(root, "identification/creator"),
        number=integer(fields.get("number")) or (0 if fields.get("number") == "0" else 1),
        rhythm=fields.get("rhythm", ""),
        parts=fields.get("parts", ""),
        unit=Fraction(unit) if unit is not None and unit > 0 else EIGHTH,
        fields=tuple((n.removeprefix("abc "), c) for n, c in pairs if n.startswith("abc ")),
        words=tuple(c for n, c in pairs if n == "words"),
    )


def _miscellaneous(element: Element) -> Iterator[tuple[str, str]]:
    for field_ in element.iterfind("identification/miscellaneous/miscellaneous-field"):
        yield field_.get("name", ""), words(field_.text)


class ScoreReader:
    """Makes one tune of the parts, with the state that they share."""

    def __init__(self, music: Sequence[PartMusic], left_out: LeftOut, *, exact: bool) -> None:
        self.left_out = left_out
        self.exact = exact
        self.frames = _shared_frames(music)
        self.modes_missing = any(part.modes_missing for part in music)
        self.key = _initial_key(music[0])
        if music[0].transposition and not exact:
            self.key = move_key(self.key, music[0].transposition)
        self.meter = _initial_meter(music)
        self.tempo, self.common = _common_changes(music)
        if music[0].heading:
            self.tempo = None
        for change in music[0].heading:
            self.key, self.meter = change.key or self.key, change.meter or self.meter
            self.tempo = change.tempo or self.tempo
        self.n_voices = 0
        self.parts: list[PartVoices] = []

    def voices(self, music: PartMusic, part: ScorePart) -> list[Voice]:
        """The voices of a part, at sounding pitch, staff by staff."""
        voices: list[Voice] = []
        on_staff: list[int] = []  # of each voice, from 1
        frames = [music.own_frames.get(i, frame) for i, frame in enumerate(self.frames)]
        for number_of_staff, lines in enumerate(staves(music), 1):
            staff = lines[0].staff
            placed = self._own_changes([p for p in music.changes if p.staff in ("", staff)], music)
            if not self.exact:
                common = [] if voices else self._common(music)
                again = _restated(placed, self.frames, part.instruments.program)
                placed = sorted([*again, *placed, *common], key=lambda p: (p.measure, p.onset))
            clef = part.own.get("clef", music.clefs.get(staff, ""))
            drums = None if music.drums is None else music.drums.pairs()
            program = None if "program" in part.own else part.instruments.program
            voices += [
                Voice(name=part.name, clef=clef, program=program, percussion=drums, bars=bars)
                for bars in VoiceBuilder(frames, placed, exact=self.exact).voices(lines)
            ]
            on_staff += [number_of_staff] * (len(voices) - len(on_staff))
        sounding = [any(isinstance(e, Note | Chord) for e in v.events) for v in voices]
        voices = list(compress(voices, sounding)) or voices[:1]
        numbers = list(compress(on_staff, sounding)) or [1]
        self.parts.append([(self.n_voices + n, staff) for n, staff in enumerate(numbers)])
        if music.transposition is not None and self.exact:
            by = music.transposition.semitones
            voices = [replace(voice, transposition=by) for voice in voices]
        elif music.transposition is not None:
            voices = [move_voice(voice, music.transposition) for voice in voices]
            self.left_out[f"transposing instruments read at sounding pitch ({part.name})"] += 1
        if self.exact:
            id_, properties = part.own.get("voice", ""), part.own.get("properties", "")
            voices = [replace(voice, id=id_, properties=properties) for voice in voices[:1]]
        self.n_voices += len(voices)
        return voices

    def _common(self, music: PartMusic) -> list[Placed]:
        """The tempos of a part; in the first voice, the section labels of all."""
        return [
            place
            for part, place in self.common
            if (not self.n_voices if place.change.tempo is None else part is music)
        ]

    def _own_changes(self, placed: Sequence[Placed], music: PartMusic) -> list[Placed]:
        """The changes, without those of key and meter that the heading already has."""
        kept: list[Placed] = []
        key, meter = self.key, self.meter
        for place in placed:
            change, written_out = place.change, self.exact and not place.opening
            interval = None if self.exact else music.transposition
            if change.is_of_voice:
                if change.transposition is not None and interval is not None:
                    change = Change(transposition=change.transposition - interval.semitones)
                kept.append(replace(place, change=change))
            elif change.key is not None:
                moved = change.key if interval is None else move_key(change.key, interval)
                if moved != key or written_out:
                    kept.append(place)
                key = moved
            elif change.meter is not None:
                if change.meter != meter or written_out:
                    kept.append(place)
                meter = change.meter
            elif self.exact and (music.heading or not _is_first_tempo(place)):
                kept.append(place)
        return kept

    def tune(self, voices: Sequence[Voice]) -> Tune:
        """A Tune with these voices, numbered where there are several."""
        if len(voices) > 1 and not self.exact:
            voices = [replace(voice, id=str(n)) for n, voice in enumerate(voices, 1)]
        tune = Tune(
            meter=self.meter, key=self.key, tempo=self.tempo, unit=EIGHTH, voices=tuple(voices)
        )
        if any(part[0][1] != part[-1][1] for part in self.parts) and not self.exact:
            directive = f"score {score_directive(self.parts)}"
            tune = replace(tune, fields=(("%%", directive),))
        return with_modes(tune, self.left_out) if self.modes_missing else tune


def _shared_frames(music: Sequence[PartMusic]) -> list[MeasureFrame]:
    frames = [replace(frame) for frame in max(music, key=lambda part: len(part.frames)).frames]
    for part in music:
        for frame, other in zip(frames, part.frames, strict=False):
            frame.join(other)
    for frame in frames:
        if not frame.length and frame.full and frame.is_whole:
            frame.length = frame.full
    add_starts_after_endings(frames)
    return frames


def _initial_key(part: PartMusic) -> Key:
    places = (p for p in part.changes if (p.measure, p.onset) == (0, _START))
    return next((p.change.key for p in places if p.change.key), Key("", "none"))


def _initial_meter(music: Sequence[PartMusic]) -> Meter:
    places = (p for part in music for p in part.changes if p.measure == 0)
    return next((p.change.meter for p in places if p.change.meter), FREE_METER)


def _restated(
    placed: Sequence[Placed], frames: Sequence[MeasureFrame], program: int | None
) -> list[Placed]:
    """Programs and transpositions once more where a repeat begins, which gets its sign: in MusicXML
    they belong to their place, in a Tune they go on over a repeat."""
    ends = [i for i, frame in enumerate(frames) if frame.repeat_end]
    starts = [i for i, frame in enumerate(frames) if frame.repeat_start]
    if ends and not any(start <= ends[0] for start in starts):
        starts.insert(0, 0)
    again = []
    for name, first in (("program", program), ("transposition", 0)):
        changes = [p for p in placed if getattr(p.change, name) is not None]
        for start in starts if changes else ():
            frames[start].repeat_start = True
            before = [getattr(p.change, name) for p in changes if p.measure < start]
            state = [first, *before][-1]
            again += [] if state is None else [Placed(start, _START, Change(**{name: state}))]
    return again


def _is_first_tempo(place: Placed) -> bool:
    return place.change.tempo is not None and (place.measure, place.onset) == (0, _START)


def _common_changes(
    music: Sequence[PartMusic],
) -> tuple[Tempo | None, list[tuple[PartMusic, Placed]]]:
    """The tempo at the beginning; and tempos and section labels of all parts, each once, with the
    part that they stand in."""
    places = [
        (part, p)
        for part in music
        for p in part.changes
        if p.change.tempo or p.change.part is not None
    ]
    tempos = [place.change.tempo for _, place in places if _is_first_tempo(place)]
    first: dict[tuple[int, Fraction, bool], tuple[PartMusic, Placed]] = {}
    for part, place in places:
        if not _is_first_tempo(place):
            known = (place.measure, place.onset, place.change.tempo is None)
            first.setdefault(known, (part, place))
    return next(iter(tempos), None), list(first.values())

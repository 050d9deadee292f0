"""Tunes to canonical ABC 2.1: fields in order, beamed by beat or half bar, four bars a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import accumulate, zip_longest

from musicgen.formats.abc_notation.barlines import write_barline
from musicgen.formats.abc_notation.event_drafts import scaled
from musicgen.formats.abc_notation.fields import write_key, write_tempo, write_unit
from musicgen.formats.abc_notation.lyrics import join_syllables
from musicgen.formats.abc_notation.notes import SIGNS, AbcNoteWriter
from musicgen.formats.abc_notation.scanner import letter_of
from musicgen.formats.abc_notation.sounding import DRUM_CHANNEL
from musicgen.formats.abc_notation.text import encode_text, one_line
from musicgen.formats.abc_notation.tunebook import parse_text
from musicgen.music.clefs import PERCUSSION as PERCUSSION_CLEF
from musicgen.music.clefs import clef_octave
from musicgen.music.theory import C_MAJOR, Meter, spell
from musicgen.music.tune import EIGHTH, Bar, Change, Event, Rest, Tune, Voice

BARS_A_LINE = 4
_INLINE = frozenset("IKNRr")


def render(tunes: Sequence[Tune], *, original: bool = False) -> bytes:
    """An ABC file, tunes separated by one blank line.

    With `original`, a tune that was read from ABC and has not been changed is written as it was
    (see `original_text`).

    Raises:
        InvalidTuneError: a tune has something that ABC cannot express.
    """
    texts = [(original_text(tune) if original else None) or to_abc(tune) for tune in tunes]
    return "\n".join(texts).encode()


def original_text(tune: Tune) -> str | None:
    """The ABC text that the tune was read from; None where that text does not give the same tune:
    it came from another format, was changed, or depends on its file's heading."""
    text = tune.source.text if tune.source is not None else ""
    if not text.startswith("X:") or parse_text(text).tunes != (tune,):
        return None
    return text if text.endswith("\n") else f"{text}\n"


def to_abc(tune: Tune) -> str:
    """One tune as ABC text, which reads back as the same tune.

    Raises:
        InvalidTuneError: it has something that ABC cannot express.
    """
    lines = [*_heading(tune), *_music(tune)]
    lines += [f"W:{encode_text(words)}".rstrip() for words in tune.words]
    return "\n".join(lines) + "\n"


def _heading(tune: Tune) -> list[str]:
    fields = list(tune.fields)
    lines = [f"X:{tune.number}", f"T:{encode_text(tune.title)}"]
    while fields and fields[0][0] == "T":
        lines.append(_field(*fields.pop(0)))
    if tune.composer:
        lines.append(_field("C", tune.composer))
    if tune.rhythm:
        lines.append(_field("R", tune.rhythm))
    lines += [_field(letter, content) for letter, content in fields]
    lines += [f"M:{tune.meter}", f"L:{write_unit(tune.unit)}"]
    if tune.tempo is not None:
        lines.append(f"Q:{write_tempo(tune.tempo)}")
    if tune.parts:
        lines.append(_field("P", tune.parts))
    key = f"K:{write_key(tune.key)}"
    voices = tune.voices
    if len(voices) == 1 and not voices[0].id:
        key = " ".join([key, *_properties(voices[0], clef=not _changes(voices[0], "clef"))])
    else:
        lines += _drum_map(voices)
        lines += [_voice_field(voice) for voice in voices]
    if len(voices) == 1:
        lines += _directives(voices[0])
    # Below a clef in the heading's K: abc2midi goes on an octave off after another clef.
    apart = [f"K:clef={v.clef}" for v in voices if v.clef and not v.id and _changes(v, "clef")]
    return [*lines, key, *apart]


def _field(letter: str, content: str) -> str:
    if letter == "%%":
        return f"%%{one_line(content)}"
    text = encode_text(content)
    return f"{letter}:{' ' * text.startswith(('|', ':', '['))}{text}"  # "B:|" would be music


def _voice_field(voice: Voice) -> str:
    name = [f'name="{one_line(voice.name)}"'] if voice.name else []
    return " ".join([f"V:{_voice_id(voice)}", *name, *_properties(voice)])


def _properties(voice: Voice, *, clef: bool = True) -> Iterator[str]:
    """Transposition, other properties and clef, which abc2midi sees only in this order."""
    if voice.transposition and not _changes(voice, "transposition"):
        yield f"transpose={voice.transposition}"
    if voice.properties:
        yield one_line(voice.properties)
    if voice.clef and clef and _is_writable(voice, voice.clef):
        yield f"clef={voice.clef}"


def _is_writable(voice: Voice, clef: str) -> bool:
    """Whether a clef may be written: that of drums makes drums of a voice."""
    return clef != PERCUSSION_CLEF or voice.percussion is not None


def _changes(voice: Voice, what: str) -> bool:
    """Whether the clef, program or transposition of a voice changes."""
    events = (event for bar in voice.bars for event in bar.events)
    return any(isinstance(e, Change) and getattr(e, what) is not None for e in events)


def _directives(voice: Voice) -> list[str]:
    """The instrument that a voice begins with."""
    lines = [] if voice.percussion is None else [f"%%MIDI channel {DRUM_CHANNEL}"]
    lines += [] if voice.program is None else [f"%%MIDI program {voice.program}"]
    if voice.transposition and _changes(voice, "transposition"):  # players add up no two kinds
        lines.append(f"%%MIDI transpose {voice.transposition}")
    return lines


def _drum_map(voices: Sequence[Voice]) -> list[str]:
    """The keys of drums, for abc2midi and for abcjs."""
    pairs = {pair for voice in voices for pair in voice.percussion or ()}
    notes = [(_note(midi), key) for midi, key in sorted(pairs)]
    return [f"%%{name} {note} {key}" for name in ("MIDI drummap", "percmap") for note, key in notes]


def _note(midi: int) -> str:
    pitch = spell(midi, C_MAJOR)
    return SIGNS[pitch.alter].strip("=") + letter_of(pitch.step, pitch.octave)


def _voice_id(voice: Voice) -> str:
    return "_".join(voice.id.split()) or "1"


def _music(tune: Tune) -> list[str]:
    written = [
        VoiceWriter(tune, leads=number == 0).write(voice)
        for number, voice in enumerate(tune.voices)
    ]
    directives = {v.id: _directives(v) for v in tune.voices if len(written) > 1}
    lines: list[str] = []
    for systems in zip_longest(*written, fillvalue=()):
        for voice, system in zip(tune.voices, systems, strict=True):
            if system and (len(written) > 1 or (voice.id and _changes(voice, "clef"))):
                lines.append(f"V:{_voice_id(voice)}")
                lines += directives.pop(voice.id, ())
            lines += system
    return lines


def is_on_beat(meter: Meter, at: Fraction) -> bool:
    """Whether a place in a bar, in quarters from its start, is on a beat."""
    beats = meter.beat_durations
    return at % sum(beats) in accumulate(beats, initial=0) if beats else at.denominator == 1


class VoiceWriter:
    """Writes the bars of one voice as systems: lists of lines of about four bars."""

    def __init__(self, tune: Tune, *, leads: bool) -> None:
        self.leads = leads  # the first voice, to which a P: on its own line belongs
        self.notes = AbcNoteWriter(tune)
        self.meter = tune.meter
        self.id = ""  # of the voice, where it has one
        self.lines: list[str] = []
        self.text = ""
        self.opening = ""  # a bar line at the beginning of the next system
        self.sung: list[tuple[str, ...]] = []

    def write(self, voice: Voice) -> list[list[str]]:
        """Systems of the voice."""
        lyrics = any(e.marks.lyrics for e in voice.events)
        self.id = _voice_id(voice) if voice.id else ""
        self.notes.octave = clef_octave(voice.clef)
        systems, counted = [], 0
        bars = voice.bars
        for number, bar in enumerate(bars):
            after = bars[number + 1] if number + 1 < len(bars) else None
            if not self.text and not self.lines:
                self.text = self.opening or "|:" * bar.repeat_start
                self.opening = ""
            if bar.volta:
                self._volta(bar)
            pickup = self._is_partial(bar, bars[number - 1] if number else None)
            self._bar(bar, after, partial=pickup)
            counted += not pickup
            breaks = after is None or self._breaks(bar, after, counted)
            self._bar_line(bar, after, breaks=breaks)
            if breaks:
                systems.append(self._end_system(lyrics=lyrics))
                counted = 0
        return systems

    def _is_partial(self, bar: Bar, before: Bar | None) -> bool:
        full = self.meter.bar_duration
        first = before is None or before.repeat_end > 0 or bar.repeat_start
        return full is not None and bar.duration < full and first

    def _breaks(self, bar: Bar, after: Bar, counted: int) -> bool:
        if (after.volta and after.volta[0] > 1) or bar.barline == "":
            return False
        section = bar.repeat_end > 0 or after.repeat_start or bar.barline in ("||", "|]")
        return section or counted >= BARS_A_LINE

    def _volta(self, bar: Bar) -> None:
        passes = ",".join(map(str, bar.volta))
        joined = self.text.rpartition(" ")[2].strip(":") == "|"  # abc2midi knows no "||2"
        self.text += passes if joined else f"{' ' * bool(self.text)}[{passes}"

    def _bar(self, bar: Bar, after: Bar | None, *, partial: bool) -> None:
        if self.text and bar.events:
            self.text += " "
        only = sum(not isinstance(e, Change) for e in bar.events) == 1 and not bar.overlays
        full = self.meter.bar_duration or bar.duration
        self._lane(bar.events, 0, full - bar.duration if partial else Fraction(0), only=only)
        if not any(True for _ in bar.timed) and not bar.overlays:
            self.text += "y"
        for number, events in enumerate(bar.overlays, 1):
            self.text = f"{self.text.rstrip()} & "
            self.notes.begin_overlay()
            self._lane(events, number, Fraction(0), only=False)

    def _lane(self, events: Sequence[Event], lane: int, at: Fraction, *, only: bool) -> None:
        first, grouped, sign = True, False, ""
        joined, broken = self._joined_beats(events, at), self.notes.broken_pairs(events, at)
        for index, event in enumerate(events):
            if isinstance(event, Change):
                self._change(event)
                continue
            parted = not sign and (grouped or (is_on_beat(self.meter, at) and at not in joined))
            if not first and parted and not self.text.endswith(" "):
                self.text += " "
            first = False
            grouped = event.tuplet is not None and event.tuplet.index + 1 == event.tuplet.size
            full = only and isinstance(event, Rest) and event.full_bar
            sign, factor = broken.get(index, ("", Fraction(1)))
            plain = scaled(event, 1 / factor) if factor != 1 else event
            self.text += self.notes.write(plain, lane, bar_rest=full, meter=self.meter) + sign
            at += event.duration
            if lane == 0 and not isinstance(event, Rest):
                self.sung.append(event.marks.lyrics)

    def _joined_beats(self, events: Sequence[Event], at: Fraction) -> set[Fraction]:
        """In 4/4, the second beats of half bars that hold nothing longer than eighths: books beam
        those in fours. Music starts at `at` in the bar."""
        if (self.meter.beats, self.meter.unit) != ((4,), 4):
            return set()
        short: dict[Fraction, bool] = {}
        for event in events:
            if isinstance(event, Change):
                continue
            half = at - at % 2
            plain = not isinstance(event, Rest) and event.tuplet is None
            short[half] = plain and event.duration <= EIGHTH and short.get(half, at == half)
            at += event.duration
        return {half + 1 for half, fits in short.items() if fits}

    def _change(self, change: Change) -> None:
        if change.key is not None:
            self.notes.set_key(change.key)
            self.text += f"[K:{write_key(change.key)}]"
        elif change.meter is not None:
            self.meter = change.meter
            self.text += f"[M:{change.meter}]"
        elif change.tempo is not None:
            self.text += f"[Q:{write_tempo(change.tempo).replace(']', ')')}]"
        elif change.clef is not None:
            if change.clef != PERCUSSION_CLEF:
                self._clef(change.clef or "treble")
        elif change.program is not None:
            self.text += f"[I:MIDI program {change.program}]"
        elif change.transposition is not None:
            self.text += f"[I:MIDI transpose {change.transposition}]"
        elif change.part is not None:
            part = encode_text(change.part)
            if self.leads and not self.text:
                self._own_line(f"P:{part}")
            else:
                self.text += f"[P:{part.replace(']', ')')}]"
        elif change.signs is not None:
            self.text += f" {self.notes.signs(change.signs)}"
        elif change.text is not None:
            letter, content = change.text
            if letter in _INLINE and "]" not in content:
                self.text += f"[{letter}:{encode_text(content)}]"
            else:
                self._own_line(_field(letter, content))

    def _clef(self, clef: str) -> None:
        """Write a change of clef so that abcjs sees the end of an octave clef too: with the voice,
        or on a line of its own after the end of another."""
        if self.id:
            self.text += f"[V:{self.id} clef={clef}]"
        else:
            self.lines += filter(None, [self.text.rstrip(), f"K:clef={clef}"])
            self.text = ""
        self.notes.octave = clef_octave(clef)

    def _own_line(self, line: str) -> None:
        """Write a line of its own; the music after it still belongs to the same bar."""
        if self.text:
            self.lines.append(f"{self.text.rstrip()}\\")
            self.text = ""
        self.lines.append(line)

    def _bar_line(self, bar: Bar, after: Bar | None, *, breaks: bool) -> None:
        line = bar.barline
        starts = after is not None and after.repeat_start and not breaks
        if not line and (bar.repeat_end or starts or (after is not None and not after.volta)):
            line = "|"
        if line:
            self.notes.end_bar()
        last = bar.events[-1] if bar.events else None
        holds_signs = isinstance(last, Change) and last.signs is not None
        text = write_barline(line, bar.repeat_end, holds_signs=holds_signs)
        if breaks and bar.repeat_end and line == "||" and after and not after.repeat_start:
            text = ":" * bar.repeat_end + "|"  # as musicians do; abc2midi knows no "||:" there
            self.opening = line
        elif starts and text == ":|":
            text = "::"
        elif starts:
            text += " |:" if "]" in line else ":"
        if text:
            self.text = f"{self.text.rstrip()} {text}"

    def _end_system(self, *, lyrics: bool) -> list[str]:
        lines = [*self.lines, self.text.strip()]
        if lyrics and self.sung:
            for verse in range(max(1, *map(len, self.sung))):
                syllables = [s[verse] if verse < len(s) else "" for s in self.sung]
                while syllables and not syllables[-1]:
                    syllables.pop()
                lines.append(f"w:{join_syllables(syllables) or '*'}")
        self.lines, self.text, self.sung = [], "", []
        return lines

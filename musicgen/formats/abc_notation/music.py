"""Music lines of ABC to notes, chords, rests and bars: one handler for each kind of token."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

from musicgen.formats.abc_notation import decorations
from musicgen.formats.abc_notation.drafts import (
    ChordDraft,
    Pending,
    TupletDraft,
    VoiceDraft,
    scaled,
    tied,
    with_marks,
    with_signs,
    with_slurs,
)
from musicgen.formats.abc_notation.scanner import (
    ALTERS,
    GRACE_NOTE,
    TOKEN,
    duration_of,
    factor,
    is_chord_symbol,
    pitch_of,
    plain_note,
    plain_rest,
    subgroup,
    tuplet_times,
)
from musicgen.formats.abc_notation.text import decode_text
from musicgen.theory import Pitch
from musicgen.tune import NO_MARKS, Chord, Grace, Marks, Note, Rest, Timed

MAX_OVERLAYS = 8
MAX_BAR_RESTS = 1000  # bars that one Z may stand for
MAX_PASS = 64

Match = re.Match[str]
_AFTER_BAR_REST = re.compile(r"[\s`]*(?:[|:&%)]|\[[|\d]|\[[A-Za-z]:|\]|\.\||[!$]?\s*$)")
_OLD_CHORD = re.compile(r"\+[\^_=A-Ga-g,'\d/]{1,40}\+")
_NOTE_LIKE = re.compile(r"[\^_=A-Ga-gzx,'\d/<>()-]*")
_CLOSING_TEXT = re.compile(r"[\^_<>@]?\s*(?:D\.? ?C\b|D\.? ?S\b|fine\b|da ?capo|dal ?segno)", re.I)


@lru_cache(maxsize=256)
def read_barline(text: str) -> tuple[int, str, bool]:
    """Times to repeat what ends here, the line at the right of the bar, whether a repeat begins.

    ":|" is (1, "|", False), "::" (1, "|", True), "||:" (0, "||", True), ":|]" (1, "|]", False).
    """
    text = text.replace(" ", "").replace("\t", "")
    inner = text.strip(":")
    if not inner:
        return len(text) - 1, "|", True
    ends = len(text) - len(text.lstrip(":"))
    starts = text.endswith(":") or (not ends and ":" in inner)
    if "[|]" in inner:
        line = "[|]"
    elif "]" in inner:
        line = "|]"
    elif inner.startswith("["):
        line = "[|"
    elif inner.startswith("."):
        line = ".|"
    else:
        line = "||" if "||" in inner else "|"
    return ends, line, starts


@lru_cache(maxsize=256)
def read_passes(text: str) -> tuple[int, ...]:
    """Passes of an ending: "1" is (1,), "1,3" (1, 3), "1-3" (1, 2, 3)."""
    passes: list[int] = []
    for part in text.rstrip(".").split(","):
        first, _, last = part.partition("-")
        passes += range(int(first), int(last or first) + 1)
    return tuple(dict.fromkeys(p for p in passes if 0 < p <= MAX_PASS))


class MusicReader:
    """Reads music lines into the current voice.

    `warn(what, offset)` takes an offset in the line; `field(letter, content, offset)` an inline
    field. `letters` are the decorations that single letters stand for (U:). `scope` says how far
    an accidental reaches in its bar: "pitch" (all octaves, the default), "octave" or "not".
    """

    def __init__(
        self,
        voice: VoiceDraft,
        warn: Callable[[str, int], None],
        field: Callable[[str, str, int], None],
    ) -> None:
        self.voice = voice
        self.warn = warn
        self.field = field
        self.letters = dict(decorations.LETTERS)
        self.scope = "pitch"
        self.offset = 0  # of the current line in the tune's text
        self.columns: list[int] | None = None  # of the source, where macros moved them
        self.n_tokens = 0
        self._handlers: dict[str, Callable[[Match], int | None]] = {
            name: getattr(self, f"_{name}") for name in TOKEN.groupindex
        }

    def at(self, column: int) -> int:
        """Offset in the tune's text of a column of the current line."""
        return self.offset + (column if self.columns is None else self.columns[column])

    def read_line(
        self, line: str, offset: int, *, continued: bool, columns: list[int] | None = None
    ) -> None:
        """Read one line of music, which begins at `offset` of the tune's text.

        `columns` gives the source's column for each of the line's, where macros were expanded.
        """
        self.offset, self.columns = offset, columns
        handlers, match_token = self._handlers, TOKEN.match
        position, end, count = 0, len(line), 0
        while position < end:
            match = match_token(line, position)
            assert match is not None and match.lastgroup is not None
            moved = handlers[match.lastgroup](match)
            position = match.end() if moved is None else moved
            count += 1
        self.n_tokens += count
        self.end_line(len(line), continued=continued)

    def end_line(self, column: int, *, continued: bool) -> None:
        """A line end is no bar line, unless the bar is full and the next line brings none."""
        voice = self.voice
        if voice.chord is not None:
            self.warn("a chord is not closed; closed at the line end", column)
            self._close_chord("")
        if continued:
            return
        if voice.bar.empty:
            if voice.bars:
                voice.bars[-1].line_break = True
        elif voice.meter.beats and voice.bar.duration() == voice.meter.bar_duration:
            voice.line_end = voice.busy = True
            voice.bar.end = self.at(column)

    # Notes, rests and chords.

    def _note(self, match: Match) -> None:
        voice = self.voice
        if voice.busy or voice.octave or self.scope != "pitch":
            self._marked_note(match)
            return
        sign, letter, octave, length = match.group(2, 3, 4, 5)
        step = letter.upper()
        if sign is None:
            alter = voice.altered[step]
        else:
            alter = ALTERS[sign]
            voice.altered = voice.altered | {step: alter}
        events, lane = voice.events, voice.lane
        lane.index = len(events)
        lane.events = events
        events.append(plain_note(letter, octave, alter, length, voice.unit))

    def _marked_note(self, match: Match) -> None:
        voice = self.voice
        if voice.line_end:
            self._close_at_line_end()
        sign, letter, octave, length = match.group(2, 3, 4, 5)
        pitch = self._pitch(sign, letter, octave)
        note = Note(pitch, self._duration(length, match))
        if voice.chord is None:
            self._place(note)
            return
        if voice.pending is not None:
            note = replace(note, marks=voice.pending.marks())
            voice.pending = None
        voice.chord.notes.append(note)

    def _pitch(self, sign: str | None, letter: str, octave: str) -> Pitch:
        voice = self.voice
        pitch = pitch_of(letter, octave, 0)
        if voice.octave:
            pitch = replace(pitch, octave=pitch.octave + voice.octave)
        reach = pitch.step if self.scope == "pitch" else f"{pitch.step}{pitch.octave}"
        if sign is not None:
            alter = ALTERS[sign]
            if self.scope != "not":
                voice.altered = voice.altered | {reach: alter}
        else:
            alter = voice.altered.get(reach, voice.signature[pitch.step])
            if voice.lane.tie and voice.lane.events is not voice.events and voice.last:
                # A note tied over a bar line keeps its accidental.
                for before in _pitches(voice.last):
                    if before.diatonic == pitch.diatonic:
                        alter = before.alter
        return replace(pitch, alter=alter)

    def _duration(self, length: str, match: Match) -> Fraction:
        if factor(length) == 0:
            self.warn("a length of zero; read as the unit length", match.start())
        return duration_of(length, *self.voice.unit)

    def _place(self, event: Timed) -> None:
        """Append an event with everything that was waiting for it."""
        voice = self.voice
        if voice.lane.tuplet is not None:
            group = voice.lane.tuplet
            event = scaled(event, Fraction(group.normal, group.actual), group.next())
            if group.index == group.size:
                voice.lane.tuplet = None
        if voice.broken is not None:
            first, second = voice.broken
            voice.broken = None
            voice.amend_last(lambda last: scaled(last, first))
            event = scaled(event, second)
        if voice.lane.tie:
            self._resolve_tie(event)
        if voice.pending is not None:
            event = with_marks(event, voice.pending.marks())
            voice.pending = None
        voice.append(event)
        voice.busy = voice.lane.tuplet is not None

    def _resolve_tie(self, event: Timed) -> None:
        voice = self.voice
        voice.lane.tie = False
        before = voice.last
        assert before is not None
        if type(event) is Rest:
            voice.amend_last(tied)
            return
        pitches = frozenset(_pitches(event))
        if pitches.isdisjoint(_pitches(before)):
            voice.amend_last(lambda last: with_slurs(last, 1, 0))
            voice.expect().closed += 1
        else:
            voice.amend_last(lambda last: tied(last, pitches))

    def _rest(self, match: Match) -> None:
        voice = self.voice
        if voice.line_end:
            self._close_at_line_end()
        visible, length = subgroup(match, "rest", 1) == "z", subgroup(match, "rest", 2)
        if voice.chord is not None:
            self.warn("a rest inside a chord is left out", match.start())
        elif voice.busy:
            self._place(Rest(self._duration(length, match), visible=visible))
        else:
            voice.append(plain_rest(visible, length, voice.unit))

    def _bar_rest(self, match: Match) -> None:
        voice = self.voice
        if voice.line_end:
            self._close_at_line_end()
        visible, digits = subgroup(match, "bar_rest", 1) == "Z", subgroup(match, "bar_rest", 2)
        if not voice.bar.empty or not _AFTER_BAR_REST.match(match.string, match.end()):
            self.warn(f"'{match[0]}' inside a bar is read as a short rest", match.start())
            self._place(Rest(self._duration(digits, match), visible=visible))
            return
        full = voice.meter.bar_duration or Fraction(4)
        count = min(int(digits or 1), MAX_BAR_RESTS) or 1
        if digits and int(digits) != count:
            self.warn(f"'{match[0]}' is read as {count} bars of rest", match.start())
        for number in range(count):
            if number:
                voice.close_bar("|", self.at(match.end()))
            self._place(Rest(full, visible=visible, full_bar=True))

    def _chord_open(self, match: Match) -> None:
        voice = self.voice
        if voice.line_end:
            self._close_at_line_end()
        if voice.chord is not None:
            self.warn("a chord inside a chord; its notes join the outer one", match.start())
            return
        voice.chord = ChordDraft(voice.pending, old=match[0] == "+")
        voice.pending = None
        voice.busy = True

    def _chord_close(self, match: Match) -> None:
        if self.voice.chord is None:
            self.warn("']' closes nothing; left out", match.start())
            return
        self._close_chord(subgroup(match, "chord_close", 1))

    def _close_chord(self, length: str) -> None:
        voice = self.voice
        draft = voice.chord
        assert draft is not None
        voice.chord = None
        leftover, voice.pending = voice.pending, draft.pending
        if leftover is not None:
            voice.expect().decorations += leftover.decorations
        if not draft.notes:
            return
        by = factor(length) or Fraction(1)
        notes = tuple(replace(n, duration=n.duration * by) for n in draft.notes)
        self._place(Chord(notes, notes[0].duration))
        if draft.broken:
            self._begin_broken(draft.broken)

    # Rhythm and phrasing.

    def _broken(self, match: Match) -> None:
        voice = self.voice
        signs = match[0]
        if len(set(signs)) > 1 or len(signs) > 3:
            self.warn(f"'{signs}' is no broken rhythm; left out", match.start())
        elif voice.chord is not None:
            voice.chord.broken = signs
        elif voice.lane.index < 0 or voice.lane.events is not voice.events:
            self.warn(f"'{signs}' has no note before it in its bar; left out", match.start())
        else:
            self._begin_broken(signs)

    def _begin_broken(self, signs: str) -> None:
        short = Fraction(1, 2 ** len(signs))
        pair = (2 - short, short)
        self.voice.broken = pair if signs[0] == ">" else (pair[1], pair[0])
        self.voice.busy = True

    def _tuplet(self, match: Match) -> None:
        voice = self.voice
        actual = int(subgroup(match, "tuplet", 1))
        normal, size = (int(subgroup(match, "tuplet", k) or 0) for k in (2, 3))
        if actual == 0:
            self.warn("a tuplet of no notes is left out", match.start())
            return
        if voice.lane.tuplet is not None:
            self.warn("a tuplet begins inside another, which ends here", match.start())
        normal = normal or tuplet_times(actual, voice.meter.compound)
        voice.lane.tuplet = TupletDraft(actual, normal, size or actual)
        voice.busy = True

    def _slur_open(self, match: Match) -> None:
        self._outer().opened += 1

    def _outer(self) -> Pending:
        """Signs for the next note, or for the chord that is open."""
        voice = self.voice
        if voice.chord is None:
            return voice.expect()
        if voice.chord.pending is None:
            voice.chord.pending = Pending()
        return voice.chord.pending

    def _slur_close(self, match: Match) -> None:
        voice = self.voice
        if voice.chord is not None:
            self._outer().closed += 1
        elif voice.last is None:
            self.warn("')' closes a slur before any note; left out", match.start())
        else:
            voice.amend_last(lambda last: with_slurs(last, 0, 1))

    def _tie(self, match: Match) -> None:
        voice = self.voice
        if voice.chord is not None:
            if voice.chord.notes:
                voice.chord.notes[-1] = replace(voice.chord.notes[-1], tie=True)
        elif voice.last is None or type(voice.last) is Rest:
            self.warn("'-' has no note before it; left out", match.start())
        else:
            voice.lane.tie = voice.busy = True

    def end_tie(self) -> None:
        """Keep a tie that leads nowhere, so that it can be pointed out."""
        self.warn("a tie leads to no note", 0)
        self.voice.lane.tie = False
        self.voice.amend_last(tied)

    def _grace(self, match: Match) -> None:
        voice = self.voice
        content = subgroup(match, "grace", 1)
        slashed = content.startswith("/")
        notes: list[Note] = []
        opened = 0
        for found in GRACE_NOTE.finditer(content[slashed:]):
            sign, letter, octave, length, other = found.groups()
            if letter:
                marks = Marks(slurs_opened=opened) if opened else NO_MARKS
                pitch = self._pitch(sign, letter, octave)
                notes.append(Note(pitch, duration_of(length, *voice.unit), marks=marks))
                opened = 0
            elif other == "(":
                opened += 1
            elif other == ")" and notes:
                closed = with_slurs(notes[-1], 0, 1)
                assert isinstance(closed, Note)
                notes[-1] = closed
            elif other == "-" and notes:
                notes[-1] = replace(notes[-1], tie=True)
            elif other not in " \t[]":
                self.warn(f"'{other}' among grace notes is left out", match.start())
        if not notes:
            self.warn("grace notes without a note are left out", match.start())
            return
        pending = voice.expect()
        if pending.grace is not None:
            notes[:0] = pending.grace.notes
            slashed = slashed or pending.grace.slashed
        pending.grace = Grace(tuple(notes), slashed)

    # Signs around notes.

    def _quoted(self, match: Match) -> None:
        text = " ".join(decode_text(subgroup(match, "quoted", 1)).split())
        if not text:
            return
        pending = self._outer()
        if not pending.chord_symbol and is_chord_symbol(text):
            pending.chord_symbol = text
        else:
            pending.annotations.append(text)

    def _decoration(self, match: Match) -> int | None:
        name = subgroup(match, "decoration", 1)
        if not name:
            return self._plus(match, subgroup(match, "decoration", 2))
        if not decorations.is_known(name) and _NOTE_LIKE.fullmatch(name):
            return match.start() + 1  # two line breaks around notes
        self.voice.expect().decorations.append(decorations.canonical_name(name))
        return None

    def _plus(self, match: Match, name: str = "") -> int | None:
        """A + begins or ends a decoration, or a chord in ABC before 1.6."""
        draft = self.voice.chord
        if draft is not None and draft.old:
            self._close_chord("")
        elif decorations.is_known(name):
            self.voice.expect().decorations.append(decorations.canonical_name(name))
            return None
        elif draft is None and _OLD_CHORD.match(match.string, match.start()):
            self._chord_open(match)
        else:
            self.warn("'+' has no meaning here; left out", match.start())
        return match.start() + 1

    def _letter(self, match: Match) -> None:
        name = self.letters.get(match[0])
        if name is None:
            self.warn(f"'{match[0]}' stands for nothing; left out", match.start())
        elif name:
            self.voice.expect().decorations.append(name)

    # Bar lines.

    def _bar(self, match: Match) -> None:
        voice = self.voice
        ends, line, starts = read_barline(subgroup(match, "bar", 1))
        column = match.start()
        self.before_bar_line(column)
        if ends and not voice.bars and voice.bar.empty:
            self.warn("a repeat ends before any music; left out", column)
            ends = 0
        passes = subgroup(match, "bar", 2)
        end = self.at(column + len(subgroup(match, "bar", 1)))
        voice.close_bar(line, end, repeat_end=ends, repeat_start=starts)
        if passes:
            voice.bar.volta = read_passes(passes)

    def before_bar_line(self, column: int) -> None:
        voice = self.voice
        if voice.chord is not None:
            self.warn("a chord is not closed; closed at the bar line", column)
            self._close_chord("")
        if voice.broken is not None:
            self.warn("a broken rhythm sign has no note after it in its bar; left out", column)
            voice.broken = None
        pending = voice.pending
        if pending is not None and voice.last is not None:
            names = [d for d in pending.decorations if d in decorations.CLOSING]
            texts = [a for a in pending.annotations if _CLOSING_TEXT.match(a)]
            if names or texts:
                voice.amend_last(lambda last: with_signs(last, texts, names))
                pending.decorations = [d for d in pending.decorations if d not in names]
                pending.annotations = [a for a in pending.annotations if a not in texts]
            if pending.marks() == NO_MARKS:
                voice.pending = None

    def _close_at_line_end(self) -> None:
        voice = self.voice
        self.warn("no bar line at the end of the line before; read as one", 0)
        self.before_bar_line(0)
        voice.close_bar("|", voice.bar.end)
        voice.bars[-1].line_break = True

    def _volta(self, match: Match) -> None:
        self._begin_volta(subgroup(match, "volta", 1), match.start())

    def _begin_volta(self, passes: str, column: int) -> None:
        voice = self.voice
        if not voice.bar.empty:
            self.before_bar_line(column)
            voice.close_bar("", self.at(column))
        voice.bar.volta = read_passes(passes)

    def _number(self, match: Match) -> None:
        if self.voice.bar.empty:
            self._begin_volta(match[0], match.start())
        else:
            self.warn(f"'{match[0]}' belongs to nothing; left out", match.start())

    def _overlay(self, match: Match) -> None:
        voice = self.voice
        self.before_bar_line(match.start())
        if len(voice.bar.overlays) == MAX_OVERLAYS:
            self.warn("too many overlays in a bar; the rest joins the last one", match.start())
            return
        voice.begin_overlay()

    # What is only layout, or nothing.

    def _space(self, match: Match) -> None:
        pass

    _line_break = _space

    def _spacer(self, match: Match) -> None:
        self.voice.bar.spaced = True

    def _field(self, match: Match) -> None:
        self.field(subgroup(match, "field", 1), subgroup(match, "field", 2), match.start())

    def _bare_field(self, match: Match) -> None:
        self.warn("a field in the middle of a line; read as if in brackets", match.start())
        self.field(
            subgroup(match, "bare_field", 1), subgroup(match, "bare_field", 2), match.start()
        )

    def _colon(self, match: Match) -> None:
        self.warn("':' belongs to no bar line; left out", match.start())

    def _other(self, match: Match) -> None:
        self.warn(f"'{match[0]}' has no meaning here; left out", match.start())


def _pitches(event: Timed) -> list[Pitch]:
    if type(event) is Note:
        return [event.pitch]
    return [note.pitch for note in event.notes] if type(event) is Chord else []

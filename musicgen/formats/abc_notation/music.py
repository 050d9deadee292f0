"""Lines of ABC music to notes, chords, rests and bars: one handler for each kind of token."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from musicgen.formats.abc_notation import decorations
from musicgen.formats.abc_notation.barlines import read_barline, read_passes
from musicgen.formats.abc_notation.drafts import VoiceDraft
from musicgen.formats.abc_notation.event_drafts import ChordDraft, TupletDraft, scaled, with_slurs
from musicgen.formats.abc_notation.graces import read_grace
from musicgen.formats.abc_notation.placement import Placer
from musicgen.formats.abc_notation.scanner import (
    ALTERS,
    TOKEN,
    ZERO_LENGTH,
    duration_of,
    factor,
    is_chord_symbol,
    plain_note,
    plain_rest,
    subgroup,
    tuplet_times,
)
from musicgen.formats.abc_notation.text import decode_text
from musicgen.music.tune import Grace, Note, Rest

MAX_OVERLAYS = 8
MAX_BAR_RESTS = 2000  # bars that the Zs of a tune may stand for

Match = re.Match[str]
_AFTER_BAR_REST = re.compile(r"[\s`]*(?:[|:&%)]|\[[|\d]|\[[A-Za-z]:|\]|\.\||[!$]?\s*$)")
_BEFORE_BAR = re.compile(r"[\s`]*(?:\||:+\||\[\||\.\|)")
_UNMEASURED = re.compile(r"(?:[A-Ga-gxz][,']*|\])[ \t]+\Z")  # before a length apart from it
_OLD_CHORD = re.compile(r"\+[\^_=A-Ga-g,'\d/]{1,40}\+")


class MusicReader:
    """Reads music lines into the current voice.

    `warn(what, offset)` takes an offset in the line; `field(letter, content, offset)` an inline
    field. `letters` are the decorations that single letters stand for (U:).
    """

    def __init__(
        self,
        voice: VoiceDraft,
        warn: Callable[[str, int], None],
        field: Callable[[str, str, int], None],
    ) -> None:
        self.placer = Placer(voice, warn)
        self.warn = warn
        self.field = field
        self.letters = dict(decorations.LETTERS)
        self.offset = 0  # of the current line in the tune's text
        self.columns: list[int] | None = None  # of the source, where macros moved them
        self.n_tokens = 0
        self.n_bar_rests = 0
        self._handlers: dict[str, Callable[[Match], int | None]] = {
            name: getattr(self, f"_{name}") for name in TOKEN.groupindex
        }

    @property
    def voice(self) -> VoiceDraft:
        """The current voice."""
        return self.placer.voice

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
            assert match is not None
            moved = handlers[match.lastgroup or ""](match)
            position = match.end() if moved is None else moved
            count += 1
        self.n_tokens += count
        self.end_line(len(line), continued=continued)

    def end_line(self, column: int, *, continued: bool) -> None:
        """End a line, which is no bar line unless the bar is full and the next line has none."""
        voice = self.voice
        if voice.chord is not None:
            self.warn("a chord is not closed; closed at the line end", column)
            self.placer.close_chord("")
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
        if voice.busy or voice.octave or voice.is_silent or self.placer.scope != "pitch":
            self._marked_note(match)
            return
        sign, letter, octave, length = match.group(2, 3, 4, 5)
        if "0" in length:
            self._duration(length, match)  # for its warning
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
        voice = self.placer.voice_for_event()
        sign, letter, octave, length = match.group(2, 3, 4, 5)
        note = Note(self.placer.pitch(sign, letter, octave), self._duration(length, match))
        if voice.chord is None:
            self.placer.place(note)
        else:
            voice.chord.notes.append(self.placer.marked(note))

    def _duration(self, length: str, match: Match) -> Fraction:
        if factor(length) == 0:
            self.warn(ZERO_LENGTH, match.start())
        return duration_of(length, *self.voice.unit)

    def _rest(self, match: Match) -> None:
        voice = self.placer.voice_for_event()
        visible, length = subgroup(match, "rest", 1) == "z", subgroup(match, "rest", 2)
        if voice.chord is not None:
            self.warn("a rest inside a chord is left out", match.start())
        elif voice.busy:
            self.placer.place(Rest(self._duration(length, match), visible=visible))
        else:
            if "0" in length:
                self._duration(length, match)  # for its warning
            voice.append(plain_rest(visible, length, voice.unit))

    def _bar_rest(self, match: Match) -> None:
        voice = self.placer.voice_for_event()
        visible, digits = subgroup(match, "bar_rest", 1) == "Z", subgroup(match, "bar_rest", 2)
        alone = voice.bar.empty and voice.lane.tuplet is None
        if not alone or not _AFTER_BAR_REST.match(match.string, match.end()):
            self.warn(f"'{match[0]}' inside a bar is read as a short rest", match.start())
            self.placer.place(Rest(self._duration(digits, match), visible=visible))
            return
        count = max(1, min(int(digits or 1), MAX_BAR_RESTS - self.n_bar_rests))
        self.n_bar_rests += count
        if digits and int(digits) != count:
            self.warn(f"'{match[0]}' is read as {count} bars of rest", match.start())
        for number in range(count):
            if number:
                voice.close_bar("|", self.at(match.end()))
            voice.bar.has_bar_rest = True
            self.placer.place(
                Rest(voice.meter.bar_duration or Fraction(4), visible=visible, full_bar=True)
            )

    def _chord_open(self, match: Match) -> None:
        voice = self.placer.voice_for_event()
        if voice.chord is not None:
            self.warn("a chord inside a chord; its notes join the outer one", match.start())
            return
        voice.chord = ChordDraft(voice.pending, old=match[0].startswith("+"))
        voice.pending = None
        voice.busy = True

    def _chord_close(self, match: Match) -> None:
        if self.voice.chord is None:
            self.warn("']' closes nothing; left out", match.start())
        else:
            length = subgroup(match, "chord_close", 1)
            self._duration(length, match)  # for its warning
            self.placer.close_chord(length)

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
            self.placer.begin_broken(signs)

    def _tuplet(self, match: Match) -> None:
        voice = self.voice
        actual = int(subgroup(match, "tuplet", 1))
        normal, size = (int(subgroup(match, "tuplet", k) or 0) for k in (2, 3))
        if actual == 0:
            self.warn("a tuplet of no notes is left out", match.start())
            return
        if voice.chord is not None:
            self.warn("a chord is not closed; closed before a tuplet", match.start())
            self.placer.close_chord("")
        if voice.lane.tuplet is not None:
            self.warn("a tuplet begins inside another, which ends here", match.start())
        normal = normal or tuplet_times(actual, voice.meter.compound)
        voice.lane.tuplet = TupletDraft(actual, normal, size or actual)
        voice.busy = True

    def _microtone(self, match: Match) -> None:
        """Round a microtone to a semitone, which holds until the bar ends."""
        self.warn("a microtone is read without its fraction of a semitone", match.start())
        sign, step = subgroup(match, "microtone", 1), subgroup(match, "microtone", 2).upper()
        alter = ALTERS[sign[0]] * min(int(factor(sign[1:])), 2)
        self.voice.altered = self.voice.altered | {step: alter}

    def _slur_open(self, match: Match) -> None:
        if "&" in match[0]:
            self.voice.overlay_start = len(self.voice.bars), self.voice.bar.duration()
        else:
            self.placer.outer().opened += 1

    def _slur_close(self, match: Match) -> None:
        voice = self.voice
        if "&" in match[0]:
            self.placer.settle(match.start())
            voice.overlay_start = None
            voice.end_overlay()
        elif voice.chord is not None:
            self.placer.outer().closed += 1
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

    def _grace(self, match: Match) -> None:
        at_bar_line = _BEFORE_BAR.match(match.string, match.end())
        voice = self.voice if at_bar_line else self.placer.voice_for_event()
        column = match.start()
        grace = read_grace(
            subgroup(match, "grace", 1), self.placer, self.letters, lambda w: self.warn(w, column)
        )
        if grace is None:
            self.warn("grace notes without a note are left out", column)
            return
        pending = voice.before_next()
        if before := pending.grace:
            grace = Grace(before.notes + grace.notes, before.slashed or grace.slashed)
        pending.grace = grace

    # Signs around notes.

    def _quoted(self, match: Match) -> None:
        quoted = subgroup(match, "quoted", 1)
        text = " ".join(decode_text(quoted).split())
        if not text:
            return
        if quoted[0].isspace() and text[0] not in "^_<>@":
            text = f"^{text}"  # a blank in front is there so that it is no chord symbol
        pending = self.placer.outer()
        if not pending.chord_symbol and is_chord_symbol(text):
            pending.chord_symbol = text
        else:
            pending.annotations.append(text)

    def _decoration(self, match: Match) -> int | None:
        name = subgroup(match, "decoration", 1)
        if not name:
            return self._plus(match, subgroup(match, "decoration", 2))
        if not decorations.is_name(name):
            return match.start() + 1  # the first of two line breaks around notes
        self.voice.before_next().decorations.append(decorations.canonical_name(name))
        return None

    def _plus(self, match: Match, name: str = "") -> int | None:
        """A + begins or ends a decoration, or a chord in ABC before 1.6."""
        draft = self.voice.chord
        if draft is not None and draft.old:
            self.placer.close_chord("")
        elif decorations.is_known(name):
            self.voice.before_next().decorations.append(decorations.canonical_name(name))
            return None
        elif draft is None and _OLD_CHORD.match(match.string, match.start()):
            self._chord_open(match)
        else:
            self.warn("'+' has no meaning here; left out", match.start())
        return match.start() + 1

    def _letter(self, match: Match) -> None:
        if match[0] not in self.letters:
            self.warn(f"'{match[0]}' has no meaning given; kept as a sign", match.start())
        if name := self.letters.get(match[0], match[0]):
            self.voice.before_next().decorations.append(name)

    # Bar lines.

    def _bar(self, match: Match) -> None:
        voice = self.voice
        ends, line, starts = read_barline(subgroup(match, "bar", 1))
        column = match.start()
        self.placer.settle(column)
        if voice.continue_overlay():
            return
        if ends and not voice.bars and voice.bar.empty:
            self.warn("a repeat ends before any music; left out", column)
            ends = 0
        ends, voice.repeat_end = ends or voice.repeat_end, 0
        end = self.at(column + len(subgroup(match, "bar", 1)))
        voice.close_bar(line, end, repeat_end=ends, repeat_start=starts)
        if passes := subgroup(match, "bar", 2):
            voice.bar.volta = read_passes(passes)

    def _volta(self, match: Match) -> None:
        self._begin_volta(subgroup(match, "volta", 1) or subgroup(match, "volta", 2), match.start())

    def _begin_volta(self, passes: str, column: int) -> None:
        voice, numbers = self.voice, read_passes(passes)
        if not numbers:
            self.warn(f"'{passes}' is no ending; left out", column)
            return
        if not voice.bar.empty:
            self.placer.settle(column)
            voice.close_bar("", self.at(column))
        voice.bar.volta = numbers

    def _loose_length(self, match: Match) -> None:
        """Read a length apart from its note, chord or rest, as token by token models have it."""
        voice = self.voice
        unmeasured = _UNMEASURED.search(match.string, max(0, match.start() - 40), match.start())
        if not unmeasured or (voice.chord is None and voice.last is None):
            self._number(match)
        elif voice.chord is not None and voice.chord.notes:
            last = voice.chord.notes[-1]
            voice.chord.notes[-1] = replace(last, duration=last.duration * (factor(match[0]) or 1))
        else:
            voice.amend_last(lambda last: scaled(last, factor(match[0]) or Fraction(1)))

    def _number(self, match: Match) -> None:
        if self.voice.bar.empty:
            self._begin_volta(match[0], match.start())
        else:
            self.warn(f"'{match[0]}' belongs to nothing; left out", match.start())

    def _colon(self, match: Match) -> None:
        """Read half of a repeat sign apart from its bar line."""
        voice = self.voice
        if voice.bar.empty:
            self.warn("':' without its bar line; read as '|:'", match.start())
            voice.close_bar("|", self.at(match.end()), repeat_start=True)
        else:
            self.warn("':' without its bar line; read as ':|' at the next one", match.start())
            voice.repeat_end = 1

    def _overlay(self, match: Match) -> None:
        voice = self.voice
        self.placer.settle(match.start())
        if len(voice.current.overlays) == MAX_OVERLAYS:
            self.warn("too many overlays in a bar; the rest joins the last one", match.start())
        elif not voice.begin_overlay(len(match[0])):
            self.warn("an overlay goes back by more bars than there are", match.start())

    # Layout, fields, and text without a meaning.

    def _space(self, match: Match) -> None:
        pass

    _line_break = _space

    def _spacer(self, match: Match) -> None:
        self.voice.bar.has_spacer = True

    def _field(self, match: Match, kind: str = "field") -> None:
        self.field(subgroup(match, kind, 1), subgroup(match, kind, 2), match.start())

    def _bare_field(self, match: Match) -> None:
        self.warn("a field in the middle of a line; read as if in brackets", match.start())
        self._field(match, "bare_field")

    def _printable(self, match: Match) -> None:
        self.warn("a remnant of e-mail encoding is left out", match.start())

    def _other(self, match: Match) -> None:
        self.warn(f"'{match[0]}' has no meaning here; left out", match.start())

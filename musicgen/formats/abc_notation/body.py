"""One ABC tune from its lines: heading, music, fields in the music, voices, lyrics."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

from musicgen.errors import ParseError
from musicgen.formats.abc_notation.drafts import VoiceDraft
from musicgen.formats.abc_notation.fields import read_voice
from musicgen.formats.abc_notation.header import Header
from musicgen.formats.abc_notation.lines import FIELD, SourceLine, is_field, is_prose
from musicgen.formats.abc_notation.lyrics import align, align_symbols
from musicgen.formats.abc_notation.macros import PUT_IN, PUT_IN_EACH, expand
from musicgen.formats.abc_notation.markup import has_markup, without_markup
from musicgen.formats.abc_notation.music import MusicReader
from musicgen.formats.abc_notation.sounding import read_directive
from musicgen.formats.abc_notation.text import decode_text, one_line
from musicgen.formats.abc_notation.voices import Voices, describe
from musicgen.music.tune import Change, ReadWarning, Source, Tune, has_pitches

MAX_LINE_LENGTH = 50_000  # characters
MAX_TOKENS = 200_000  # notes, bar lines, signs in a tune
MAX_WARNINGS = 200  # kept for a tune

_COMMENT = re.compile(r"(?<!\\)%.*", re.DOTALL)
_BLOCK = re.compile(r"begin(text|ps|svg|ml|js)\b")
_BLOCK_END = re.compile(r"(?:%%)?\s*end(text|ps|svg|ml|js)")


class TuneReader:
    """Reads one tune; `read` may be called once."""

    def __init__(self, path: str, defaults: list[tuple[str, str]]) -> None:
        self.path = path
        self.warnings: list[ReadWarning] = []
        self.line = SourceLine(0, 0, "")
        self.header = Header(self._warn)
        for letter, content in defaults:
            self.header.read(letter, content)
        self.voices = Voices(self.header)
        self.music_ends: dict[str, int] = {}  # offset after the last music of each voice
        self.block_ends: dict[str, int] = {}  # the last line that ends each kind of block
        self.started = False
        self.in_voices = False  # V: has been met below the heading
        self.in_music = False
        self.open_lyrics = ""  # of a w: line that the next one continues

    def _warn(self, what: str, column: int = 0) -> None:
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(ReadWarning(what, self.line.number, column + 1))

    def read(self, lines: list[SourceLine], text: str) -> Tune:
        """The tune of these lines, whose joined text is `text`.

        Raises:
            ParseError: it has no music, or exceeds a limit.
        """
        self.line = lines[0]
        if has_markup(text):
            self._warn("tags of HTML are left out")
        for number, line in enumerate(lines):
            if match := _BLOCK_END.match(line.text):
                self.block_ends[match[1]] = number
        body = self._read_heading(lines)
        start = lines[body].offset if body < len(lines) else len(text)
        self.music = MusicReader(self.voices.first(start), self._music_warning, self._inline_field)
        self._read_body(lines, body)
        return self._finish(Source(self.path, lines[0].number, text))

    def _read_heading(self, lines: list[SourceLine]) -> int:
        """Read fields up to K:; returns the number of the first line of the body."""
        number = 0
        has_key = any(line.text.lstrip().startswith("K:") for line in lines)
        while number < len(lines):
            self._enter(lines[number])
            text = lines[number].text
            match = FIELD.match(text) if is_field(text) else FIELD.match(text.lstrip())
            if text.startswith("%%"):
                number = self._read_directive(lines, number, header=True)
                continue
            if match is not None and match[1] != "+":
                content, number = self._with_continuation(match[2], lines, number)
                self.header.read(match[1], content)
                if match[1] == "K":
                    return number
                continue
            remark = _COMMENT.sub("", text).strip()
            if remark and not has_key and "|" in text and not is_prose(text):
                self._warn("no K: before the music; read without a key")
                return number
            if remark:
                self._warn("not a field; kept as a remark")
                self.header.read("N", remark)
            number += 1
        return number

    def _enter(self, line: SourceLine) -> None:
        self.line = line
        if len(line.text) > MAX_LINE_LENGTH:
            raise ParseError(
                f"a line is longer than {MAX_LINE_LENGTH} characters; break it up", line=line.number
            )

    def _with_continuation(
        self, content: str, lines: list[SourceLine], number: int
    ) -> tuple[str, int]:
        """A field's content with the +: lines that follow, without comments; the next line."""
        content = _COMMENT.sub("", content)
        first = number = number + 1
        while number < len(lines) and lines[number].text.startswith("+:"):
            content += " " + _COMMENT.sub("", lines[number].text[2:]).strip()
            number += 1
        return content.strip() if number > first else content, number

    def _read_directive(self, lines: list[SourceLine], number: int, *, header: bool) -> int:
        """Read a %% line, or a block of them up to its %%end; returns the next line."""
        keep = self.header.directive if header else self._body_directive
        text = lines[number].text[2:].strip()
        keep(text)
        number += 1
        block = _BLOCK.match(text)
        if block is None or number > self.block_ends.get(block[1], -1):
            return number
        while not text.startswith("end" + block[1]):
            text = lines[number].text.removeprefix("%%").strip()
            keep(text)
            number += 1
        return number

    # The body.

    def _read_body(self, lines: list[SourceLine], number: int) -> None:
        music, macros, room = self.music, self.header.macros, PUT_IN
        music.letters = self.header.letters
        music.placer.scope = self.header.scope
        while number < len(lines):
            line = lines[number]
            self._enter(line)
            text = line.text
            if text.startswith("%%"):
                number = self._read_directive(lines, number, header=False)
            elif not text or text.isspace() or text[0] == "%":
                number += 1
            elif text[1:2] == ":" and is_field(text):
                content, number = self._with_continuation(text[2:], lines, number)
                self._body_field(text[0], content)
            else:
                number += 1
                if "%" in text:
                    text = _COMMENT.sub("", text)
                text, columns = without_markup(text)
                if text.isspace() or not text:
                    continue
                if "|" not in text and is_prose(text):
                    self._warn("words among the music; kept as a remark")
                    self._change(Change(text=("N", decode_text(text))))
                    continue
                if macros:
                    room = min(room + PUT_IN_EACH * len(text), MAX_TOKENS)
                    text, columns, n_put_in = expand(text, macros, room, columns)
                    room -= n_put_in
                    if room < 0:
                        self._warn("macros that make the tune many times longer; left unreplaced")
                self._music_line(text, line.offset, columns)

    def _music_line(self, text: str, offset: int, columns: list[int] | None) -> None:
        self.started = True
        music = self.music
        self._begin_lyrics(music.voice)
        bare = text.rstrip()
        continued = bare.endswith("\\")
        self.in_music = True
        music.read_line(
            bare[:-1] if continued else bare, offset, continued=continued, columns=columns
        )
        self.in_music = False
        self.music_ends[music.voice.id] = self.line.offset + len(self.line.text)
        if music.n_tokens > MAX_TOKENS:
            raise ParseError(
                f"more than {MAX_TOKENS} signs in a tune; split it", line=self.line.number
            )

    def _begin_lyrics(self, voice: VoiceDraft) -> None:
        self._end_lyrics()
        voice.line_start = (len(voice.bars), len(voice.bar.events))
        if voice.verse:
            voice.verse = 0
            voice.lyric_start = voice.line_start

    def _music_warning(self, what: str, column: int) -> None:
        columns = self.music.columns
        self._warn(what, column if columns is None else columns[min(column, len(columns) - 1)])

    def _inline_field(self, letter: str, content: str, column: int) -> None:
        if letter == "V":
            self._switch_voice(content, self.music.at(column))
        else:
            self._body_field(letter, content)

    def _body_field(self, letter: str, content: str) -> None:
        handler = {
            "K": self._key,
            "M": self._meter,
            "L": self._unit,
            "Q": self._tempo,
            "V": lambda text: self._switch_voice(text, self.line.offset + len(self.line.text)),
            "w": self._lyrics,
            "s": self._symbols,
            "W": self.header.read_words,
            "P": self._part,
            "m": self.header.read_macro,
            "U": self._symbol,
            "I": self._inline_instruction,
        }.get(letter)
        if handler is not None:
            handler(content)
        elif letter == "X":
            self._warn("X: inside a tune is left out")
        elif letter == "+" and content.strip():
            self._warn("'+:' continues nothing; kept as a remark")
            self._change(Change(text=("N", decode_text(content))))
        elif content.strip():
            self._change(Change(text=(letter, decode_text(content))))

    def _change(self, change: Change) -> None:
        self.music.voice.events.append(change)

    @property
    def _in_heading(self) -> bool:
        """Between K: and the music, where M:, L:, Q: and K: still belong to the heading."""
        return not self.started and not self.in_music

    def _key(self, content: str) -> None:
        field = self.header.parse_key(content)
        if self._in_heading:
            before = self.header.key
            if field.key is None and before is not None:  # another clef alone
                field = replace(field, key=before.key, clef=field.clef or before.clef)
            self.header.key = field
            self.voices.restart()
            return
        if field.key is not None:
            self.music.voice.set_key(field.key)
            self._change(Change(key=field.key))
        voice = self.music.voice
        if field.clef:
            voice.turn("clef", field.clef)
        if others := voice.take_properties(field.properties):
            self._change(Change(text=("K", " ".join(others))))

    def _meter(self, content: str) -> None:
        if self._in_heading:
            rest = self.header.read_meter(content)
            self.voices.restart()
        else:
            meter, rest = self.header.parse_meter(content)
            self.music.voice.meter = meter
            self._change(Change(meter=meter))
        if "|" in rest and not self.in_music:
            self._warn("music on the line of a field")
            self._music_line(rest, self.line.offset + self.line.text.index(rest), None)

    def _unit(self, content: str) -> None:
        unit = self.header.parse_unit(content)
        if unit is not None and self._in_heading:
            self.header.unit = unit
            self.voices.restart()
        elif unit is not None:
            self.music.voice.unit = unit.as_integer_ratio()

    def _tempo(self, content: str) -> None:
        if self._in_heading:
            self.header.read_tempo(content)
        elif content.strip():
            tempo = self.header.parse_tempo(content, Fraction(*self.music.voice.unit))
            self._change(Change(tempo=replace(tempo, text=tempo.text.replace("]", ")"))))

    def _part(self, content: str) -> None:
        """Read P:, which belongs to the first voice on a line between systems, else to its own."""
        if not content.strip():
            return
        part = decode_text(content).replace("]", ")")  # so that it can stand in brackets
        voice = self.music.voice
        first = next((v for v in self.voices.drafts.values() if v.started), voice)
        if not self.in_music and voice.bar.empty and len(first.bars) <= len(voice.bars):
            voice = first
        voice.events.append(Change(part=part))

    def _symbol(self, content: str) -> None:
        self.header.read_symbol(content)
        self.music.letters = self.header.letters

    def _lyrics(self, content: str) -> None:
        """Read w:, which goes on in the next w: after a backslash (ABC 2.0)."""
        content = f"{self.open_lyrics} {content.rstrip()}".strip()
        self.open_lyrics = ""
        if content.endswith("\\") and not content.endswith("\\\\"):
            self.open_lyrics = content[:-1]
        elif surplus := align(self.music.voice, content):
            self._warn(f"{surplus} syllables more than notes; left out")

    def _end_lyrics(self) -> None:
        if self.open_lyrics:
            self._lyrics("")

    def _symbols(self, content: str) -> None:
        surplus, unknown = align_symbols(self.music.voice, content)
        if surplus:
            self._warn(f"{surplus} symbols more than notes; left out")
        for text in unknown:
            self._warn(f"'{text[:40]}' in s: is no symbol; left out")

    def _body_directive(self, content: str) -> None:
        if self.music.voice.started or not self.header.propagates(content):
            self._instruction(content, ("%%", one_line(content)))
        self.music.placer.scope = self.header.scope

    def _inline_instruction(self, content: str) -> None:
        self._instruction(content, ("I", decode_text(content)))

    def _instruction(self, content: str, text: tuple[str, str]) -> None:
        """Follow an instruction of %% or I:, which are the same (11), or keep it as `text`."""
        directive = read_directive(content)
        if content.strip() and (directive is None or directive.is_kept):
            self._change(Change(text=text))
        if directive is None:
            return
        if directive.kind == "drummap" or (self._in_heading and not self.in_voices):
            self.header.instruments.take(directive, "")
            if self._in_heading:
                self.voices.restart()
        else:
            self.music.voice.take(directive)

    # Voices.

    def _switch_voice(self, content: str, offset: int) -> None:
        field = read_voice(content)
        if not field.id:
            self._warn("V: without a name; left out")
            return
        self.in_voices = True
        voice = self.voices.get(field.id, offset)
        describe(voice, field)
        if not voice.bar.events:
            voice.bar.start = offset
        self._end_lyrics()
        self.music.placer.voice = voice
        self._begin_lyrics(voice)

    # The end.

    def _finish(self, source: Source) -> Tune:
        drafts = self.voices.drafts.values()
        self._end_lyrics()
        for voice in drafts:
            self._finish_voice(voice, len(source.text))
        if not any(voice.bars for voice in drafts):
            raise ParseError("has no music; write some after K:", line=source.line)
        voices = self.voices.freeze()
        if not has_pitches(voices):
            raise ParseError(
                "holds no notes other than drums; is it the right file?", line=source.line
            )
        for voice in drafts:
            if voice.id and not voice.bars:
                self._warn(f"voice {voice.id} has no music and was left out")
        header = self.header
        return Tune(
            title=header.title,
            number=header.number,
            rhythm=header.rhythm,
            composer=header.composer,
            meter=header.the_meter(),
            unit=header.the_unit(),
            tempo=header.the_tempo(),
            key=header.the_key(),
            parts=header.parts,
            fields=tuple(header.fields),
            words=tuple(header.words),
            voices=voices,
            source=source,
            warnings=tuple(self.warnings),
        )

    def _finish_voice(self, voice: VoiceDraft, end: int) -> None:
        self.music.placer.voice = voice
        self.music.placer.finish()
        bar = voice.bar
        if not bar.empty:
            voice.close_bar("", max(bar.start, self.music_ends.get(voice.id, end)))
        elif voice.bars:
            for event in bar.events:
                voice.bars[-1].add(event)
        if voice.n_silent:
            self._warn(f"{voice.n_silent} notes of a voice of drums and of pitches, left out")
        if bar_number := voice.open_repeat():
            self._warn(f"the repeat that begins in bar {bar_number} is never closed")

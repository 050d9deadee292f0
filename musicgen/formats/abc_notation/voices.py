"""The voices of an ABC tune while it is read: by id, with the properties of V:, in order."""

from __future__ import annotations

from itertools import count

from musicgen.errors import ParseError
from musicgen.formats.abc_notation.drafts import VoiceDraft
from musicgen.formats.abc_notation.fields import PIECE, VoiceField
from musicgen.formats.abc_notation.header import Header
from musicgen.music.tune import Voice

MAX_VOICES = 64


class Voices:
    """Drafts by id, in the order of the heading's V: fields and then of first use."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.drafts: dict[str, VoiceDraft] = {}

    def first(self, offset: int) -> VoiceDraft:
        """The voice of music before any V: in the body: the first that the heading names."""
        for field in self.header.voices:
            describe(self.get(field.id, offset), field)
        declared = self.header.voices
        return self.get(declared[0].id if declared else "", offset)

    def get(self, voice_id: str, offset: int) -> VoiceDraft:
        """The voice of this id, made at its first mention.

        Raises:
            ParseError: there are too many.
        """
        if voice_id not in self.drafts:
            if len(self.drafts) >= MAX_VOICES:
                raise ParseError(f"has more than {MAX_VOICES} voices; split it")
            self.drafts[voice_id] = VoiceDraft(voice_id, offset)
            self._set_up(self.drafts[voice_id], len(self.drafts))
        return self.drafts[voice_id]

    def restart(self) -> None:
        """Give all voices the key, meter, unit and clef of the heading as read so far."""
        for number, voice in enumerate(self.drafts.values(), 1):
            self._set_up(voice, number)
        for field in self.header.voices:
            describe(self.drafts[field.id], field)

    def _set_up(self, voice: VoiceDraft, number: int) -> None:
        header, instruments = self.header, self.header.instruments
        voice.set_key(header.the_key())
        voice.meter = header.the_meter()
        voice.unit = header.the_unit().as_integer_ratio()
        if instruments.semitones:
            voice.transpose("directive", instruments.semitones)
        if (channel := instruments.channel(voice.id)) is not None:
            voice.set_channel(channel)
        if (program := instruments.program(voice.id, number)) is not None:
            voice.turn("program", program)
        if header.key is not None:
            if header.key.clef:
                voice.turn("clef", header.key.clef)
            _add_properties(voice, header.key.properties)

    def freeze(self) -> tuple[Voice, ...]:
        """The finished voices that have music, those of percussion last; a nameless one beside
        others gets a number."""
        drafts = [draft for draft in self.drafts.values() if draft.bars]
        unnamed = self.drafts.get("")
        if unnamed is not None and unnamed.bars and len(drafts) > 1:
            unnamed.id = next(n for n in map(str, count(1)) if n not in self.drafts)
            drafts.sort(key=lambda draft: draft is not unnamed)  # it comes first
        elif unnamed is not None and not unnamed.bars and drafts:
            drafts[0].bars[0].events[:0] = unnamed.bar.events
        drafts.sort(key=lambda draft: draft.is_percussion)
        return tuple(draft.freeze(self.header.instruments.drum_map) for draft in drafts)


def describe(voice: VoiceDraft, field: VoiceField) -> None:
    """Give a voice the name, clef and properties of its V: field."""
    voice.name = field.name or voice.name
    if field.clef:
        voice.turn("clef", field.clef)
    _add_properties(voice, field.properties)


def _add_properties(voice: VoiceDraft, properties: str) -> None:
    kept = PIECE.findall(voice.properties)
    kept += [piece for piece in voice.take_properties(properties) if piece not in kept]
    voice.properties = " ".join(kept)

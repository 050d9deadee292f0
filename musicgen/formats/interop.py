"""Tunes as objects of music21, pretty_midi, mido and symusic, and back, in one call each.

    score = to_music21(tune)              # a music21 Score
    tune = from_music21(score)
    frames = to_pretty_midi(tune).get_piano_roll()

Every conversion goes through bytes in memory: MusicXML for music21, a MIDI file for the others, so
it keeps exactly what those formats keep. music21 has pitches with their spelling, durations, ties,
tuplets, repeats, endings, keys, meters, tempos, chord symbols, lyrics and titles; it loses ABC's
other heading lines, the layout of lines, and overlays that MusicXML has no voice for. A MIDI file
has repeats played out, sounding pitches without their spelling, keys, meters, tempos, programs and
lyrics; slurs, decorations, chord symbols and written repeats are lost, and reading it back spells
the pitches after the key and writes the rhythm anew.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from musicgen.errors import ParseError
from musicgen.formats import parsed_each, rendered
from musicgen.music.tune import Tune

if TYPE_CHECKING:
    import mido
    import music21
    import pretty_midi
    from symusic.types import Score as SymusicScore


def to_music21(tune: Tune) -> music21.stream.Score:
    """The tune as a music21 Score, with a part for each voice.

    Raises:
        InvalidTuneError: MusicXML cannot hold the tune.
    """
    from music21 import converter, stream

    from musicgen.formats.musicxml.writing import to_musicxml

    document = to_musicxml(tune, all_modes=True)
    score = converter.parseData(document, format="musicxml", forceSource=True)
    assert isinstance(score, stream.Score)  # a document of ours holds one
    return score


def from_music21(score: music21.stream.Stream[Any]) -> Tune:
    """A music21 Score, Part or other stream as a tune.

    Raises:
        ParseError: music21 cannot write it as MusicXML, or what it writes is not a score.
    """
    from music21.exceptions21 import Music21Exception
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    try:
        document = GeneralObjectExporter(score).parse()
    except Music21Exception as error:
        raise ParseError(f"music21 cannot write this stream as MusicXML: {error}") from None
    return _parsed(document, ".musicxml")


def to_pretty_midi(tune: Tune) -> pretty_midi.PrettyMIDI:
    """The tune as played, with an Instrument for each voice; times are in seconds."""
    import pretty_midi

    return pretty_midi.PrettyMIDI(BytesIO(rendered([tune], ".mid")))


def from_pretty_midi(midi: pretty_midi.PrettyMIDI, **options: Any) -> Tune:
    """The melody of a PrettyMIDI; with `voices="all"` all its parts.

    `options` are those of `musicgen.read` for MIDI files: voices, track, channel, key, meter,
    pickup.

    Raises:
        ParseError: it holds no notes that can be read.
    """
    file = BytesIO()
    midi.write(file)
    return _parsed(file.getvalue(), ".mid", **options)


def to_mido(tune: Tune) -> mido.MidiFile:
    """The tune as played, with a track for each voice after the one of tempos and meters; times
    are in ticks."""
    import mido

    return mido.MidiFile(file=BytesIO(rendered([tune], ".mid")))


def from_mido(midi: mido.MidiFile, **options: Any) -> Tune:
    """The melody of a MidiFile; with `voices="all"` all its parts. See `from_pretty_midi`.

    Raises:
        ParseError: it holds no notes that can be read.
    """
    file = BytesIO()
    midi.save(file=file)
    return _parsed(file.getvalue(), ".mid", **options)


def to_symusic(tune: Tune) -> SymusicScore[Any]:
    """The tune as played, with a track for each voice; times are in ticks."""
    import symusic

    return symusic.Score.from_midi(rendered([tune], ".mid"))


def from_symusic(score: Any, **options: Any) -> Tune:
    """The melody of a symusic Score in any time unit; with `voices="all"` all its parts. See
    `from_pretty_midi`.

    Raises:
        ParseError: it holds no notes that can be read.
    """
    return _parsed(score.to("tick").dumps_midi(), ".mid", **options)


def _parsed(data: bytes, suffix: str, **options: Any) -> Tune:
    """The one tune of a file in memory."""
    for tune in parsed_each(data, f"tune{suffix}", **options):
        if isinstance(tune, Tune):
            return tune
        raise ParseError(tune.reason, line=tune.line)
    raise ParseError("holds no tune")

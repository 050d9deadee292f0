"""Tunes as objects of music21, pretty_midi, mido and symusic, and back, in one call each.

    score = to_music21(tune)              # a music21 Score
    tune = from_music21(score)
    frames = to_pretty_midi(tune).get_piano_roll()

Every conversion goes through bytes in memory: MusicXML for music21, a MIDI file for the others, so
it keeps exactly what those formats keep. `scripts/checks/libraries.py` counts what is lost.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from musicgen.config import arguments
from musicgen.errors import OptionError, ParseError
from musicgen.formats import parsed_each, rendered
from musicgen.music.tune import Tune, require_tune

if TYPE_CHECKING:
    import mido
    import music21
    import pretty_midi
    from symusic.types import Score as SymusicScore


@arguments()
def to_music21(tune: Tune) -> music21.stream.Score:
    """The tune as a music21 Score, with a part for each voice.

    music21 has pitches with their spelling, durations, ties, tuplets, repeats, endings, keys,
    meters, tempos, chord symbols, lyrics and titles. It loses that the notes of a chord have
    different lengths (all get that of the first), ABC's other heading lines, and the layout of
    lines; the parts of a playing order such as P:ABA are written out.

    Raises:
        InvalidTuneError: MusicXML cannot hold the tune.
    """
    from music21 import converter, stream

    from musicgen.formats.musicxml.writing import to_musicxml

    document = to_musicxml(require_tune(tune), all_modes=True)
    score = converter.parseData(document, format="musicxml", forceSource=True)
    assert isinstance(score, stream.Score)  # a document of ours holds one
    return score


@arguments()
def from_music21(score: music21.stream.Stream[Any]) -> Tune:
    """A music21 Score, Part or other stream as a tune. Bars that are too long stay so.

    Raises:
        ParseError: music21 cannot write it as MusicXML, or what it writes is not a score.
    """
    from music21.exceptions21 import Music21Exception
    from music21.musicxml.m21ToXml import GeneralObjectExporter
    from music21.stream import Measure, Score, Stream

    _require("score", score, Stream)
    exporter = GeneralObjectExporter(score)
    measures = score.recurse().getElementsByClass(Measure)
    if isinstance(score, Score) and any(
        measure.highestTime > measure.barDuration.quarterLength for measure in measures
    ):  # music21 would cut the notes at the end of the bar
        exporter.generalObj = score.splitAtDurations(recurse=True)[0]  # a copy
        exporter.makeNotation = False
    try:
        document = exporter.parse()
    except Music21Exception as error:
        raise ParseError(f"music21 cannot write this stream as MusicXML: {error}") from None
    return _parsed(document, ".musicxml")


@arguments()
def to_pretty_midi(tune: Tune) -> pretty_midi.PrettyMIDI:
    """The tune as played, with an Instrument for each voice; times are in seconds.

    Repeats are played out. A MIDI file has sounding pitches without their spelling, keys, meters,
    tempos, programs and lyrics; slurs, decorations, chord symbols, written repeats and voices
    without notes are lost, and reading it back spells the pitches after the key and writes the
    rhythm anew. The same holds for mido and symusic.
    """
    import pretty_midi

    return pretty_midi.PrettyMIDI(BytesIO(rendered([tune], ".mid")))


@arguments()
def from_pretty_midi(midi: pretty_midi.PrettyMIDI, **options: Any) -> Tune:
    """A PrettyMIDI as a tune, with a voice for each instrument.

    `options` are those of `musicgen.read` for MIDI files: voices ("melody" for one line), track,
    channel, key, meter, pickup.

    Raises:
        ParseError: it holds no notes that can be read.
    """
    import pretty_midi

    _require("midi", midi, pretty_midi.PrettyMIDI)
    file = BytesIO()
    midi.write(file)
    return _parsed(file.getvalue(), ".mid", **options)


@arguments()
def to_mido(tune: Tune) -> mido.MidiFile:
    """The tune as played, with a track for each voice after the one of tempos and meters; times
    are in ticks."""
    import mido

    return mido.MidiFile(file=BytesIO(rendered([tune], ".mid")))


@arguments()
def from_mido(midi: mido.MidiFile, **options: Any) -> Tune:
    """A MidiFile as a tune, with a voice for each part. `options` as in `from_pretty_midi`.

    Raises:
        ParseError: it holds no notes that can be read.
    """
    import mido

    _require("midi", midi, mido.MidiFile)
    file = BytesIO()
    midi.save(file=file)
    return _parsed(file.getvalue(), ".mid", **options)


@arguments()
def to_symusic(tune: Tune) -> SymusicScore[Any]:
    """The tune as played, with a track for each voice; times are in ticks."""
    import symusic

    return symusic.Score.from_midi(rendered([tune], ".mid"))


@arguments()
def from_symusic(score: Any, **options: Any) -> Tune:
    """A symusic Score in any time unit as a tune, with a voice for each track. `options` as in
    `from_pretty_midi`.

    Raises:
        ParseError: it holds no notes that can be read.
    """
    from symusic import core

    _require("score", score, core.ScoreTick, core.ScoreQuarter, core.ScoreSecond)
    return _parsed(score.to("tick").dumps_midi(), ".mid", **options)


def _require(name: str, value: object, *kinds: type) -> None:
    if not isinstance(value, kinds):
        wanted = f"{kinds[0].__module__.partition('.')[0]}.{kinds[0].__name__}"
        raise OptionError(f"{name}: a {wanted} is wanted, not {type(value).__name__}")


def _parsed(data: bytes, suffix: str, **options: Any) -> Tune:
    """The one tune of a file in memory, with all its voices unless the options name one."""
    every = not {"voices", "track", "channel"} & options.keys()
    for tune in parsed_each(data, f"tune{suffix}", all_voices=every, **options):
        if isinstance(tune, Tune):
            return tune
        raise ParseError(tune.reason, line=tune.line)
    raise ParseError("holds no tune")

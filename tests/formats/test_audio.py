"""Sound files: in tune, as long as they should be, neither silent nor clipped, readable."""

from __future__ import annotations

import importlib.util
import io
import sys
from dataclasses import replace
from fractions import Fraction
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import musicgen
from musicgen import corpus
from musicgen.composer import Composer
from musicgen.composer.controls import Controls
from musicgen.composer.sampling import SamplingConfig
from musicgen.errors import ConfigError, InvalidTuneError
from musicgen.formats.abc_notation import parse_text
from musicgen.formats.audio import fluid
from musicgen.formats.audio.loudness import LoudnessMeter
from musicgen.formats.audio.mixing import ENCODINGS, TAIL_S
from musicgen.formats.audio.pitch import cents_off
from musicgen.formats.audio.recorder import record
from musicgen.formats.audio.sound import BLOCK_FRAMES, SAMPLE_RATE, from_json, to_json
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.performance import EXACT, Style, perform
from musicgen.music.theory import C_MAJOR, canonical_rhythm, spell
from musicgen.music.tune import Bar, Note, Tempo, Tune, Voice
from musicgen.system import sandbox
from tests.pieces import CHORALE, SONG

SYNTHESIZERS = ["fluidsynth", "additive"]
NOTE_S = 0.5
PLAIN = {"swing": 1, "accents": False, "articulation": False, "ornaments": False, "reverb": 0}

JIG = """X:1
T:A jig
R:jig
M:6/8
L:1/8
K:D
A|:"D"d2e fed|"G"BGB "A7"AFA|"D"d2e fed|"Em"e3 "A7"efg|"D"fed "G"gfe|"D"d3 d2:|
"""


def jig() -> Tune:
    (tune,) = parse_text(JIG).tunes
    return tune


def sounds(tune: Tune, *, extension: str = ".wav", **options: Any) -> NDArray[np.float64]:
    """The samples of a recording, (frames, 2)."""
    samples, rate = soundfile.read(io.BytesIO(record([tune], extension, options)), always_2d=True)
    assert rate == SAMPLE_RATE
    return samples  # type: ignore[no-any-return]


def row_of(pitches: list[int]) -> Tune:
    """One note after the other, `NOTE_S` each."""
    bars = [Bar(events=(Note(spell(p, C_MAJOR), Fraction(1)),)) for p in pitches]
    return Tune(tempo=Tempo(Fraction(60) / Fraction(NOTE_S)), voices=(Voice(bars=tuple(bars)),))


def error_in_cents(samples: NDArray[np.float64], midi: int) -> float:
    """Of the strongest partial near a pitch, by zero-padded Fourier transform."""
    size = 1 << 18
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), size))
    expected = 440 * 2 ** ((midi - 69) / 12)
    low, high = (int(expected * 2 ** (c / 1200) * size / SAMPLE_RATE) for c in (-90, 90))
    found = (low + int(np.argmax(spectrum[low:high]))) * SAMPLE_RATE / size
    return float(1200 * np.log2(found / expected))


# --- pitch ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("synthesizer", SYNTHESIZERS)
@pytest.mark.parametrize("instrument", ["fiddle", "flute", "accordion", "piano", "tin whistle"])
def test_every_pitch_is_within_ten_cents(instrument: str, synthesizer: str) -> None:
    pitches = list(range(50, 94))
    samples = sounds(row_of(pitches), instrument=instrument, synthesizer=synthesizer, **PLAIN)
    frames = int(NOTE_S * SAMPLE_RATE)
    for i, midi in enumerate(pitches):
        steady = samples[i * frames + frames // 6 : (i + 1) * frames].mean(axis=1)
        assert abs(error_in_cents(steady, midi)) < 10, (instrument, midi)
        assert np.sqrt(np.mean(steady**2)) > 0.01, (instrument, midi)


def bundled(count: int) -> list[Tune]:
    """Tunes of the default corpus, of every rhythm in turn."""
    of_rhythm: dict[str, list[Tune]] = {}
    for _, tune in corpus.load(["celtic"]).tunes():
        of_rhythm.setdefault(canonical_rhythm(tune.rhythm), []).append(tune)
    turns = zip_longest(*of_rhythm.values())
    return list(islice((tune for turn in turns for tune in turn if tune is not None), count))


@pytest.mark.slow
def test_two_hundred_bundled_tunes_sound_as_written() -> None:
    checked = 0
    for number, tune in enumerate(bundled(200)):
        instrument = ("fiddle", "flute", "accordion", "piano")[number % 4]
        performance = perform(tune, replace(EXACT, tempo="60%"))
        samples = sounds(tune, instrument=instrument, backing=False, tempo="60%", **PLAIN)
        assert len(samples) == round((performance.duration_s + TAIL_S) * SAMPLE_RATE), tune.title
        assert 0.1 < np.abs(samples).max() < 0.9, tune.title
        for note in performance.notes:
            if not 0.2 < note.duration_s < 1.2:  # too short to measure to ten cents, or vibrato
                continue
            first, last = note.onset_s + 0.07, note.end_s
            sound = samples[int(first * SAMPLE_RATE) : int(last * SAMPLE_RATE)].mean(axis=1)
            assert np.sqrt(np.mean(sound**2)) > 0.005, (tune.title, note)
            assert abs(error_in_cents(sound, note.midi)) < 11, (tune.title, instrument, note)
            checked += 1
    assert checked > 10_000


@pytest.mark.slow
def test_fifty_generated_tunes_go_to_every_kind_of_sound(untrained: Checkpoint) -> None:
    for take in Composer(untrained).takes(50, Controls(), SamplingConfig(seed=1)):
        seconds = perform(take.tune, Style(tempo="200%")).duration_s + TAIL_S
        for extension in ENCODINGS:
            samples = sounds(take.tune, extension=extension, tempo="200%")
            assert len(samples) >= seconds * SAMPLE_RATE - 1


@pytest.mark.parametrize("cents", [-70.0, -12.0, 0.0, 3.0, 45.0])
@pytest.mark.parametrize("midi", [43, 69, 93])
def test_mistuning_is_measured(cents: float, midi: int) -> None:
    seconds = np.arange(15_000) / SAMPLE_RATE
    frequency = 440 * 2 ** ((midi - 69 + cents / 100) / 12)
    tone = sum(np.sin(2 * np.pi * k * frequency * seconds) / k for k in (1, 2, 3))
    assert cents_off(np.float32(tone), midi, SAMPLE_RATE) == pytest.approx(cents, abs=1)


def test_noise_and_chords_have_no_pitch_to_correct() -> None:
    seconds = np.arange(15_000) / SAMPLE_RATE
    octave_above = np.sin(2 * np.pi * 880 * seconds)
    beating = np.sin(2 * np.pi * 440 * seconds) + np.sin(2 * np.pi * 452 * seconds)
    assert cents_off(np.float32(octave_above), 69, SAMPLE_RATE) is None
    assert cents_off(np.float32(beating), 69, SAMPLE_RATE) is None
    assert cents_off(np.float32(octave_above[:500]), 69, SAMPLE_RATE) is None


# --- duration, peak, loudness --------------------------------------------------------------------


@pytest.mark.parametrize("synthesizer", SYNTHESIZERS)
@pytest.mark.parametrize(
    "options", [{}, {"count_in": 2, "drone": True, "tempo": "70%"}, {"reverb": 0, "loops": 2}]
)
def test_a_recording_is_as_long_as_its_music_and_well_modulated(
    synthesizer: str, options: dict[str, Any]
) -> None:
    samples = sounds(jig(), synthesizer=synthesizer, **options)
    style = Style(**{k: v for k, v in options.items() if k != "reverb"})
    assert len(samples) == round((perform(jig(), style).duration_s + TAIL_S) * SAMPLE_RATE)
    assert 0.1 < np.abs(samples).max() < 0.9
    assert abs(samples[-1]).max() < 1e-3
    meter = LoudnessMeter(SAMPLE_RATE)
    meter.add(samples.astype(np.float32))
    assert meter.integrated() == pytest.approx(-18, abs=0.5)


def test_the_music_starts_at_once_and_goes_on_to_its_end() -> None:
    samples = sounds(jig(), backing=False, reverb=0)
    steps = np.abs(samples).max(axis=1)[: int(4.5 * SAMPLE_RATE)].reshape(-1, SAMPLE_RATE // 10)
    assert steps.max(axis=1).min() > 0.02


def test_quiet_instruments_are_not_drowned() -> None:
    both = sounds(jig(), instrument="piano", reverb=0)
    alone = sounds(jig(), instrument="piano", reverb=0, backing=False)
    assert np.corrcoef(both.mean(axis=1), alone.mean(axis=1))[0, 1] > 0.4


@pytest.mark.parametrize("synthesizer", SYNTHESIZERS)
def test_a_voice_that_rests_throughout_changes_nothing(synthesizer: str) -> None:
    heading = "X:1\nM:4/4\nL:1/4\nK:C\n"
    alone, both = (
        parse_text(f"{heading}{music}").tunes[0]
        for music in ("V:1\nCDEF|\n", "V:1\nCDEF|\nV:2\nz4|\n")
    )
    recorded = [sounds(tune, synthesizer=synthesizer).mean(axis=1) for tune in (alone, both)]
    rms = [np.sqrt(np.mean(samples**2)) for samples in recorded]
    assert rms[1] == pytest.approx(rms[0], rel=0.1)


def test_loudness_can_be_chosen() -> None:
    loud, soft = (sounds(jig(), loudness=level) for level in (-18.0, -24.0))
    assert 20 * np.log10(loud.std() / soft.std()) == pytest.approx(6, abs=0.1)


def test_voices_stand_left_and_right() -> None:
    text = "X:1\nL:1/4\nK:D\nV:1\nD4|z4|\nV:2\nz4|A4|\n"
    (duet,) = parse_text(text).tunes
    half = SAMPLE_RATE * 2
    for synthesizer in SYNTHESIZERS:
        samples = sounds(duet, synthesizer=synthesizer, reverb=0, instrument="flute")
        first, second = samples[:half].std(axis=0), samples[half + 9000 : 2 * half].std(axis=0)
        assert first[0] > 1.5 * first[1]
        assert second[1] > 1.5 * second[0]


def test_reverberation_goes_on_after_a_note() -> None:
    dry, wet = (sounds(row_of([69]), reverb=level, instrument="flute") for level in (0, 0.8))
    after = slice(int((NOTE_S + 0.4) * SAMPLE_RATE), int((NOTE_S + 0.8) * SAMPLE_RATE))
    assert wet[after].std() > 5 * dry[after].std()


def test_sine_tones_end_with_their_note_whatever_the_reverberation() -> None:
    dry, wet = (sounds(row_of([69]), synthesizer="additive", reverb=r) for r in (0, 0.8))
    assert np.array_equal(dry, wet)
    assert np.abs(dry[int(NOTE_S * SAMPLE_RATE) + 1 :]).max() == 0


def test_sine_tones_play_the_count_in_as_short_high_tones() -> None:
    options = {**PLAIN, "synthesizer": "additive", "backing": False}
    performance = perform(jig(), Style(count_in=1, backing=False))
    clicks = [note for note in performance.notes if performance.parts[note.part].percussion]
    samples = sounds(jig(), count_in=1, **options)
    assert len(clicks) == 2
    for click in clicks:
        first, last = round(click.onset_s * SAMPLE_RATE), round(click.end_s * SAMPLE_RATE)
        tone = samples[first:last].mean(axis=1)
        assert np.abs(tone).max() > 0.02
        assert abs(error_in_cents(tone, click.midi + 24)) < 20


def test_a_sine_tone_goes_on_over_the_edge_of_a_block() -> None:
    bar = Bar(events=(Note(spell(69, C_MAJOR), Fraction(8)),))
    long = Tune(tempo=Tempo(Fraction(120)), voices=(Voice(bars=(bar,)),))
    tone = sounds(long, synthesizer="additive", **PLAIN).mean(axis=1)
    for edge in (BLOCK_FRAMES, 2 * BLOCK_FRAMES):
        around = tone[edge - 500 : edge + 500]
        assert np.abs(around).max() > 0.01
        assert np.abs(np.diff(around)).max() < 0.07 * np.abs(around).max()  # 2 pi 440 / 44100


def test_the_same_tune_sounds_the_same_whatever_was_played_before() -> None:
    first = record([jig()], ".wav", {})
    record([jig()], ".wav", {"instrument": "accordion", "reverb": 1})
    assert record([jig()], ".wav", {}) == first


def test_a_new_process_plays_tunes_as_one_that_has_played_others() -> None:
    tunes = parse_text(f"{JIG}\n{CHORALE}\n{SONG}").tunes
    recorded = []
    for order in (tunes, list(reversed(tunes))):
        sandbox.stop()
        recorded.append([record([each], ".wav", {}) for each in order])
    assert recorded[0] == recorded[1][::-1]


# --- BS.1770 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_a_full_scale_sine_reads_as_the_standard_says(rate: int) -> None:
    meter = LoudnessMeter(rate)
    tone = np.zeros((rate * 3, 2), np.float32)
    tone[:, 0] = np.sin(2 * np.pi * 997 * np.arange(len(tone)) / rate)
    for start in range(0, len(tone), BLOCK_FRAMES):
        meter.add(tone[start : start + BLOCK_FRAMES])
    assert meter.integrated() == pytest.approx(-3.01, abs=0.05)
    assert meter.peak == pytest.approx(1, abs=1e-3)


def test_silence_between_the_notes_does_not_count() -> None:
    tone = np.sin(np.arange(SAMPLE_RATE * 4) / 7).astype(np.float32)[:, None] * 0.1
    alone, between = LoudnessMeter(SAMPLE_RATE), LoudnessMeter(SAMPLE_RATE)
    alone.add(tone)
    between.add(np.concatenate([tone, np.zeros_like(tone)]))
    assert between.integrated() == pytest.approx(alone.integrated(), abs=0.3)


def test_nothing_at_all_has_no_loudness() -> None:
    assert LoudnessMeter(SAMPLE_RATE).integrated() == -np.inf


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", sorted(ENCODINGS))
def test_every_file_is_what_it_says_and_can_be_read_back(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"jig{extension}"
    musicgen.write(jig(), path)
    facts = soundfile.info(path)
    assert facts.format == ENCODINGS[extension][0]
    assert (facts.channels, facts.samplerate) == (2, SAMPLE_RATE)
    samples, _ = soundfile.read(path)
    wav = sounds(jig())
    assert len(samples) == pytest.approx(len(wav), abs=2500)  # an MP3 has whole frames
    assert np.abs(samples).max() < 1
    assert samples.std() == pytest.approx(wav.std(), rel=0.05)


def test_flac_loses_nothing() -> None:
    assert np.array_equal(sounds(jig()), sounds(jig(), extension=".flac"))


def test_several_tunes_follow_one_another(tmp_path: Path) -> None:
    musicgen.write([jig(), jig()], tmp_path / "set.wav")
    assert soundfile.info(tmp_path / "set.wav").frames == 2 * len(sounds(jig()))


def test_a_performance_survives_the_way_to_the_child() -> None:
    performance = perform(jig(), Style(count_in=1))
    assert from_json(to_json([performance])) == [performance]


# --- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reverb": 2}, "reverb: 2.0 is not from 0 to 1"),
        ({"loudness": 0}, "loudness: 0.0 is not from -50 to -10 LUFS"),
        ({"soundfont": "none.sf2"}, "none.sf2: no such soundfont; check the name"),
        ({"instrumnet": "flute"}, "no option 'instrumnet'; did you mean 'instrument'?"),
        ({"tempo": 100}, "tempo: 100 is not text"),
        (
            {"synthesizer": "fluid"},
            "synthesizer: unknown value 'fluid'; did you mean 'fluidsynth'?",
        ),
    ],
)
def test_an_impossible_option_is_said_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        record([jig()], ".wav", options)
    assert str(caught.value) == message


def test_a_file_that_is_no_soundfont_is_refused(tmp_path: Path) -> None:
    font = tmp_path / "font.sf2"
    font.write_bytes(b"RIFF" + bytes(100))
    with pytest.raises(ConfigError, match=r"font\.sf2: is not a soundfont that FluidSynth can"):
        record([jig()], ".wav", {"soundfont": str(font)})


def test_a_tune_that_cannot_be_played_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidTuneError, match="has no notes to play"):
        musicgen.write(Tune(title="nothing"), tmp_path / "nothing.mp3")
    assert list(tmp_path.iterdir()) == []


def test_a_pitch_that_an_instrument_does_not_have_is_an_error() -> None:
    sounds(row_of([61]), instrument="21", synthesizer="fluidsynth")  # whose end is not heard as it
    with pytest.raises(InvalidTuneError, match="instrument 78 has no sound at pitch 80"):
        sounds(row_of([80]), instrument="78", synthesizer="fluidsynth")


def test_without_fluidsynth_sine_tones_are_played(monkeypatch: pytest.MonkeyPatch) -> None:
    from musicgen.formats.audio import mixing

    monkeypatch.setattr(fluid, "library", lambda: None)
    options = {"soundfont": "", "reverb": 0.3, "loudness": -18.0}
    data = to_json([perform(jig())])
    auto, sine_tones = (
        mixing.record(data, extension=".wav", synthesizer=name, **options)  # type: ignore[arg-type]
        for name in ("auto", "additive")
    )
    assert auto == sine_tones


def test_pygame_brings_the_library_and_is_not_imported() -> None:
    assert "pygame" in next(fluid._library_paths())
    assert importlib.util.find_spec("pygame") is not None
    assert "pygame" not in sys.modules

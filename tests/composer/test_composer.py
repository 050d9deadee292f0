"""Composer: tunes that obey, that are valid, and that keep what was given.

The model is untrained: whatever holds here holds by construction.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from musicgen.composer import Composer, Draft
from musicgen.composer.controls import Controls
from musicgen.composer.sampling import SamplingConfig
from musicgen.errors import CheckpointError, ControlError
from musicgen.formats.abc_notation import parse_text, to_abc
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.theory import Pitch
from musicgen.music.tune import Tune, highest
from musicgen.music.validation import validate
from musicgen.tokens.vocabulary import Vocabulary
from tests.grammars import assert_valid


@pytest.fixture(scope="module")
def composer(untrained: Checkpoint) -> Composer:
    return Composer(untrained)


def read_back(tune: Tune) -> Tune:
    (tune,) = parse_text(to_abc(tune)).tunes
    assert tune.warnings == ()
    return tune


def test_every_tune_is_valid_after_it_was_written_and_read_back(composer: Composer) -> None:
    takes = list(composer.takes(96, Controls(), SamplingConfig(seed=1)))
    assert len(takes) == 96
    for take in takes:
        tune = read_back(take.tune)
        assert_valid(tune)
        assert validate(tune) == ()


@pytest.mark.parametrize(
    "controls",
    [{}, {"key": "Ab"}, {"key": "D# minor"}, {"key": "Gb", "range": "C4-C6"}, {"scale": "blues"}],
    ids=str,
)
def test_every_note_is_spelled_as_in_its_key(composer: Composer, controls: dict[str, str]) -> None:
    """No double accidental, and no other name for a note of the scale."""
    n_altered = 0
    for take in composer.takes(12, Controls(**controls), SamplingConfig(seed=2)):
        key = take.tune.key
        scale = {Pitch(step, alter, 4).midi % 12 for step, alter in key.signature.items()}
        for event in take.tune.voices[0].events:
            note = highest(event)
            if note is not None and note.pitch.alter != key.signature[note.pitch.step]:
                n_altered += 1
                assert abs(note.pitch.alter) < 2
                assert note.midi % 12 not in scale
    assert n_altered > 20


def test_a_spelling_that_was_given_stays(composer: Composer) -> None:
    given = "X:1\nM:4/4\nL:1/8\nK:C\n^E2 F2 ^E2 F2|^^F2 G2 ^E2 G2|^E2 F2 ^E2 F2|"
    tune = composer.continue_(parse_text(given).tunes[0], seed=3)
    names = [note.pitch.name for e in tune.voices[0].events if (note := highest(e)) is not None]
    assert " ".join(names[:12]) == "E#4 F4 E#4 F4 F##4 G4 E#4 G4 E#4 F4 E#4 F4"
    assert not {"B#4", "Fb4", "Cb4", "G##4", "Abb4"} & set(names)


@pytest.mark.skipif(shutil.which("abc2midi") is None, reason="abc2midi is not installed")
def test_abc2midi_has_nothing_to_say_about_the_tunes(composer: Composer, tmp_path: Path) -> None:
    takes = composer.takes(64, Controls(), SamplingConfig(seed=4))
    (tmp_path / "book.abc").write_text("\n".join(to_abc(take.tune) for take in takes))
    done = subprocess.run(
        ["abc2midi", "book.abc"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert not [line for line in done.stdout.splitlines() if "rror" in line or "arning" in line]
    assert len(list(tmp_path.glob("*.mid"))) == 64


@pytest.mark.parametrize(
    ("key", "meter", "rhythm"),
    [
        ("D", "6/8", "jig"),
        ("Ador", "6/8", None),
        ("F# minor", None, "reel"),
        ("Bb mixolydian", "2/2", None),
        (None, "C", "Reel"),
        ("Eb", "9/8", "slipjig"),
        ("G", "3/4", None),
        (None, "2/4", "hornpipe"),
    ],
)
def test_controls_hold(
    composer: Composer, key: str | None, meter: str | None, rhythm: str | None
) -> None:
    controls = Controls(key=key, meter=meter, rhythm=rhythm)
    for take in composer.takes(8, controls, SamplingConfig(seed=2)):
        tune = read_back(take.tune)
        assert_valid(tune)
        if key is not None:
            wanted = composer.generate(key=key).key
            assert (tune.key.tonic, tune.key.mode) == (wanted.tonic, wanted.mode)
        if meter is not None:
            assert str(tune.meter) == meter
        if rhythm is not None:
            assert tune.rhythm == {"Reel": "reel", "slipjig": "slip jig"}.get(rhythm, rhythm)


def test_a_hornpipe_is_written_in_common_time_unless_cut_time_is_asked(
    untrained: Checkpoint,
) -> None:
    vocabulary = Vocabulary(untrained.vocab)
    opening = vocabulary.encode(["R:hornpipe", "M:C|", "L:1/8", "K:G", "mode:major", "up:0"])
    composer = Composer(replace(untrained, openings=((tuple(opening), 1),)))
    assert str(composer.generate().meter) == "C"
    assert str(composer.generate(meter="C|").meter) == "C|"


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        (Controls(key="H"), "key 'H': not a key; write it like D, Ador or E minor"),
        (Controls(meter="6/7"), "meter '6/7': not a meter; write it like 6/8 or C|"),
        (Controls(meter="none"), "meter 'none': not a meter; write it like 6/8 or C|"),
        (
            Controls(meter="4/4", rhythm="jig"),
            "a jig in 4/4 contradicts itself; its meters are 6/8, 9/8, 12/8",
        ),
        (
            Controls(rhythm="tango"),
            "rhythm 'tango': the model knows no such tune; it knows hornpipe, jig, reel, slip jig",
        ),
        (
            Controls(meter="5/4"),
            "meter '5/4': the model knows no such tune; it knows 2/4, 3/4, 4/4, 6/8, 9/8, C|",
        ),
        (
            Controls(key="D lydian"),
            "mode 'lydian': the model knows no such tune; "
            "it knows dorian, major, minor, mixolydian",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    composer: Composer, controls: Controls, message: str
) -> None:
    with pytest.raises(ControlError) as error:
        next(composer.takes(1, controls, SamplingConfig()))
    assert str(error.value) == message


def test_a_model_of_tunes_without_rhythms_says_that_it_knows_none(untrained: Checkpoint) -> None:
    place = untrained.vocab.index("R:")
    openings = tuple(((place, *ids[1:]), n) for ids, n in untrained.openings)
    plain = Composer(replace(untrained, openings=openings))
    with pytest.raises(ControlError, match=r"no such tune; it knows none at all; leave it out$"):
        next(plain.takes(1, Controls(rhythm="jig"), SamplingConfig()))


def test_a_seed_gives_the_same_tune_whatever_the_number_of_tunes(composer: Composer) -> None:
    many = [t.tune for t in composer.takes(40, Controls(), SamplingConfig(seed=0))]
    few = [t.tune for t in composer.takes(3, Controls(), SamplingConfig(seed=0))]
    assert many[:3] == few
    assert replace(composer.generate(seed=0)) == many[0]
    assert composer.generate(seed=1) != many[0]


def test_a_zero_temperature_still_ends_and_is_valid(composer: Composer) -> None:
    assert_valid(read_back(composer.generate(temperature=0)))


def test_an_absurd_temperature_cannot_make_an_invalid_tune(composer: Composer) -> None:
    for seed in range(4):
        tune = composer.generate(temperature=1e6, seed=seed)
        assert validate(read_back(tune)) == ()


def test_a_model_of_another_token_language_is_refused(untrained: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match="reads 'char' tokens and cannot compose"):
        Composer(replace(untrained, tokenizer="char"))


def test_a_model_whose_bars_would_take_ages_is_refused(untrained: Checkpoint) -> None:
    """A bar of L:1/65536 took 20 seconds."""
    vocab = tuple("L:1/65536" if token == "L:1/8" else token for token in untrained.vocab)
    with pytest.raises(CheckpointError, match="bars have more than 1024 units; get it again"):
        Composer(replace(untrained, vocab=vocab))


@pytest.mark.parametrize("controls", [Controls(), Controls(key="D", bars=8, end_on_tonic=True)])
def test_what_is_watched_is_what_is_taken(composer: Composer, controls: Controls) -> None:
    sampling = SamplingConfig(seed=11)
    drafts: dict[int, list[Draft]] = {}
    takes = {}
    for news in composer.watch(4, controls, sampling):
        if isinstance(news, Draft):
            assert news.index not in takes
            drafts.setdefault(news.index, []).append(news)
        else:
            takes[news.index] = news
    assert [takes[k] for k in range(4)] == list(composer.takes(4, controls, sampling))
    for number, several in drafts.items():
        bars = takes[number].tune.bars
        for n_bars, draft in enumerate(several, start=1):
            assert [bar.events for bar in draft.tune.bars] == [b.events for b in bars[:n_bars]]

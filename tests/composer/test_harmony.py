"""Chords for melodies: where they may come, how they are found, how they are written."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from musicgen.cli import app
from musicgen.composer import harmony
from musicgen.composer.harmony.decoding import DecodingConfig, harmonies
from musicgen.composer.harmony.progression import Progression, symbol_of
from musicgen.composer.harmony.symbols import backed, n_symbols, with_symbols, write_text
from musicgen.errors import CheckpointError, ConfigError, ControlError
from musicgen.formats import read
from musicgen.formats.abc_notation import parse_text
from musicgen.formats.abc_notation.places import TuneText
from musicgen.models.harmony import model
from musicgen.models.harmony.model import HarmonyModel
from musicgen.models.harmony.network import Harmonizer, HarmonizerConfig, collate
from musicgen.music.chord_symbols import parse_chord
from musicgen.music.theory import Key, Meter, parse_meter
from musicgen.music.tune import Chord, Note, Rest, Tune
from musicgen.tokens.harmony import chords
from musicgen.tokens.harmony.features import HarmonyExample, harmony_example
from musicgen.tokens.harmony.slots import places, slots_of

TUNE = "X:1\nT:A tune\nM:4/4\nL:1/8\nK:G\n" + (
    'D2|"G"G2 B>d "C"e4|"D7"(3ABc !trill!~d2 {g}f2 "Am"a2|[1"G"g8:|[2"G"g4 d4|]\n'
)


def abc(music: str, *, meter: str = "4/4", key: str = "C") -> Tune:
    return parse_text(f"X:1\nT:A tune\nM:{meter}\nL:1/8\nK:{key}\n{music}\n").tunes[0]


def example_of(tune: Tune) -> HarmonyExample:
    return harmony_example(slots_of(tune))


@pytest.fixture(scope="module")
def small() -> Harmonizer:
    torch.manual_seed(0)
    return Harmonizer(HarmonizerConfig(d_model=16, n_layers=1, n_heads=2)).eval()


@pytest.fixture(scope="module")
def shipped() -> HarmonyModel:
    return harmony.load()


# --- places ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("meter", "expected"),
    [
        ("4/4", (0, 2)),
        ("C|", (0, 2)),
        ("2/4", (0, 1)),
        ("3/4", (0,)),
        ("3/8", (0,)),
        ("6/8", (0, Fraction(3, 2))),
        ("9/8", (0, Fraction(3, 2), 3)),
        ("12/8", (0, 3)),
        ("3/2", (0, 2, 4)),
        ("5/4", (0, 3)),
        ("2+3/8", (0, Fraction(1))),
    ],
)
def test_chords_come_on_bars_or_halves_of_them(meter: str, expected: tuple[object, ...]) -> None:
    found = parse_meter(meter)
    assert found is not None
    assert places(found) == expected


def test_a_pickup_has_no_slot_and_a_slot_knows_the_chord_in_force() -> None:
    slots = slots_of(parse_text(TUNE).tunes[0])
    assert [(s.bar, s.event, s.written) for s in slots] == [
        (1, 0, "G"), (1, 3, "C"), (2, 0, "D7"), (2, 4, "D7"), (3, 0, "G"), (3, None, "G"),
        (4, 0, "G"), (4, 1, "G"),
    ]  # fmt: skip
    assert [s.bars_left for s in slots[:4]] == [2, 2, 1, 1]


def test_a_half_bar_that_ends_a_part_is_no_pickup() -> None:
    slots = slots_of(abc("G4|:CEGc CEGc|[1C4 G4:|[2C4|]G4|CEGc C4|]"))
    assert [slot.bar for slot in slots] == [1, 1, 2, 2, 3, 5, 5]


def test_melody_is_counted_from_the_tonic_in_force() -> None:
    given = example_of(abc("CEGc EGce|[K:D]DFAd FAdf|"))
    degrees = given.melody[:, 0].reshape(4, 4)
    assert (degrees[0] == degrees[2]).all()
    assert (degrees[1] == degrees[3]).all()


def test_a_transposed_tune_is_the_same_example() -> None:
    in_c, in_e_flat = (
        example_of(abc('"C"CEGc "G7"BdGz|')),
        example_of(abc('"Eb"EGBe "Bb7"dfBz|', key="Eb")),
    )
    assert (in_c.melody == in_e_flat.melody).all()
    assert (in_c.chords == in_e_flat.chords).all()


@given(number=st.integers(1, chords.N_CHORDS - 1), key=st.sampled_from(["C", "F#", "Eb", "B"]))
@settings(deadline=None)
def test_a_chord_has_the_same_id_whatever_it_is_called(number: int, key: str) -> None:
    name = chords.chord_name(number, Key(key, "minor"))
    assert chords.chord_id(name, Key(key, "minor")) == number
    symbol = parse_chord(name)
    assert symbol is not None
    relative = {(pitch - Key(key).tonic_pitch_class) % 12 for pitch in symbol.pitch_classes}
    assert relative == chords.notes_of(number)


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [("Cmaj7", "C"), ("Dm7", "Dm"), ("G13", "G7"), ("Bm7b5", "Bdim"), ("Fsus4", "F"), ("C/E", "C")],
)
def test_richer_chords_count_as_what_they_stand_on(symbol: str, expected: str) -> None:
    key = Key("C")
    assert chords.chord_name(chords.chord_id(symbol, key), key) == expected


@pytest.mark.parametrize("text", ["", "N.C.", "Fine"])
def test_what_is_no_chord_is_not_learned(text: str) -> None:
    assert chords.chord_id(text, Key("C")) == chords.NOT_KNOWN


# --- network --------------------------------------------------------------------------------


def test_chord_by_chord_gives_what_all_at_once_gives(small: Harmonizer) -> None:
    given = example_of(parse_text(TUNE).tunes[0])
    batch = collate([given])
    with torch.no_grad():
        whole = small(*batch.inputs)[0]
        assert whole.shape == (1, len(given), chords.N_CHORDS)
        heard = small.encode(batch.melody, batch.slot_of, batch.slots, batch.present)
        state, steps = None, []
        for i in range(len(given)):
            span = slice(i, i + 1)
            logits, state = small.decode(
                heard, batch.slot_of, batch.slots[:, span], batch.present, batch.before[:, span],
                state,
            )  # fmt: skip
            steps.append(logits)
    assert torch.allclose(torch.cat(steps, 1), whole, atol=1e-5)


def test_padding_changes_nothing_and_no_chord_sees_a_later_one(small: Harmonizer) -> None:
    short, long = example_of(abc("CDEF GABc|")), example_of(abc("CEGc EGce|dfaf c4|cBAG FEDC|"))
    both, alone = collate([long, short]), collate([short])
    with torch.no_grad():
        together = small(*both.inputs)[0][1, : len(short)]
        assert torch.allclose(together, small(*alone.inputs)[0][0], atol=1e-5)
        before = both.before.clone()
        before[0, -1] = 5
        changed = small(*both.inputs[:4], before)[0]
        assert torch.equal(changed[0, :-1], small(*both.inputs)[0][0, :-1])
        assert not torch.equal(changed[0, -1], small(*both.inputs)[0][0, -1])


def test_a_chord_attends_to_all_of_the_melody(small: Harmonizer) -> None:
    given = example_of(abc("CDEF GABc|cBAG FEDC|"))
    batch = collate([given])
    other = given.melody.copy()
    other[-1, 0] = 1  # the very last note
    with torch.no_grad():
        before = small(*batch.inputs)[0]
        after = small(torch.from_numpy(other)[None], *batch.inputs[1:])[0]
    assert not torch.equal(before[0, 0], after[0, 0])


def test_a_wider_beam_finds_nothing_less_likely(small: Harmonizer) -> None:
    given = example_of(abc("CDEF GABc|cBAG FEDC|"))
    likelihoods = [
        np.log(harmonies(small, given, DecodingConfig(beam=beam)).probabilities).sum()
        for beam in (1, 8)
    ]
    assert likelihoods[1] >= likelihoods[0] - 1e-9


def test_drawing_is_a_function_of_the_seed(small: Harmonizer) -> None:
    given = example_of(abc("CDEF GABc|cBAG FEDC|CDEF GABc|cBAG FEDC|"))
    drawn = [
        harmonies(small, given, DecodingConfig(temperature=1.0, seed=seed)).chords.tolist()
        for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_inside_a_long_note_the_chord_stays(small: Harmonizer) -> None:
    given = example_of(abc("c8|c8|c8|"))
    for seed in range(5):
        found = harmonies(small, given, DecodingConfig(temperature=2.0, seed=seed)).chords
        assert found[0::2].tolist() == found[1::2].tolist()


# --- writing --------------------------------------------------------------------------------


def test_symbols_go_into_the_text_and_nothing_else_changes() -> None:
    tune = parse_text(TUNE).tunes[0]
    text = write_text(TuneText(TUNE), tune, {(1, 0): "Em", (2, 3): "Bdim", (4, 1): "D7"})
    assert text == "X:1\nT:A tune\nM:4/4\nL:1/8\nK:G\n" + (
        'D2|"Em"G2 B>d e4|(3ABc "Bdim"!trill!~d2 {g}f2 a2|[1g8:|[2g4 "D7"d4|]\n'
    )


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_symbols_are_written_without_touching_the_rest(data: st.DataObject) -> None:
    tune = parse_text(TUNE).tunes[0]
    where = [(s.bar, s.event) for s in slots_of(tune) if s.event is not None]
    names = st.sampled_from(["", "G", "F#m", "Bb7", "C#dim"])
    chosen = {place: name for place in where if (name := data.draw(names))}
    text = write_text(TuneText(TUNE), tune, chosen)
    without = [re.sub(r'"[A-G][^"]*"', "", each) for each in (text, TUNE)]
    assert without[0] == without[1]
    assert TuneText(text).read() == with_symbols(tune, chosen)


def test_backing_holds_each_chord_until_the_next_over_repeats() -> None:
    tune = backed(parse_text(TUNE).tunes[0])
    voice = tune.voices[1]
    assert [bar.repeat_end for bar in voice.bars] == [bar.repeat_end for bar in tune.bars]
    assert [bar.duration for bar in voice.bars] == [bar.duration for bar in tune.bars]
    assert isinstance(voice.bars[0].events[0], Rest)  # before the first symbol
    chord = voice.bars[1].events[1]
    assert isinstance(chord, Chord)
    assert [note.midi % 12 for note in chord.notes] == [0, 4, 7, 0]  # bass C, then E G C
    assert chord.duration == 2


# --- the whole ------------------------------------------------------------------------------


def test_a_harmony_begins_every_part_and_says_only_changes(shipped: HarmonyModel) -> None:
    tune = abc("CEGc CEGc|CEGc CEGc||CEGc CEGc|c8|]")
    found = harmony.harmonize(tune, shipped)
    assert {(0, 0), (2, 0)} <= set(found.symbols)
    assert len(found.chords) == 8
    assert found.n_replaced == 0
    assert found.agreement is None


def test_the_shipped_model_hears_plain_harmony(shipped: HarmonyModel) -> None:
    tune = abc("c2e2 g2e2|c2e2 c4|B2d2 g2f2|e2c2 c4|]")
    found = harmony.harmonize(tune, shipped)
    roots = [name.removesuffix("7") for name in found.chords]
    assert roots[0] == roots[-1] == "C"
    assert roots[4] == "G"


@pytest.mark.parametrize(
    ("tune", "title"),
    [
        (abc("CDEF|", meter="none"), "A tune"),
        (abc("z8|z8|"), "A tune"),
        (Tune(title="None"), "None"),
    ],
)
def test_a_tune_without_places_is_refused(shipped: HarmonyModel, tune: Tune, title: str) -> None:
    message = f"'{title}' has no place for a chord: it needs a meter and a bar with notes"
    with pytest.raises(ControlError) as caught:
        harmony.harmonize(tune, shipped)
    assert str(caught.value) == message


def test_a_tune_without_end_is_refused(shipped: HarmonyModel) -> None:
    with pytest.raises(ControlError) as caught:
        harmony.harmonize(abc("CDEF GABc|" * 600), shipped)
    assert str(caught.value) == (
        "'A tune' is too long for one pass: 1200 places for chords, 4800 notes, "
        "of 1000 and 4000 at most; split it"
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"temperature": -1}, "temperature: -1 is not in 0 to 10"),
        ({"beam": 0}, "beam: 0 is not in 1 to 64"),
    ],
)
def test_impossible_settings_are_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        DecodingConfig(**given)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_a_model_comes_back_as_it_was(tmp_path: Path, small: Harmonizer) -> None:
    model.save(tmp_path / "m", HarmonyModel(network=small, metrics={"nats": 1.0}, card="A card."))
    back = model.load(tmp_path / "m")
    assert (back.card, dict(back.metrics)) == ("A card.", {"nats": 1.0})
    batch = collate([example_of(abc("CDEF GABc|"))])
    with torch.no_grad():
        assert torch.equal(back.network(*batch.inputs)[0], small(*batch.inputs)[0])


def test_a_changed_model_is_not_loaded(tmp_path: Path, small: Harmonizer) -> None:
    folder = tmp_path / "m"
    model.save(folder, HarmonyModel(network=small, metrics={}))
    weights = folder / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-3] ^= 1
    weights.write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        model.load(folder)
    assert str(caught.value) == f"{weights}: was changed or damaged; get the model again"


def test_the_command_writes_symbols_and_backing(tmp_path: Path) -> None:
    source = tmp_path / "tune.abc"
    source.write_bytes(b"X:1\r\nT:Reel\r\nM:4/4\r\nL:1/8\r\nK:D\r\n|:d2fd Adfd|e2ce Acec:|\r\n")
    runner = CliRunner()
    for name in ("out.abc", "out.mid"):
        done = runner.invoke(app, ["harmonize", str(source), "-o", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
    written = (tmp_path / "out.abc").read_bytes()
    assert re.sub(rb'"[^"]*"', b"", written) == source.read_bytes()
    assert n_symbols(read(tmp_path / "out.abc")[0]) >= 2
    melody, backing = read(tmp_path / "out.mid", voices="all")[0].voices
    assert [e.midi for e in melody.events if isinstance(e, Note)][:4] == [74, 78, 74, 69]
    assert all(isinstance(e, Chord) for e in backing.events)


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    source = tmp_path / "tune.abc"
    source.write_text("X:1\nT:Reel\nM:4/4\nL:1/8\nK:D\nd2fd Adfd|\n")
    several = CliRunner().invoke(app, ["harmonize", str(source), "-n", "2"])
    assert isinstance(several.exception, ControlError)
    assert str(several.exception) == (
        "there is one most likely harmony; for several add --temperature 1"
    )


def test_the_card_and_numbers_of_the_shipped_model_are_there(shipped: HarmonyModel) -> None:
    config = json.loads((model.SHIPPED / "config.json").read_text())
    assert config["metrics"] == dict(shipped.metrics)
    assert "public domain" in shipped.card
    assert (model.SHIPPED / "weights.safetensors").stat().st_size < 3_000_000


def test_an_example_of_no_slots_is_empty() -> None:
    empty = harmony_example([])
    assert empty.melody.shape == (0, 5)
    assert empty.slots.shape == (0, 6)


# --- the reverse: a melody for chords ---------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key"),
    [("Am | G | F | E7", "A minor"), ("C | Am | F | G7", "C major"), ("Em | D | Em | D", "E minor"),
     ("D | C | G | D", "D mixolydian"), ("Dm | G | Dm | C", "D dorian"), ("F | G | C", "C major"),
     ("Bb | F | Gm | Eb", "Bb major"), ("F#m | D | A | E", "F# minor"), ("| G/B |", "G major")],
)  # fmt: skip
def test_the_key_of_a_progression_is_what_a_musician_says(text: str, key: str) -> None:
    assert str(Progression.read(text).key()) == key


def test_chords_without_a_usual_key_are_refused() -> None:
    with pytest.raises(ControlError) as caught:
        Progression.read("Fb").key()
    assert str(caught.value) == "melody-for: no usual key has such chords; name one with --key"


def test_bars_are_read_repeated_and_filled() -> None:
    read = Progression.read("| Am | % | F  G7 || C |")
    assert read.bars == (("Am",), ("Am",), ("F", "G7"), ("C",))
    assert read.over(6).bars[4:] == (("Am",), ("Am",))
    (bar,) = Progression.read("C F G7").changes(parse_meter("4/4") or Meter((), 4))
    assert bar == [(0, "C"), (2, "F"), (3, "G7")]


@pytest.mark.parametrize(
    ("text", "message"),
    [("", 'melody-for: begins without a chord; write "Am | G | F | E7"'),
     ("Am | H", "melody-for: 'H' in bar 2 is no chord; write it like \"Am | G | F | E7\""),
     ("C|" * 65, "melody-for: 65 bars; 64 at most"),
     ("C D E F G", "melody-for: bar 1 has 5 chords, 4/4 has 4 beats; write longer bars")],
)  # fmt: skip
def test_what_is_no_progression_is_refused(text: str, message: str) -> None:
    with pytest.raises(ControlError) as caught:
        Progression.read(text).changes(parse_meter("4/4") or Meter((), 4))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "options"),
    [("Am | G | F | E7", ["--seed", "3"]),
     ("G D7 | C G | Am D | G", ["--rhythm", "jig", "--seed", "5", "--key", "G"]),
     ("D | A7 | Bm", ["--meter", "3/4", "--bars", "17", "--seed", "0"])],
)  # fmt: skip
def test_a_melody_for_chords_has_their_notes_on_strong_places(
    text: str, options: list[str], tmp_path: Path
) -> None:
    made = tmp_path / "made.abc"
    done = CliRunner().invoke(app, ["harmonize", "--melody-for", text, *options, "-o", str(made)])
    assert done.exit_code == 0, done.output
    tune = read(made)[0]
    asked = Progression.read(text)
    slots = slots_of(tune)
    assert [slot.written for slot in slots if slot.index == 0] == [
        names[0] for names in asked.over(len(tune.bars)).bars
    ]
    strong = [(slot, slot.pieces[0]) for slot in slots if not slot.pieces[0].held]
    outside = [
        slot
        for slot, piece in strong
        if piece.midi is not None and piece.midi % 12 not in symbol_of(slot.written).pitch_classes
    ]
    assert len(strong) > 6
    assert not outside


def test_a_melody_for_chords_is_a_function_of_its_seed() -> None:
    words = ["harmonize", "--melody-for", "C | G", "--seed", "1"]
    runs = [CliRunner().invoke(app, [*words, *more]).stdout for more in ([], [], ["-n", "2"])]
    assert runs[0] == runs[1]
    assert runs[2].startswith(runs[0])


@pytest.mark.parametrize(
    ("words", "message"),
    [([], 'name a melody, or give chords with --melody-for "Am | G | F | E7"'),
     (["x.abc", "--melody-for", "C"],
      "--melody-for takes no file and no --attention; give chords alone"),
     (["x.abc", "--key", "D"], "--key, --meter, --rhythm and --bars are for --melody-for")],
)  # fmt: skip
def test_the_two_ways_of_the_command_are_kept_apart(words: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["harmonize", *words])
    assert isinstance(done.exception, ControlError)
    assert str(done.exception) == message

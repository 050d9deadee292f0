"""Keys with signs of their own (ABC 2.1, 3.1.14): new music keeps to the signature."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import musicgen
from musicgen.composer.melody import Composer
from musicgen.composer.prompts.tokens import tonal
from musicgen.formats.abc_notation import parse_text, to_abc
from musicgen.formats.abc_notation.fields import read_key
from musicgen.music.playback import timeline
from musicgen.music.transposition import transpose
from musicgen.music.tune import Note, Tune

# K:, and a tune in it whose bars end on the bar line.
TUNES = {
    "HP": "ABA fed|ecA e3|",
    "Hp": "A2A efg|aec A3|",
    "DPhr ^f": "D2E FGA|B2A G3|",
    "D exp _b ^f": "D2F ABA|G2F D3|",
}
CHANTER = {67, 69, 71, 73, 74, 76, 78, 79, 81}


def read(key: str, music: str) -> Tune:
    (tune,) = parse_text(f"X:1\nT:t\nM:6/8\nL:1/8\nK:{key}\n{music}\n").tunes
    return tune


def composed(tune: Tune, command: str, composer: Composer) -> Tune:
    actions: dict[str, Callable[[], Tune]] = {
        "continue": lambda: composer.continue_(tune, seed=3),
        "infill": lambda: next(composer.infill(tune, bars="2-3")).tune,
        "vary": lambda: next(composer.vary(tune, similarity="0.3-0.95")).tune,
    }
    return actions[command]()


@pytest.mark.parametrize("command", ["continue", "infill", "vary"])
@pytest.mark.parametrize("key", TUNES)
def test_new_music_keeps_to_the_signature(key: str, command: str) -> None:
    tune = read(
        key, TUNES[key] * (1 if command == "continue" else 2) + "]" * (command != "continue")
    )
    composer = musicgen.load()
    assert isinstance(composer, Composer)
    new = composed(tune, command, composer)
    signature = tune.key.signature
    notes = [event for event in new.voices[0].events if isinstance(event, Note)]
    assert {n.pitch.name for n in notes if n.pitch.alter != signature[n.pitch.step]} == set()
    assert new.key == tune.key
    if key.upper() == "HP":
        assert {note.midi for note in timeline(new).notes} <= CHANTER


@pytest.mark.parametrize(
    ("written", "nearest"),
    [
        ("HP", "A mixolydian"),
        ("DPhr ^f", "D phrygian"),
        ("Gm =e", "G dorian"),
        ("none ^f", "G major"),
        ("Am", "A minor"),
        ("none", "C major"),
    ],
)
def test_a_model_reads_the_nearest_key(written: str, nearest: str) -> None:
    key = read_key(written).key
    assert key is not None
    assert str(tonal(key)) == nearest


def test_a_transposed_signature_of_its_own_is_still_one() -> None:
    moved = transpose(read("HP", TUNES["HP"]), "2")
    assert {step for step, alter in moved.key.signature.items() if alter} == set("CDFG")
    assert "^" not in to_abc(moved).split("\nK:")[1].split("\n", 1)[1]

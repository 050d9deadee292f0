"""Which tokens a corpus is written in, and training on music in parts from end to end."""

from __future__ import annotations

import sys
from pathlib import Path

import mido
import pytest

from musicgen.cli import main
from musicgen.corpus.choice import Choice, asked_for, choose
from musicgen.corpus.preparation import examine, prepare
from musicgen.corpus.sources import Listing
from musicgen.corpus.tokenset import TokenSet
from musicgen.errors import ConfigError
from musicgen.formats import read, write
from musicgen.models import checkpoint
from musicgen.tokens.languages import LANGUAGES
from tests.pieces import CHORALE, SONG, THEME, tune

MELODY = "X:1\nM:2/4\nL:1/8\nK:G\nGABc dedB|GABc d4|]\n"


def folder_of(path: Path, *texts: str) -> Path:
    path.mkdir()
    for number, text in enumerate(texts):
        (path / f"{number}.abc").write_text(text)
    return path


def test_most_of_the_tunes_decide(tmp_path: Path) -> None:
    parts = folder_of(tmp_path / "parts", CHORALE, MELODY, SONG)
    assert choose(Listing([str(parts)])) == Choice(
        "remi", "2 of 3 tunes looked at have voices or chords"
    )
    lines = folder_of(tmp_path / "lines", MELODY, MELODY, SONG)
    assert choose(Listing([str(lines)])) == Choice(
        "melody", "2 of 3 tunes looked at are single lines"
    )
    assert asked_for("remi") == Choice("remi", "asked for")
    (tmp_path / "none.abc").write_text("%abc\n")
    assert choose(Listing([str(tmp_path / "none.abc")])).name == "melody"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ConfigError) as error:
        asked_for("remy")
    assert "remi" in str(error.value)


def test_a_corpus_in_parts_is_encoded_and_accounted_for(tmp_path: Path) -> None:
    corpus = folder_of(tmp_path / "corpus", CHORALE, SONG, "X:1\nM:none\nK:C\nV:1\nA|\nV:2\nC|\n")
    prepared = prepare(corpus, val=0, test=0, folder=tmp_path / "tokens")
    assert prepared.choice.name == prepared.tokens.tokenizer == "remi"
    assert [omitted.reason for omitted in prepared.omitted] == ["no meter"]
    assert prepared.tokens.splits["train"].notes.tolist() == [36, 20]
    assert prepared.irregular == ()
    assert examine(corpus).omitted == prepared.omitted
    assert TokenSet.load(tmp_path / "tokens").feature_sizes == prepared.tokens.feature_sizes


def test_a_language_says_why_it_cannot_say_a_tune() -> None:
    assert LANGUAGES["melody"].encode(read(THEME)[0]) == "more than one voice"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a few pieces, from token files."""
    folder = tmp_path_factory.mktemp("run")
    keys = ("K:G\n", "K:D\n", "K:Bb\n", "K:A\n")
    corpus = folder_of(folder / "corpus", *(CHORALE.replace("K:G\n", key) for key in keys))
    songs = SONG.replace("A2B c3", "E2B c3")
    (corpus / "song.abc").write_text(SONG + "\n" + songs.replace("X:1", "X:2"))
    tokens = prepare(corpus, val=0.3, test=0).tokens
    if not len(tokens.splits["val"]):
        tokens.splits["val"] = tokens.splits["train"]
    tokens.save(folder / "tokens")
    call("train", "--tokens", folder / "tokens", "--out", folder / "run", "--epochs", "1",
         "--set", "model.d_model=16")  # fmt: skip
    return folder / "run"


def call(*arguments: object) -> None:
    """Run the command as a shell does."""
    before, sys.argv = sys.argv, ["musicgen", *map(str, arguments)]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
    finally:
        sys.argv = before


def test_train_generate_and_continue_from_the_command_line(run: Path, tmp_path: Path) -> None:
    assert checkpoint.load(run).tokenizer == "remi"
    for name in ("new.mid", "new.musicxml", "new.abc"):
        call("generate", "-c", run, "--seed", "1", "--key", "D", "-o", tmp_path / name)
        assert (tmp_path / name).stat().st_size > 200
    (new,) = read(tmp_path / "new.abc")
    assert new.key.tonic == "D"
    write(read(THEME)[0], tmp_path / "theme.mid")
    call("continue", tmp_path / "theme.mid", "-c", run, "--seed", "1", "-o", tmp_path / "whole.mid")
    theme, whole = (mido.MidiFile(tmp_path / f"{name}.mid") for name in ("theme", "whole"))
    assert whole.ticks_per_beat == theme.ticks_per_beat
    for given, track in zip(theme.tracks[1:], whole.tracks[1:], strict=True):
        assert track.name == given.name
        sounding = [m for m in given if m.type in ("program_change", "note_on", "note_off")]
        assert [m for m in track if m.type in ("program_change", "note_on", "note_off")][
            : len(sounding)
        ] == sounding


def test_midi_with_several_parts_is_read_in_parts(tmp_path: Path) -> None:
    (tmp_path / "midis").mkdir()
    for number, text in enumerate((CHORALE, SONG)):
        write(tune(text), tmp_path / "midis" / f"{number}.mid")
    prepared = prepare(tmp_path / "midis", val=0, test=0)
    assert prepared.choice.name == "remi"
    assert prepared.tokens.splits["train"].notes.tolist() == [36, 20]

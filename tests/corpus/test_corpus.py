"""Corpora: found, read, made unique, grouped and split."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from musicgen import corpus
from musicgen.corpus import NamedCorpus, reading
from musicgen.errors import CorpusError
from musicgen.music import playback
from musicgen.music.similarity.families import SAME_FAMILY_JACCARD, shingles
from musicgen.music.tune import Tune

SCALE = ["C", "D", "E", "F", "G", "A", "B", "c", "d", "e", "f", "g"]


def melody(seed: int, n_notes: int = 48, step: int = 0) -> list[str]:
    """Random notes, moved up by some steps of the scale of C (so not a true transposition)."""
    chance = random.Random(seed)
    return [SCALE[chance.randrange(8) + step] for _ in range(n_notes)]


def abc(notes: list[str], *, title: str = "Tune", key: str = "C", meter: str = "4/4") -> str:
    bars = ["".join(notes[i : i + 8]) for i in range(0, len(notes), 8)]
    return f"X:1\nT:{title}\nR:reel\nM:{meter}\nL:1/8\nK:{key}\n{'|'.join(bars)}|]\n\n"


def write(folder: Path, **books: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, tunes in books.items():
        (folder / f"{name}.abc").write_text("".join(tunes))
    return folder


def test_a_folder_is_read_in_order_with_ids_that_say_where(tmp_path: Path) -> None:
    book = write(tmp_path / "mine", b=[abc(melody(1)), abc(melody(2))], a=[abc(melody(3))])
    (book / "deep").mkdir()
    (book / "deep" / "c.ABC").write_text(abc(melody(4)))
    found = corpus.load(str(book))
    inside = ["a.abc:1", "b.abc:1", "b.abc:9", "deep/c.ABC:1"]
    assert [entry.id for entry in found.entries] == [f"{book}/{name}" for name in inside]


def test_what_is_no_tunebook_is_left_alone(tmp_path: Path) -> None:
    book = write(tmp_path / "mine", a=[abc(melody(1))])
    for name in ("license.txt", "README.txt", ".hidden.abc", "notes.doc"):
        (book / name).write_text("X:1\nK:C\nCDE|")
    assert len(corpus.find_files([str(book)])) == 1


def test_files_that_cannot_be_read_are_listed_and_do_not_stop_the_rest(tmp_path: Path) -> None:
    book = write(tmp_path / "mine", a=[abc(melody(1))])
    (book / "bad.mid").write_bytes(b"nothing")
    (book / "prose.txt").write_text("Dear all,\nthere is no music here.\n")
    found = corpus.load(book)
    assert len(found.entries) == 1
    assert [(tune.id, tune.reason) for tune in found.rejected] == [
        (f"{book}/bad.mid", "not a MIDI file (no MThd at its start); export it again"),
        (f"{book}/prose.txt", "holds no tune"),
    ]


def test_the_same_file_named_twice_is_read_once(tmp_path: Path) -> None:
    book = write(tmp_path / "mine", a=[abc(melody(1))])
    assert len(corpus.find_files([str(book), str(book / "a.abc")])) == 1


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("celtik", "did you mean 'celtic'? there is oneills1850, "),
        ("Celtic", "did you mean 'celtic'? "),
        ("/no/such", "no such file, folder or corpus; there is oneills1850, ryansMammoth, "),
    ],
)
def test_an_unknown_name_says_what_there_is(name: str, hint: str) -> None:
    with pytest.raises(CorpusError) as error:
        corpus.load([name])
    assert hint in str(error.value)


def test_a_folder_without_music_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no music in this folder; files must end in \.abc"):
        corpus.load(tmp_path)


def test_a_corpus_of_nothing_readable_names_the_first_reason(tmp_path: Path) -> None:
    (tmp_path / "a.mid").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"no readable tune in 1 files \(first: .*not a MIDI"):
        corpus.load(tmp_path)


def test_splits_that_leave_nothing_to_train_on_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"val=0\.5 and test=0\.5 leave nothing"):
        corpus.load(tmp_path, val=0.5, test=0.5)


def test_the_same_melody_under_another_title_or_key_is_kept_once(tmp_path: Path) -> None:
    again = [note.upper() + ("'" if note.islower() else "") for note in melody(1)]
    tunes = [abc(melody(1)), abc(melody(1), title="Other"), abc(melody(1), meter="2/2")]
    found = corpus.load(write(tmp_path / "mine", a=tunes, b=[abc(melody(2))], c=[abc(again)]))
    assert [(left.id[-8:], left.name) for left in found.duplicates][:1] == [("/a.abc:9", "Other")]
    assert found.duplicates[0].same_as == found.entries[0].id
    assert len(found.entries) == 5 - len(found.duplicates)


@pytest.mark.parametrize("theirs_first", [True, False])
def test_a_family_that_reaches_into_another_book_is_not_apart_from_it(
    tmp_path: Path, *, theirs_first: bool
) -> None:
    """Whether it reaches by a copy or a variant, and whichever of two copies is kept."""
    variant = [*melody(2)[:-2], "C", "C"]
    known = [abc(melody(1)), abc(melody(2)), abc(melody(3))]
    fresh = [abc(melody(1)), abc(variant), abc(melody(4)), abc(melody(4)), abc(melody(5))]
    write(tmp_path, theirs=known, ours=fresh)
    ours, theirs = (str(tmp_path / f"{name}.abc") for name in ("ours", "theirs"))
    found = corpus.load([theirs, ours] if theirs_first else [ours, theirs])
    apart, n_related = found.apart_from([theirs])
    assert apart == {f"{ours}:17", f"{ours}:33"}
    assert n_related == 2
    assert found.apart_from([ours, theirs]) == (frozenset(), 0)


def test_a_transposed_tune_is_a_duplicate(tmp_path: Path) -> None:
    sharp = [f"^{note}" for note in melody(1)]
    found = corpus.load(write(tmp_path / "mine", a=[abc(melody(1)), abc(sharp)]))
    assert len(found.entries) == 1


def test_a_variant_joins_the_family_whatever_its_title(tmp_path: Path) -> None:
    variant = melody(1)
    variant[20:22] = ["c", "c"]
    tunes = [abc(melody(1), title="A"), abc(melody(2), title="A"), abc(variant, title="B")]
    found = corpus.load(write(tmp_path / "mine", a=tunes))
    first, second, third = found.entries
    assert (first.family, third.family) == (first.id, first.id)
    assert third.split == first.split
    assert second.family == second.id


def test_adding_a_corpus_moves_no_tune_to_another_split(tmp_path: Path) -> None:
    old = write(tmp_path / "old", a=[abc(melody(seed)) for seed in range(60)])
    variants = [abc([*melody(seed, 44), "c", "c", "c", "c"]) for seed in range(0, 60, 2)]
    new = write(tmp_path / "new", a=variants, b=[abc(melody(seed)) for seed in range(60, 99)])
    before = {entry.id: entry.split for entry in corpus.load(old).entries}
    after = corpus.load([old, new])
    assert {e.id: e.split for e in after.entries if e.id in before} == before
    assert sum(entry.family in before for entry in after.entries) > len(before)


def test_families_are_never_divided_and_shares_are_about_right(tmp_path: Path) -> None:
    tunes = [abc(melody(seed, 24)) for seed in range(300)]
    found = corpus.load(write(tmp_path / "mine", a=tunes), val=0.2, test=0.3)
    sizes = {name: len(found.split(name)) for name in corpus.SPLITS}
    assert sum(sizes.values()) == len(found.entries)
    assert 0.14 < sizes["val"] / 300 < 0.26
    assert 0.23 < sizes["test"] / 300 < 0.37


def test_the_fingerprint_is_that_of_the_data(tmp_path: Path) -> None:
    book = write(tmp_path / "mine", a=[abc(melody(1)), abc(melody(2))])
    first = corpus.load(book).fingerprint
    assert corpus.load(book).fingerprint == first
    write(book, b=[abc(melody(3))])
    assert corpus.load(book).fingerprint != first


def test_progress_counts_the_files(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    book = write(tmp_path / "mine", a=[abc(melody(1))], b=[abc(melody(2))])
    corpus.load(book, progress=lambda *told: seen.append(told))
    assert seen == [("reading files", 1, 2), ("reading files", 2, 2)]


def test_an_entry_says_what_is_worth_knowing_of_its_tune(tmp_path: Path) -> None:
    text = abc(["C", "G", "c", "e"], title="T", key="Am").replace("R:reel", "R:Slip-Jig")
    (entry,) = corpus.load(write(tmp_path / "mine", a=[text])).entries
    assert entry.facts == corpus.Facts(
        title="T",
        rhythm="slip jig",
        meter="4/4",
        key="A minor",
        mode="minor",
        voices=1,
        bars=1,
        notes=4,
        lowest=60,
        highest=76,
        warnings=(),
    )


def title_of(tune: Tune) -> str:
    return tune.title


def test_several_processes_find_what_one_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_BYTES_PER_WORKER", 1)
    books = {f"b{i}": [abc(melody(i // 2), title=str(i))] for i in range(40)}
    book = write(tmp_path / "mine", **books, bad=["Dear all"])
    kept: list[list[str]] = [[], []]
    one, two = (
        corpus.load(book, workers=n + 1, extract=title_of, keep=kept[n].append) for n in (0, 1)
    )
    assert one == two
    assert kept[0] == kept[1] == [entry.facts.title for entry in one.entries]
    assert len(one.duplicates) == 20


def test_the_music_of_every_entry_can_be_read_again(tmp_path: Path) -> None:
    tunes = [abc(melody(1), title="A"), abc(melody(1), title="Copy"), abc(melody(2), title="B")]
    found = corpus.load(write(tmp_path / "mine", a=tunes))
    assert [(entry.id, tune.title) for entry, tune in found.tunes()] == [
        (found.entries[0].id, "A"),
        (found.entries[1].id, "B"),
    ]


def test_a_tune_whose_first_voice_is_silent_is_told_by_the_next(tmp_path: Path) -> None:
    def two_voices(seed: int) -> str:
        return abc(melody(seed)).replace("K:C\n", "K:C\nV:1\nz8|\nV:2\n")

    book = write(tmp_path / "mine", a=[two_voices(1), two_voices(2)])
    found = corpus.load(book)
    assert len({entry.family for entry in found.entries}) == 2


# --- the bundled collections ---------------------------------------------------------------------


def runs_of(tune: Tune) -> set[int]:
    return set(shingles(playback.melody(tune.voices[0])).tolist())


def test_the_default_corpus_is_all_there_and_no_test_tune_has_a_near_duplicate_in_train() -> None:
    found: list[set[int]] = []
    celtic = corpus.load("celtic", extract=runs_of, keep=found.append)
    assert len(celtic.entries) + len(celtic.duplicates) + len(celtic.rejected) == 4248
    assert len(celtic.entries) > 4100
    assert celtic.notices == ()
    runs = {entry.id: each for entry, each in zip(celtic.entries, found, strict=True)}
    holders: dict[int, set[str]] = {}
    for entry in celtic.split("train"):
        for run in runs[entry.id]:
            holders.setdefault(run, set()).add(entry.id)
    for entry in celtic.split("test"):
        mine = runs[entry.id]
        for other in set().union(*(holders.get(run, set()) for run in mine)):
            assert len(mine & runs[other]) / len(mine | runs[other]) < SAME_FAMILY_JACCARD


def test_essen_comes_only_by_name_and_with_its_notice() -> None:
    assert "essenFolksong" not in corpus.CORPORA["celtic"].folders
    assert "non-commercial" in corpus.CORPORA["essenFolksong"].notice
    labels = [file.label for file in corpus.find_files(["essenFolksong"])]
    assert all(label.endswith(".abc") for label in labels)


def test_named_corpora_come_first_in_a_fixed_order(tmp_path: Path) -> None:
    book = write(tmp_path / "mine", a=[abc(melody(1))])
    files = corpus.find_files([str(book), "airdsAirs", "oneills1850"])
    assert list(dict.fromkeys(file.source for file in files)) == [
        "oneills1850",
        "airdsAirs",
        str(book),
    ]


def test_a_corpus_outside_music21_names_its_location(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "reels", a=[abc(melody(1))])
    row = NamedCorpus(("reels",), "reels of a friend", location=str(tmp_path))
    monkeypatch.setitem(corpus.CORPORA, "reels", row)
    (entry,) = corpus.load("reels").entries
    assert (entry.id, entry.source) == ("reels/a.abc:1", "reels")
    monkeypatch.setitem(corpus.CORPORA, "reels", NamedCorpus(("reels",), "", location="/nowhere"))
    with pytest.raises(CorpusError, match="reels: is not at /nowhere/reels; put the corpus there"):
        corpus.load("reels")

"""Voice leading of generated chorales against Bach's: ranges, crossings, parallels.

python scripts/checks/chorales.py --checkpoint chorale -n 100

Bach is the held-out chorales of the corpus (test families, or with --all every one). The model
composes once under the rule against parallel fifths and octaves, as `musicgen generate` does, and
once without it. A sample of pairs of voices is counted by music21's VoiceLeadingQuartet as well.
The margin is stated, not fitted: at most 0.02 parallel fifths a bar more than Bach.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import musicgen
from musicgen.composer import PolyphonicComposer
from musicgen.composer.controls import Controls
from musicgen.composer.sampling import SamplingConfig
from musicgen.corpus import find_files, load
from musicgen.tokens.remi.pieces import ROLES, Piece, PiecePart, piece_of
from musicgen.tokens.remi.voice_leading import Counts, ends_on_triad, voice_leading

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

MARGIN = 0.02  # parallel fifths a bar
COLUMNS = ("parallel_fifths", "parallel_octaves", "crossed", "silent", "out_of_range")


def bach(splits: Iterable[str]) -> Iterator[Piece]:
    """The chorales of some splits."""
    corpus = load("chorales")
    paths = {file.label: file.path for file in find_files(["chorales"])}
    for split in splits:
        for entry in corpus.split(split):
            yield piece_of(musicgen.read(paths[entry.id])[0])[0]


def music21_parallels(piece: Piece) -> Counts:
    """Parallels as music21 finds them, moment by moment."""
    from music21.note import Note
    from music21.voiceLeading import VoiceLeadingQuartet

    counts = Counts()
    moments = sorted({onset for part in piece.parts for onset, _, _ in part.notes})
    for i, upper in enumerate(piece.parts):
        for lower in piece.parts[i + 1 :]:
            for before, after in pairwise(moments):
                found = [_at(part, at) for part in (upper, lower) for at in (before, after)]
                if None in found:
                    continue
                quartet = VoiceLeadingQuartet(*(Note(midi) for midi in found if midi is not None))
                if quartet.antiParallelMotion():  # which music21 counts as parallel
                    continue
                fifths, octaves = quartet.parallelFifth(), quartet.parallelOctave()
                unisons = quartet.parallelUnison()
                counts += Counts(
                    parallel_fifths=int(fifths), parallel_octaves=int(octaves or unisons)
                )
    return counts


def _at(part: PiecePart, moment: int) -> int | None:
    sounding = (n for n in part.notes if n[0] <= moment < n[0] + n[1])
    return next((midi for _, _, midi in sounding), None)


def generated(
    composer: PolyphonicComposer, n: int, *, seed: int, parallels: bool = False
) -> list[Piece]:
    """New pieces of one seed."""
    takes = composer.takes(n, Controls(), SamplingConfig(seed=seed), parallels=parallels)
    return [piece_of(take.tune, finished=False)[0] for take in takes]


def report(name: str, pieces: Sequence[Piece]) -> Counts:
    """One line of the table: counts a bar, and which share ends on the tonic's triad."""
    counts = sum(map(voice_leading, pieces), Counts())
    cells = "".join(f"{counts.per_bar(column):18.4f}" for column in COLUMNS)
    ended = sum(map(ends_on_triad, pieces)) / len(pieces)
    print(f"{f'{name} ({len(pieces)})':28}{counts.bars:7}{cells}{ended:18.1%}")
    return counts


def main(
    *,
    checkpoint: str = "chorale",
    n: Annotated[int, "-n"] = 100,
    seed: int = 0,
    all_: Annotated[bool, "all chorales, not only held-out ones"] = False,
    cross_check: Annotated[int, "pieces given to music21, too"] = 8,
) -> bool:
    """Print the table, exit with 1 where the model does worse than the margin allows."""
    composer = musicgen.load(checkpoint)
    assert isinstance(composer, PolyphonicComposer)
    held_out = list(bach(("train", "val", "test") if all_ else ("test",)))
    new = generated(composer, n, seed=seed)
    free = generated(composer, n, seed=seed, parallels=True)
    columns = (*COLUMNS, "end on the triad")
    print(f"{'a bar':28}{'bars':>7}" + "".join(f"{column:>18}" for column in columns))
    theirs, ours = report("Bach", held_out), report("model, with the rule", new)
    report("model, parallels allowed", free)
    sample = [*held_out[:cross_check], *free[:cross_check]]
    mine = sum(map(voice_leading, sample), Counts())
    music21s = sum(map(music21_parallels, sample), Counts())
    print(
        f"music21 on {len(sample)} of them: {music21s.parallel_fifths} fifths, "
        f"{music21s.parallel_octaves} octaves; ours {mine.parallel_fifths}, {mine.parallel_octaves}"
    )
    ranges = ", ".join(f"{r.name} {r.lowest}-{r.highest}" for r in ROLES.values() if r.name)
    print(f"ranges (MIDI): {ranges}")
    worse = ours.per_bar("parallel_fifths") - theirs.per_bar("parallel_fifths")
    good = worse <= MARGIN and not ours.out_of_range
    print(f"parallel fifths a bar above Bach's: {worse:+.4f} (margin {MARGIN}): {good and 'ok'}")
    return not good


if __name__ == "__main__":
    command_line.run(main)

"""Infilling: does it change only the bars asked for, and does the music lead into what follows?

    python scripts/benchmarks/infill.py --number 200

Four bars of tunes of held-out families of the celtic corpus are written anew, from an ABC file and
from a MIDI file. Counted: files in which nothing else changed. Measured under the shipped model,
in bits a note of the right side: how likely the true right side is behind

- one left-to-right sample (the baseline, which does not hear it),
- the sample that infilling draws, of 32,
- the true bars.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from random import Random

import mido
import numpy as np

from musicgen import corpus, formats, load, read
from musicgen.composer import Composer
from musicgen.composer.infilling import draw, right_bits, sample_stretch
from musicgen.composer.prompts.infill_target import InfillTarget
from musicgen.composer.sampling import SamplingConfig
from musicgen.errors import ControlError
from musicgen.formats.abc_notation import parse_text, to_abc
from musicgen.music.tune import Tune

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.measuring import event_counts

LENGTH = 4
CANDIDATES = 32


def only_these_bars(before: Tune, after: Tune, numbers: set[int]) -> bool:
    """Whether all bars but some are the same to the sign, and the text outside to the byte."""
    assert before.source is not None
    assert after.source is not None
    for i, (old, new) in enumerate(zip(before.bars, after.bars, strict=True)):
        if i not in numbers and old != new:
            return False
    first, last = before.bars[min(numbers)].span, before.bars[max(numbers)].span
    assert first is not None
    assert last is not None
    text, changed = before.source.text, after.source.text
    return changed.startswith(text[: first[0]]) and changed.endswith(text[last[1] :])


def compare(
    composer: Composer, piece: InfillTarget, start: int, seed: int
) -> tuple[float, ...] | None:
    """Bits of the right side behind the baseline, the infilling and the truth, and its notes."""
    try:
        stretch = piece.stretch(start, start + LENGTH, {})
    except ControlError:
        return None
    n_right = sum(len(bar.notes) for bar in piece.heard[start + LENGTH :])
    rows = [seed + k * 2**32 for k in range(CANDIDATES)]
    found = sample_stretch(composer.engine, piece, stretch, SamplingConfig(seed=0), rows)
    chosen = draw(found, np.random.default_rng([0, seed, 2]))
    own = [
        text
        for i in range(start, start + LENGTH)
        for text in piece.tokens_of(i, piece.heard[i].notes)
    ]
    truth = right_bits(composer.engine, [(*stretch.plan.tokens, *own)], stretch.after)[0]
    return found[0].right_bits, chosen.right_bits, float(truth), float(n_right)


def main(*, number: int = 200, compare_: int = 100) -> None:
    """Measure and print."""
    tunes = [t for entry, t in corpus.load("celtic").tunes() if entry.split == "test"]
    Random(1).shuffle(tunes)
    composer, random = load(), Random(0)
    abc_right = midi_right = done = 0
    rows: list[tuple[float, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        text, sound = Path(folder, "tune.abc"), Path(folder, "tune.mid")
        for tune in tunes:
            if done == number:
                break
            text.write_text(tune.source.text if tune.source and tune.source.text else to_abc(tune))
            (given,) = read(text)
            try:
                piece = InfillTarget.read(given)
            except ControlError:
                continue
            if len(piece.heard) < 12:
                continue
            done += 1
            start = random.randrange(2, len(piece.heard) - LENGTH - 1)
            first, last = piece.numbers[start], piece.numbers[start + LENGTH - 1]
            a, b = piece.select(f"{first}-{last}")
            config = SamplingConfig(seed=done)
            try:
                take = next(composer.infill(given, bars=f"{first}-{last}", sampling=config))
                (after,) = parse_text(take.exact[".abc"].decode()).tunes
                abc_right += only_these_bars(
                    given, after, {piece.heard[i].number for i in range(a, b)}
                )
            except ControlError as error:
                print(f"{tune.title}: {error}")
            text_midi = formats.rendered([given], ".mid")
            sound.write_bytes(text_midi)
            (played,) = read(sound)
            try:
                take = next(composer.infill(played, bars="5-8", sampling=config))
                old, new = event_counts(text_midi), event_counts(take.exact[".mid"])
                changed = (old - new) | (new - old)
                ticks = mido.MidiFile(sound).ticks_per_beat
                five = InfillTarget.read(played)
                low, high = five.select("5-8")
                begin = sum(bar.duration for bar in five.heard[:low]) * ticks
                end = sum(bar.duration for bar in five.heard[:high]) * ticks
                midi_right += all(len(e) == 6 and begin <= e[1] < end for e in changed)
            except ControlError as error:
                print(f"{tune.title} (MIDI): {error}")
            if len(rows) < compare_ and (found := compare(composer, piece, start, done)):
                rows.append(found)
    print(
        f"only the bars asked for changed: "
        f"{abc_right} of {done} (ABC), {midi_right} of {done} (MIDI)"
    )
    table = np.array(rows)
    bits = table[:, :3] / table[:, 3:]
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(bits), (1000, len(bits)))
    for name, column in zip(("left to right", "infilling", "true bars"), bits.T, strict=True):
        low, high = np.quantile(column[draws].mean(axis=1), [0.025, 0.975])
        print(
            f"{name}: {column.mean():.3f} bits a note of the right side ({low:.3f} to {high:.3f})"
        )
    gain = table[:, 0] - table[:, 1]
    print(
        f"infilling gains {gain.mean():.1f} bits a tune on the baseline, "
        f"and is better in {(gain > 0).mean():.0%}"
    )


if __name__ == "__main__":
    command_line.run(main)

"""How much of a performance is recovered: tunes played off the beat, read back.

    python scripts/checks/performed.py [--tunes 200] [--off-ms 20] [--drift 10] [--seed 1]
    python scripts/checks/performed.py --split val     # while something is being tuned

Bundled tunes of held-out families (split "test") are played exactly, then every onset and end is
moved by normally distributed time (standard deviation --off-ms), and with --drift the tempo swells
and ebbs by so many percent, once in --period seconds. Written as MIDI at the tune's tempo and read
again, an onset counts as recovered when it is on its own place in quarters, a duration when it is
equal as well as the onset. The whole may be later or earlier by one interval (where the first bar
line is, is another question); a refused file has nothing recovered.
"""

from __future__ import annotations

import io
import math
import random
import sys
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import mido

from musicgen import corpus
from musicgen.errors import MusicgenError
from musicgen.formats import midi
from musicgen.music.performance import EXACT, perform
from musicgen.music.playback import PlayedNote, played_notes, tempo_map
from musicgen.music.theory import default_qpm
from musicgen.music.tune import Tune

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

TICKS = 480


def tempo_of(tune: Tune) -> Fraction:
    """Quarter notes a minute at the start."""
    tempos = tempo_map(tune)
    return tempos[0][1] if tempos else Fraction(default_qpm(tune.rhythm))


def performed(
    tune: Tune, rng: random.Random, *, off_s: float, drift: float = 0.0, period_s: float = 20.0
) -> bytes:
    """A MIDI file of the tune as somebody plays it, in the tune's first tempo."""
    qpm = float(tempo_of(tune))
    per_second = qpm / 60 * TICKS
    lag = rng.uniform(0, 2 * math.pi)

    def warp(time_s: float) -> float:
        if not drift:
            return time_s
        turn = 2 * math.pi / period_s
        return time_s + drift / turn * (math.cos(lag) - math.cos(turn * time_s + lag))

    events = []
    for note in perform(tune, EXACT).notes:
        onset = max(warp(note.onset_s) + rng.gauss(0, off_s), 0)
        end = max(warp(note.onset_s + note.duration_s) + rng.gauss(0, off_s), onset + 0.01)
        events.append((round(onset * per_second), 1, note.midi))
        events.append((max(round(end * per_second), round(onset * per_second) + 1), 0, note.midi))
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=round(60e6 / qpm)))
    now = 0
    for tick, on, pitch in sorted(events):
        kind = "note_on" if on else "note_off"
        track.append(mido.Message(kind, note=pitch, velocity=80, time=tick - now))
        now = tick
    file = mido.MidiFile(type=0, ticks_per_beat=TICKS)
    file.tracks.append(track)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def recovered(tune: Tune, again: Tune) -> tuple[int, int, int]:
    """Notes of the tune, those whose onset is found, those whose duration is, too."""
    written, found = played_notes(tune), played_notes(again)
    counts = [_recovered(written, found, shift) for shift in _shifts(written, found)]
    return len(written), *max(counts, default=(0, 0))


def _recovered(
    written: Sequence[PlayedNote], found: Sequence[PlayedNote], shift: Fraction
) -> tuple[int, int]:
    places = {(n.onset - shift, n.midi): n.duration for n in found}
    onsets = sum((n.onset, n.midi) in places for n in written)
    durations = sum(places.get((n.onset, n.midi)) == n.duration for n in written)
    return onsets, durations


def _shifts(written: Sequence[PlayedNote], found: Sequence[PlayedNote]) -> list[Fraction]:
    """How much later the whole may be, by pairs of early notes."""
    apart = Counter(
        b.onset - a.onset
        for a in written[:60]
        for b in found[:70]
        if a.midi == b.midi and abs(b.onset - a.onset) < 4
    )
    return [shift for shift, _ in apart.most_common(4)]


def held_out(n: int, seed: int, split: str) -> list[Tune]:
    """Bundled tunes of a split that have one line of notes."""
    loaded = corpus.load(["celtic"])
    tunes = [t for e, t in loaded.tunes() if e.split == split and len(t.voices) == 1]
    single = [t for t in tunes if _is_line(t)]
    return random.Random(seed).sample(single, min(n, len(single)))


def _is_line(tune: Tune) -> bool:
    notes = played_notes(tune)
    return len(notes) > 1 and all(a.onset + a.duration <= b.onset for a, b in pairwise(notes))


def main(
    *,
    tunes: int = 200,
    off_ms: float = 20,
    drift: Annotated[float, "percent"] = 0,
    period: Annotated[float, "seconds"] = 20,
    seed: int = 1,
    split: Annotated[str, ("train", "val", "test")] = "test",
    verbose: bool = False,
) -> None:
    """Play, read, compare, print."""
    rng = random.Random(seed)
    n = n_onsets = n_durations = n_refused = n_tunes = meters = 0
    for tune in held_out(tunes, seed, split):
        data = performed(tune, rng, off_s=off_ms / 1000, drift=drift / 100, period_s=period)
        n_tunes += 1
        try:
            again = midi.parse(data).tunes[0]
        except MusicgenError as error:
            n_refused += 1
            n += len(played_notes(tune))
            print(f"{tune.title}: refused: {error}")
            continue
        own, onsets, durations = recovered(tune, again)
        n, n_onsets, n_durations = n + own, n_onsets + onsets, n_durations + durations
        meters += again.meter.bar_duration == tune.meter.bar_duration
        if verbose and durations < 0.9 * own:
            said = "; ".join(w.what for w in again.warnings)
            print(
                f"{tune.title} ({tune.meter}, {float(tempo_of(tune)):.0f}): "
                f"{durations}/{own}: {said}"
            )
    print(
        f"{n_tunes} tunes of {split}, {off_ms:g} ms, tempo +-{drift:g} %: "
        f"{100 * n_onsets / n:.2f} % of onsets, {100 * n_durations / n:.2f} % of durations "
        f"recovered; {n_refused} refused; bar lengths right in {meters}"
    )


if __name__ == "__main__":
    command_line.run(main)

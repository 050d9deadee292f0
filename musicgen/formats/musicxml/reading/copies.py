"""Parts that our writer wrote out in the order in which they are played, as they were written."""

from __future__ import annotations

from musicgen.formats.musicxml.reading.part import PartMusic, Placed


def without_copies(music: PartMusic) -> None:
    """Leave each bar once, in its first place, and out the changes that only restore others.

    The remarks in `places` have the number of the bar and how many of its first changes do so.
    Where one is damaged the music stays as it is.
    """
    firsts: dict[int, int] = {}  # bar -> its first measure
    added: dict[int, int] = {}
    try:
        for measure in range(len(music.frames)):
            bar, n_added = music.places[measure]
            firsts.setdefault(int(bar), measure)
            added[measure] = int(n_added)
    except (KeyError, TypeError, ValueError):
        return
    if sorted(firsts) != list(range(len(firsts))):
        return
    bars = {measure: bar for bar, measure in firsts.items()}
    music.frames = [music.frames[firsts[bar]] for bar in range(len(firsts))]
    music.own_frames = {bars[m]: own for m, own in music.own_frames.items() if m in bars}
    for name, line in music.lines.items():
        music.lines[name] = {bars[m]: sounds for m, sounds in line.items() if m in bars}
    changes: list[Placed] = []
    for placed in music.changes:
        if placed.measure not in bars:
            continue
        if placed.onset == 0 and added[placed.measure] > 0:
            added[placed.measure] -= 1
            continue
        placed.measure = bars[placed.measure]
        changes.append(placed)
    music.changes = sorted(changes, key=lambda placed: placed.measure)

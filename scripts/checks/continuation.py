"""Are tunes that stop anywhere continued, with what was given unchanged? From ABC and from MIDI.

    python scripts/checks/continuation.py --number 200

Tunes of held-out families of the celtic corpus are cut at a random character of their text, or at
a random tick of their MIDI file, written to a file and continued through the command line. Of the
result it is asked:

- ABC: the file begins with every byte that was given, and reads back with the notes given first;
- MIDI: every event that was given is there on its tick: notes with their lengths, velocities and
  channels, programs, tempos, meters, keys;
- there is new music, and what `musicgen validate` says against it, it says of bars given.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import mido

from musicgen import cli, corpus, formats
from musicgen.formats.abc_notation import parse_text, to_abc
from musicgen.music.tune import Tune
from musicgen.music.validation import validate

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.measuring import event_counts


def cut_abc(tune: Tune, random: Random) -> bytes | None:
    """The tune's text up to a random character of its music; None if that leaves no music."""
    text = to_abc(tune) if tune.source is None or not tune.source.text else tune.source.text
    body = text.index("\nK:") + 1
    cut = text[: random.randrange(text.index("\n", body) + 1, len(text))]
    tunes = parse_text(cut).tunes
    return cut.encode() if len(tunes) == 1 and tunes[0].n_notes else None


def cut_midi(tune: Tune, random: Random) -> bytes | None:
    """The tune as a MIDI file up to a random tick; None if that leaves no note."""
    file = mido.MidiFile(file=io.BytesIO(formats.rendered([tune], ".mid")))
    stop = random.randrange(1, sum(message.time for message in file.tracks[0]) + 1)
    for number, track in enumerate(file.tracks):
        kept, tick, last, sounding = mido.MidiTrack(), 0, 0, {}
        for message in track:
            tick += message.time
            if tick >= stop or message.type == "end_of_track":
                break
            if message.type in ("note_on", "note_off"):
                sounding[message.note] = message.type == "note_on" and message.velocity > 0
            kept.append(message.copy(time=tick - last))
            last = tick
        for note in [note for note, sounds in sounding.items() if sounds]:
            kept.append(mido.Message("note_on", note=note, velocity=0, time=stop - last))
            last = stop
        kept.append(mido.MetaMessage("end_of_track", time=stop - last))
        file.tracks[number] = kept
    buffer = io.BytesIO()
    file.save(file=buffer)
    cut = buffer.getvalue()
    return (
        cut
        if any(message.type == "note_on" for message in mido.merge_tracks(file.tracks))
        else None
    )


def sounds(tune: Tune) -> list[object]:
    """Pitches and lengths in order."""
    return [
        (getattr(e, "pitch", None), [n.pitch for n in getattr(e, "notes", ())], e.duration)
        for e in tune.voices[0].events
    ]


def wrong_abc(given: bytes, whole: bytes) -> str | None:
    """What is not as it should be, if anything."""
    if not whole.startswith(given):
        return "the bytes given are not its beginning"
    (before,), (after,) = parse_text(given.decode()).tunes, parse_text(whole.decode()).tunes
    n = len(sounds(before))
    if sounds(after)[: n - 1] != sounds(before)[: n - 1]:
        return "notes given have changed"  # the last may wait for the other half of a dotted pair
    if (after.key, after.meter, after.unit) != (before.key, before.meter, before.unit):
        return "another key, meter or unit"
    return wrong_end(before, after)


def wrong_midi(given: bytes, whole: bytes) -> str | None:
    """What is not as it should be, if anything."""
    if lost := event_counts(given) - event_counts(whole):
        return f"events given are missing: {next(iter(lost))}"
    from musicgen.formats import midi

    return wrong_end(*(midi.parse(data).tunes[0] for data in (given, whole)))


def wrong_end(before: Tune, after: Tune) -> str | None:
    """No new music, or problems that are not of the bars given."""
    if after.n_notes <= before.n_notes:
        return "no new music"
    new = [problem for problem in validate(after) if problem.bar > len(before.bars) + 1]
    old = {problem.kind for problem in validate(before)}
    fresh = [p for p in new if p.kind not in old | {"complement", "short"}]
    return f"new music is not valid: {fresh[0]}" if fresh else None


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and messages of the command line."""
    before, sys.argv = sys.argv, ["musicgen", *arguments]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            cli.main()
        return 0, said.getvalue()
    except SystemExit as stop:
        return int(stop.code or 0), said.getvalue()
    finally:
        sys.argv = before


def check(
    tunes: list[Tune],
    number: int,
    suffix: str,
    cut: Callable[[Tune, Random], bytes | None],
    wrong: Callable[[bytes, bytes], str | None],
) -> list[str]:
    """Continue `number` tunes from files; what went wrong, a line each."""
    random, failures, done = Random(suffix), [], 0
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, f"half{suffix}"), Path(folder, f"whole{suffix}")
        for tune in tunes:
            given = cut(tune, random)
            if given is None:
                continue
            if done == number:
                break
            done += 1
            source.write_bytes(given)
            code, said = run(
                "continue", str(source), "-o", str(target), "--force", "--seed", str(done)
            )
            what = said.strip() if code else wrong(given, target.read_bytes())
            if what:
                failures.append(f"{suffix} {done}, {tune.title}: {what}")
    print(f"{suffix}: {done - len(failures)} of {done} continued with what was given unchanged")
    return failures


def main(*, number: int = 200, corpus_: Sequence[str] = ("celtic",)) -> bool:
    """Check, print, exit with 1 if anything went wrong."""
    held_out = corpus.load(corpus_)
    tunes = [tune for entry, tune in held_out.tunes() if entry.split == "test"]
    Random(0).shuffle(tunes)
    failures = check(tunes, number, ".abc", cut_abc, wrong_abc)
    failures += check(tunes, number, ".mid", cut_midi, wrong_midi)
    print("\n".join(failures))
    return bool(failures)


if __name__ == "__main__":
    command_line.run(main)

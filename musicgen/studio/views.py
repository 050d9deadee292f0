"""A tune as plain JSON for the page: score, notes in seconds, heading, problems."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from musicgen.composer.prompts.infill_target import InfillTarget
from musicgen.errors import ControlError, MusicgenError
from musicgen.formats import rendered
from musicgen.formats.abc_notation import parse_text, to_abc
from musicgen.music.instruments import GENERAL_MIDI
from musicgen.music.performance import note_timings, perform
from musicgen.music.similarity import Novelty
from musicgen.music.tune import Tune
from musicgen.music.validation import validate

Place = tuple[int, int]
View = dict[str, Any]
IsGiven = Callable[[Place], bool]

MOST_PROBLEMS = 200
MOST_NOTES = 20_000
MOST_NUMBERED = 2_000  # bars
USUAL_SIZE = 100


def tune_view(
    tune: Tune,
    abc: str,
    *,
    given: IsGiven | None = None,
    svg: bool = True,
    size: int = USUAL_SIZE,
) -> View:
    """The view of a tune. Errors of drawing and playing are among its problems; `given` tells which
    notes were given, `size` is the size of the music in percent."""
    problems = problems_of(tune)
    view: View = {
        "abc": abc,
        "title": tune.title,
        "key": str(tune.key),
        "meter": str(tune.meter),
        "rhythm": tune.rhythm,
        "bars": len(tune.bars),
        "numbers": numbers_of(tune),
        "voices": len(tune.voices),
        "seconds": 0.0,
        "instrument": "",
        "likelihood_bits": None,
        "novelty": None,
        "notes": [],
        "svg": None,
        "given": None,
        "problems": problems,
    }
    try:
        performance = perform(tune)
        view["seconds"] = round(performance.duration_s, 3)
        view["instrument"] = GENERAL_MIDI[performance.parts[0].program]
        if len(performance.notes) > MOST_NOTES:
            problems.append(problem(f"more than {MOST_NOTES} notes are played; they are not shown"))
        else:
            view["notes"] = notes_of(tune, given)
    except MusicgenError as error:
        problems.append(problem(str(error)))
    if given is not None:
        view["given"] = list(filter(given, places(tune)))
    if svg:
        try:
            view["svg"] = rendered([tune], ".svg", named=True, size=size).decode()
        except MusicgenError as error:
            problems.append(problem(str(error)))
    return view


def notes_of(tune: Tune, given: IsGiven | None = None) -> list[dict[str, Any]]:
    """Every note as it is played, repeats and ties played out, in seconds of the recording."""
    return [
        {
            "place": cue.place,
            "voice": cue.voice,
            "onset": round(cue.onset_s, 4),
            "duration": round(cue.duration_s, 4),
            "pitch": cue.midi,
            "given": given is not None and cue.place is not None and given(cue.place),
        }
        for cue in note_timings(tune)
    ]


def numbers_of(tune: Tune) -> list[int]:
    """The printed number of each bar: a pickup is bar 0."""
    if len(tune.bars) <= MOST_NUMBERED:
        with suppress(ControlError):  # no bar of it could be rewritten by its number
            return list(InfillTarget.read(replace(tune, source=None)).numbers)
    return list(range(1, len(tune.bars) + 1))


def places(tune: Tune) -> list[Place]:
    """The places of the timed events of the first voice, in written order."""
    return [(b, e) for b, bar in enumerate(tune.bars) for e, _ in enumerate(bar.timed)]


def first_events(tune: Tune, n: int) -> IsGiven:
    """Whether a place is among the first `n` events of the first voice."""
    return frozenset(places(tune)[:n]).__contains__


def unchanged(tune: Tune, before: Tune) -> IsGiven:
    """Whether a place is in a bar that has not changed."""
    same = frozenset(
        i
        for i, (new, old) in enumerate(zip(tune.bars, before.bars, strict=False))
        if new.events == old.events
    )
    return lambda place: place[0] in same


def novelty_view(novelty: Novelty | None) -> View | None:
    """The facts of the badge about how new a tune is."""
    if novelty is None:
        return None
    return {
        "verdict": novelty.verdict,
        "copied_bars": novelty.copied_bars,
        "similarity": round(novelty.similarity, 4),
        "line": novelty.line(),
        "nearest": [
            {
                "title": near.title,
                "place": near.place,
                "similarity": round(near.similarity, 4),
            }
            for near in novelty.neighbours
        ],
    }


def problems_of(tune: Tune) -> list[View]:
    """The warnings of the reader, and the problems of the notation."""
    return [
        *(problem(w.what, w.line, w.column, severity="warning") for w in tune.warnings),
        *(problem(str(p), p.line, p.column, severity="warning") for p in validate(tune)),
    ][:MOST_PROBLEMS]


def problem(message: str, line: int = 0, column: int = 0, *, severity: str = "error") -> View:
    """A problem, with its line and column if they are known."""
    return {
        "line": line or None,
        "column": column or None,
        "message": message,
        "severity": severity,
    }


def read_abc(abc: str) -> tuple[Sequence[Tune], list[View]]:
    """The tunes of ABC text, and the problems of those that cannot be read."""
    reading = parse_text(abc)
    problems = [problem(r.reason, r.line) for r in reading.rejected]
    if not reading.tunes and not problems:
        problems = [problem("holds no tune; ABC begins with X:1 and has a K: line", 1)]
    return reading.tunes, problems


def abc_of(tune: Tune, exact: Mapping[str, bytes] | None = None) -> str:
    """ABC text of a tune, or the exact bytes that must be kept."""
    text = (exact or {}).get(".abc")
    return to_abc(tune) if text is None else text.decode("utf-8", "replace")

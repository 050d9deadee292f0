"""Voices that are one part on several staves, such as the hands of a piano.

ABC groups them in braces, `%%score {(1 2) 3}` (standard 2.1, section 11.1): voices in parentheses
share a staff. Such a part is written measure by measure, one voice after the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction

from musicgen.music.tune import Change, Tune, Voice

PartVoices = list[tuple[int, int]]  # number of a voice from 0, its staff from 1; 0 for the only one
_GROUP = re.compile(r"\{([^{}]*)\}")
_STAFF = re.compile(r"\(([^()]*)\)|([^\s|()\[\]]+)")


def parts_of(tune: Tune) -> list[PartVoices]:
    """The voices of each part of the score."""
    ids = {voice.id: number for number, voice in enumerate(tune.voices)}
    groups = {group[0][0]: group for group in _groups(tune, ids) if _is_part(tune, group)}
    parts: list[PartVoices] = []
    done = 0
    for number in range(len(tune.voices)):
        if number >= done:
            parts.append(groups.get(number, [(number, 0)]))
            done = parts[-1][-1][0] + 1
    return parts


def score_directive(parts: Iterable[PartVoices]) -> str:
    """The content of a %%score with the voices of parts, by their numbers from 1."""
    return " ".join(map(_group_text, parts))


def _group_text(part: PartVoices) -> str:
    by_staff: dict[int, list[str]] = {}
    for number, staff in part:
        by_staff.setdefault(staff, []).append(str(number + 1))
    staves = [" ".join(ids) if len(ids) == 1 else f"({' '.join(ids)})" for ids in by_staff.values()]
    return staves[0] if len(staves) == 1 else f"{{{' '.join(staves)}}}"


def _groups(tune: Tune, ids: dict[str, int]) -> Iterable[PartVoices]:
    for letter, content in tune.fields:
        if letter == "%%" and content.startswith(("score ", "staves ")):
            for group in _GROUP.findall(content):
                staves = [(together or alone).split() for together, alone in _STAFF.findall(group)]
                if len(staves) > 1 and all(name in ids for staff in staves for name in staff):
                    yield [(ids[id_], n) for n, staff in enumerate(staves, 1) for id_ in staff]


def _is_part(tune: Tune, group: PartVoices) -> bool:
    """Whether voices can be one part: neighbours with one instrument and the same changes."""
    numbers = [number for number, _ in group]
    voices = [tune.voices[number] for number in numbers]
    first = voices[0]
    return numbers == list(range(numbers[0], numbers[0] + len(numbers))) and all(
        (v.program, v.transposition, v.percussion, len(v.bars))
        == (first.program, first.transposition, None, len(first.bars))
        and _changes(v) == _changes(first)
        for v in voices
    )


def _changes(voice: Voice) -> list[tuple[int, Fraction, Change]]:
    """The changes of a voice that all staves of a part have to share, with their places."""
    found = []
    for number, bar in enumerate(voice.bars):
        onset = Fraction(0)
        for event in bar.events:
            if not isinstance(event, Change):
                onset += event.duration
            elif (event.key, event.meter, event.program, event.transposition) != (None,) * 4:
                found.append((number, onset, event))
    return found

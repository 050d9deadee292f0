"""The order in which the bars of a voice are played: repeats, endings, parts, da capo.

Order is worked out on whole bars. A run of bars is cut into sections (a body and its
numbered endings), each played as often as its marks say; P: reorders labelled parts; D.C. and
D.S. send the player back once the repeats are done. Lengths are counted before anything is
expanded, so that a few bytes of text cannot ask for a year of music.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from musicgen.errors import InvalidTuneError
from musicgen.music.tune import Bar, Change, Tune, Voice, marks_of

MAX_PLAYED_BARS = 20_000  # more than six hours of jigs
MAX_PARTS_TEXT = 1_000
MAX_JUMPS = 8

# An ending is closed by these bar lines. They also set the place that ":|" without "|:" goes back
# to; but a plain double bar does so only once something has been repeated. The first such repeat
# goes back to the beginning, or to a final bar: so abc2midi, and so the books.
_HEAVY = ("||", "|]", "[|", "[|]")
_FINAL = ("|]",)

# The meaning of words and signs in the music, matched without case, spaces and full stops.
_JUMPS = (
    (re.compile(r"(dc|dacapo)al(coda).*"), "capo al coda"),
    (re.compile(r"(ds|dalsegno)al(coda).*"), "segno al coda"),
    (re.compile(r"(dc|dacapo)(al.*)?"), "capo"),
    (re.compile(r"(ds|dalsegno)(al.*)?"), "segno"),
)
_SIGNS = {
    "segno": "sign",
    "fine": "fine",
    "coda": "coda",
    "tocoda": "to coda",
    "dacoda": "to coda",
    "alcoda": "to coda",
}
# Signs that name a place: at the right bar line of a bar, it is the beginning of the next.
_AT_END = {"sign": "sign after", "coda": "coda after"}


@dataclass(slots=True)
class _Section:
    """Bars [start, stop) and then the endings (passes, start, stop); all `passes` times."""

    start: int
    stop: int
    passes: int = 1
    endings: list[tuple[frozenset[int], int, int]] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Bars played, all passes together."""
        endings = sum(len(numbers) * (stop - start) for numbers, start, stop in self.endings)
        return self.passes * (self.stop - self.start) + endings

    def play(self, *, once: bool) -> Iterator[int]:
        """Bar numbers in playing order; `once` plays the body and the last ending only."""
        for number in range(self.passes if once else 1, self.passes + 1):
            yield from range(self.start, self.stop)
            for numbers, start, stop in self.endings:
                if number in numbers:
                    yield from range(start, stop)
                    break


def playing_order(tune: Tune) -> tuple[tuple[int, ...], ...]:
    """For each voice, the numbers of its bars (from 0) in the order in which they are played.

    Voices with equally many bars share their repeat marks, wherever those are written.

    Raises:
        InvalidTuneError: more than `MAX_PLAYED_BARS` bars would be played.
    """
    if len({len(voice.bars) for voice in tune.voices}) == 1:
        return (_order(_shared_marks(tune.voices), tune.parts),) * len(tune.voices)
    return tuple(_order(voice.bars, tune.parts) for voice in tune.voices)


def implicit_repeat_starts(bars: Sequence[Bar]) -> tuple[int, ...]:
    """Numbers of the bars that a `:|` without `|:` goes back to."""
    sections = _sections(bars, 0, len(bars))
    return tuple(s.start for s in sections if s.passes > 1 and not bars[s.start].repeat_start)


def part_order(bars: Sequence[Bar], parts: str) -> tuple[tuple[int, ...], frozenset[int]] | None:
    """Numbers of the bars in the order of the parts, with their repeats still as signs, and the
    places in it where a repeat begins, with a sign or not; None where `parts` is no such order, or
    one of more than `MAX_PLAYED_BARS`."""
    spans = _part_spans(bars)
    letters = _expand_parts(parts, spans) if parts else None
    if letters is None:
        return None
    if sum(last - first for first, last in map(spans.__getitem__, letters)) > MAX_PLAYED_BARS:
        return None
    order: list[int] = []
    starts: set[int] = set()
    for first, last in (spans[letter] for letter in letters):
        sections = (s for s in _sections(bars, first, last) if s.passes > 1)
        starts |= {len(order) + section.start - first for section in sections}
        order += range(first, last)
    return tuple(order), frozenset(starts)


def _order(bars: Sequence[Bar], parts: str) -> tuple[int, ...]:
    if parts:
        spans = _part_spans(bars)
        letters = _expand_parts(parts, spans)
        if letters is not None:
            orders = {
                letter: _expand(_sections(bars, start, stop))
                for letter, (start, stop) in spans.items()
            }
            if sum(len(orders[letter]) for letter in letters) > MAX_PLAYED_BARS:
                raise _too_long(f"the parts '{parts}'")
            return tuple(i for letter in letters for i in orders[letter])
    sections = _sections(bars, 0, len(bars))
    order = _expand(sections)
    jumps = jump_signs(bars)
    return tuple(_follow_jumps(order, _expand(sections, once=True), jumps) if jumps else order)


def _expand(sections: list[_Section], *, once: bool = False) -> list[int]:
    if not once and (length := sum(s.length for s in sections)) > MAX_PLAYED_BARS:
        raise _too_long(f"{length} bars")
    return [i for section in sections for i in section.play(once=once)]


def _too_long(subject: str) -> InvalidTuneError:
    return InvalidTuneError(
        f"{subject} to play once repeats are written out, more than {MAX_PLAYED_BARS} bars; "
        "shorten the repeats"
    )


def _sections(bars: Sequence[Bar], first: int, last: int) -> list[_Section]:
    """Cut bars [first, last) into sections that cover them all, in order."""
    sections: list[_Section] = []
    start, repeated = first, False
    while start < last:
        section = _read_section(bars, start, last, closing=_HEAVY if repeated else _FINAL)
        repeated = repeated or section.passes > 1
        sections.append(section)
        start = section.endings[-1][2] if section.endings else section.stop
    return sections


def _read_section(
    bars: Sequence[Bar], start: int, last: int, *, closing: tuple[str, ...]
) -> _Section:
    explicit = bars[start].repeat_start
    for i in range(start, last):
        bar = bars[i]
        if i > start and bar.repeat_start:
            return _Section(start, i)
        if bar.volta:
            return _read_endings(bars, _Section(start, i), last)
        follows_ending = i + 1 < last and bool(bars[i + 1].volta)
        if bar.repeat_end:
            section = _Section(start, i + 1, passes=bar.repeat_end + 1)
            if follows_ending and 1 not in bars[i + 1].volta:
                return _read_endings(bars, section, last)  # the first ending has no number
            return section
        if bar.barline in closing and not explicit and not follows_ending:
            return _Section(start, i + 1)
    return _Section(start, last)


def _read_endings(bars: Sequence[Bar], section: _Section, last: int) -> _Section:
    """Add the endings that start at `section.stop`; each number counts once."""
    i, seen = section.stop, set[int]()
    while i < last and bars[i].volta and not (bars[i].repeat_start and i > section.stop):
        numbers = frozenset(bars[i].volta)
        if seen & numbers:  # a new pair; the last ending had no end, so it is as long as the first
            (_, a, b), (last_numbers, c, d) = section.endings[0], section.endings[-1]
            section.endings[-1] = (last_numbers, c, min(d, c + b - a))
            break
        stop = i + 1
        while (
            stop < last
            and not bars[stop - 1].repeat_end
            and bars[stop - 1].barline not in _HEAVY
            and not bars[stop].volta
            and not bars[stop].repeat_start
        ):
            stop += 1
        section.endings.append((numbers, i, stop))
        seen |= numbers
        i = stop
    first = max(min(seen), 1)  # passes before it are played without an ending
    section.passes = first - 1 + len(seen)
    if seen == {1} and bars[i - 1].repeat_end:  # the second ending has no number
        section.passes = 2
    renumbered = {number: k for k, number in enumerate(sorted(seen), first)}
    section.endings = [
        (frozenset(renumbered[n] for n in numbers), a, b) for numbers, a, b in section.endings
    ]
    return section


def _part_spans(bars: Sequence[Bar]) -> dict[str, tuple[int, int]]:
    """Label of each part -> bars [start, stop); "" is what comes before the first label."""
    starts: list[tuple[str, int]] = [("", 0)]
    for i, bar in enumerate(bars):
        sounded = False
        for event in bar.events:
            if isinstance(event, Change):
                if event.part:
                    starts.append((event.part.strip()[:1], i + sounded))
            else:
                sounded = True
    starts.append(("", len(bars)))
    spans: dict[str, tuple[int, int]] = {}
    for (label, start), (_, stop) in pairwise(starts):
        spans.setdefault(label, (start, stop))
    return spans


def _expand_parts(parts: str, spans: dict[str, tuple[int, int]]) -> list[str] | None:
    """Labels in playing order, such as A2(BC)2 -> A A B C B C; None when `parts` is no such order
    or names a part that the music does not label."""
    if len(parts) > MAX_PARTS_TEXT:
        raise InvalidTuneError(f"part order longer than {MAX_PARTS_TEXT} characters; shorten P:")
    stack: list[list[str]] = [[]]
    for symbol in re.finditer(
        r"(?P<unit>[A-Za-z]|\))(?P<times>\d*)|(?P<open>\()|(?P<skip>[\s.]+)|.", parts
    ):
        if symbol["open"]:
            stack.append([])
        elif symbol["unit"]:
            if symbol["unit"] == ")" and len(stack) == 1:
                return None
            group = stack.pop() if symbol["unit"] == ")" else [symbol["unit"]]
            times = int(symbol["times"][:6] or 1)
            if any(label not in spans for label in group):
                return None
            if len(stack[-1]) + len(group) * times > MAX_PLAYED_BARS:
                raise _too_long(f"the parts '{parts}'")
            stack[-1].extend(group * times)
        elif not symbol["skip"]:
            return None
    if len(stack) != 1 or not stack[0]:
        return None
    has_intro = spans[""][1] > spans[""][0]
    return [""] * has_intro + stack[0]


def jump_meaning(text: str) -> str:
    """The meaning of a word or sign: "sign", "fine", "coda", "to coda", or a jump to the "capo" or
    "segno", perhaps "al coda"; "" where it has none."""
    word = re.sub(r"[\s.]+", "", text.lstrip("^_<>@ ").strip("<> ")).lower()
    return _SIGNS.get(word) or next((m for p, m in _JUMPS if p.fullmatch(word)), "")


def jump_signs(bars: Sequence[Bar]) -> dict[int, set[str]]:
    """Bar number -> the meaning of its words and signs, with those of its right bar line, which
    may be "sign after" and "coda after"; {} when nothing sends the player back."""
    signs: dict[int, set[str]] = {}
    for i, bar in enumerate(bars):
        for text, at_end in _texts(bar):
            if meaning := jump_meaning(text):
                if at_end:
                    meaning = _AT_END.get(meaning, meaning)
                signs.setdefault(i, set()).add(meaning)
    return signs if any(map(_jump_at, signs.values())) else {}


def _texts(bar: Bar) -> Iterator[tuple[str, bool]]:
    """The words and signs of a bar, and whether they stand at its right bar line."""
    last = max(
        (i for i, event in enumerate(bar.events) if not isinstance(event, Change)), default=-1
    )
    for i, event in enumerate(bar.events):
        if isinstance(event, Change) and event.text is not None:
            yield event.text[1].strip('"'), False
        marks = marks_of(event)
        for text in (*marks.decorations, *marks.annotations):
            yield text, i > last >= 0


def _follow_jumps(order: list[int], once: list[int], signs: dict[int, set[str]]) -> list[int]:
    """Play `order`, taking each D.C. and D.S. once, when its bar is left for the last time.

    The bars after a jump are played without repeats, to the Fine, over to the coda, or to the end.
    """
    played: list[int] = []
    run = order
    jumps = [i for i in sorted(signs) if _jump_at(signs[i])][:MAX_JUMPS]
    while (jump := next((i for i in jumps if i in run), None)) is not None:
        jumps.remove(jump)
        kind = _jump_at(signs[jump])
        targets = [0]
        if kind.startswith("segno"):
            targets = [i for i in _places(signs, "sign") if i < jump]
        if not targets:
            continue
        played += run[: len(run) - run[::-1].index(jump)]
        run = _after_jump(
            [i for i in once if i >= targets[0]], signs, jump, coda=kind.endswith("coda")
        )
        if len(played) + len(run) > MAX_PLAYED_BARS:
            raise _too_long(f"{len(played) + len(run)} bars")
    return played + run


def _places(signs: dict[int, set[str]], meaning: str) -> list[int]:
    """The bars that begin at such a sign, in ascending order."""
    at_start = {i for i, meanings in signs.items() if meaning in meanings}
    return sorted(
        at_start | {i + 1 for i, meanings in signs.items() if f"{meaning} after" in meanings}
    )


def _jump_at(meanings: set[str]) -> str:
    return next((m for m in sorted(meanings) if m.startswith(("capo", "segno"))), "")


def _after_jump(run: list[int], signs: dict[int, set[str]], jump: int, *, coda: bool) -> list[int]:
    codas = [i for i in sorted(signs) if signs[i] & {"coda", "coda after", "to coda"}]
    leave = next((i for i in codas if "to coda" in signs[i]), codas[0] if len(codas) > 1 else jump)
    own = leave + 1 if leave in codas and "to coda" not in signs[leave] else leave
    arrive = next(
        (i for i in _places(signs, "coda") if i > (leave if leave == jump else own)), None
    )
    if (coda or len(codas) > 1) and arrive is not None and leave in run:
        return run[: run.index(leave) + 1] + [i for i in run if i >= arrive]
    fine = next((k for k, i in enumerate(run) if "fine" in signs.get(i, ())), None)
    return run if fine is None else run[: fine + 1]


def _shared_marks(voices: Sequence[Voice]) -> Sequence[Bar]:
    """The bars of the first voice, carrying the repeat marks of all voices."""
    if len(voices) == 1:
        return voices[0].bars
    return [
        replace(
            bars[0],
            repeat_start=any(b.repeat_start for b in bars),
            repeat_end=max(b.repeat_end for b in bars),
            volta=next((b.volta for b in bars if b.volta), ()),
            barline=next((b.barline for b in bars if b.barline in _HEAVY), bars[0].barline),
        )
        for bars in zip(*(voice.bars for voice in voices), strict=True)
    ]

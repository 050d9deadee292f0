"""The form of a melody that stops somewhere, and the bars that complete it.

What is recognised: parts closed by repeats or double bars, first and second endings, a part that
is written out twice, and where none of these is there, parts of eight bars.
A bar counts as printed: a pickup does not, the short bar that makes up for it does, and what is
repeated counts once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise

from musicgen.composer.prompts.bar_plan import PlannedBar
from musicgen.composer.prompts.tokens import EncodedBar, note_tokens
from musicgen.errors import ControlError

PART_LENGTH = 8  # bars, where nothing shows another
FEWEST_BARS = 4  # of a part of its own
_SAME_SHARE = 0.7  # of the bars of a part that is written out again


@dataclass(slots=True)
class Section:
    """A part: the number of its first bar (of those encoded), its full bars `n` and how many of
    these are in a first and a second ending, how it stands: "body", "first" or "second" ending,
    "between" them, or "closed"."""

    start: int
    n: int = 0
    n_first: int = 0
    n_second: int = 0
    repeat: bool = False
    standing: str = "body"
    closed_by: str = ""
    begins_short: bool = False
    ends_short: bool = False

    @property
    def length(self) -> int:
        """Bars of one pass."""
        return self.n - self.n_second


@dataclass(frozen=True, slots=True)
class Stopped:
    """Where a melody stops. `full` is the length of a bar from here on, `unit` the unit length, in
    quarters.

    `is_open`: inside its last bar, which should be `own_full` long; `tied`: its last note is tied
    to the next; `begun` and `volta`: a repeat, an ending that has begun without music yet;
    `unmarked`: its source knows no repeats, so that they may be added where it begins a part.
    """

    encoded_bars: Sequence[EncodedBar]
    unit: Fraction
    full: Fraction
    is_open: bool
    own_full: Fraction
    tied: bool = False
    begun: bool = False
    volta: tuple[int, ...] = ()
    unmarked: bool = False


@dataclass(slots=True)
class Outline:
    """The bars to come.

    `repeats_from` is the encoded bar where the part begins that will be repeated from there without
    a sign of its own. `strengthened`: the bar line given last closes a repeat. `was_finished`: the
    form was complete, and a part is added.
    """

    pickup: Fraction
    measures: list[PlannedBar] = field(default_factory=list)
    repeats_from: int | None = None
    strengthened: bool = False
    was_finished: bool = False


def sections(stopped: Stopped) -> list[Section]:
    """The parts of a melody, the last of which may be open."""
    parts: list[Section] = []
    for i, bar in enumerate(stopped.encoded_bars):
        if not parts or parts[-1].standing == "closed" or bar.repeat_start:
            if parts:
                parts[-1].standing = "closed"
            parts.append(Section(i))
        part = parts[-1]
        part.repeat |= bar.repeat_start
        if bar.volta:
            part.standing = "first" if 1 in bar.volta else "second"
        full = bar.meter.bar_duration or stopped.full
        is_last_open = stopped.is_open and i + 1 == len(stopped.encoded_bars)
        if i == part.start and bar.duration < full and bar.close == "|" and not is_last_open:
            part.begins_short = True
            continue
        part.n += 1
        part.n_first += part.standing == "first"
        part.n_second += part.standing == "second"
        if bar.close == ":|" and part.standing == "first":
            part.standing = "between"
        elif bar.close in (":|", "||", "|]"):
            part.standing, part.closed_by = "closed", bar.close
            part.ends_short = bar.duration < full
    if stopped.begun:
        parts[-1].standing = "closed"
        parts.append(Section(len(stopped.encoded_bars), repeat=True))
    if stopped.volta:
        parts[-1].standing = "first" if 1 in stopped.volta else "second"
    return parts


def outline(stopped: Stopped, n_bars: int | None) -> Outline:
    """The bars that complete the form, up to `n_bars` in all where that is asked.

    Raises:
        ControlError: `n_bars` is less than the given bars, or too few for an ending.
    """
    return _Planner(stopped, n_bars).plan()


class _Planner:
    def __init__(self, stopped: Stopped, n_bars: int | None) -> None:
        self.stopped = stopped
        self.parts = sections(stopped)
        self.result = Outline(self._pickup())
        self.pickup = self.result.pickup
        self.soft = False  # the pickup of what comes is inside the bar before
        self.written = 0  # bars planned, that in which the music stops aside
        last = self.parts[-1]
        self.part = None if last.standing == "closed" else last
        self.position = stopped.encoded_bars[-1].duration if stopped.is_open else Fraction(0)
        # A later part that has only begun its pickup.
        alone = len(self.parts) > 1 and last.n == 1 and last.standing == "body"
        self.in_pickup = stopped.is_open and alone and self.position <= self.pickup
        given = sum(part.n for part in self.parts) - self.in_pickup
        self.n_bars = n_bars
        self.remaining = None if n_bars is None else n_bars - given
        if self.remaining is not None and self.remaining < (0 if stopped.is_open else 1):
            raise ControlError(f"--bars {n_bars}: {given} bars are there already; ask for more")
        self.length = self._part_length()

    def _pickup(self) -> Fraction:
        first = self.parts[0]
        closed = [part for part in self.parts if part.closed_by]
        upbeat = self.stopped.encoded_bars[0].duration if first.begins_short else Fraction(0)
        fits = upbeat < self.stopped.full and (not closed or any(p.ends_short for p in closed))
        return upbeat if fits else Fraction(0)

    def _part_length(self) -> int:
        closed = [part for part in self.parts if part.closed_by and part.length > 1]
        if closed:
            return closed[0].length
        return self.parts[0].length if self.parts[0].n_first else PART_LENGTH

    def plan(self) -> Outline:
        """See `outline`."""
        part = self.part
        if part is not None and part.standing == "body":
            self._complete_body(part)
        elif part is not None:
            self._complete_endings(part)
        elif len(self.parts) == 1 and self.parts[0].closed_by != ":|" and self._room_for(2):
            self._copy(self.parts[0], "||")
        self._add_parts()
        measures = self.result.measures
        if measures and measures[-1].close in ("|", "||"):
            measures[-1] = replace(measures[-1], close="|]")
        return self.result

    # The rest of the part in which the music stops.

    def _complete_endings(self, part: Section) -> None:
        """From inside a first or second ending, or between them, to the end of the second."""
        ending = max(part.n_first, 1)
        more = 0
        if part.standing == "first":
            length = self.length if any(p.closed_by for p in self.parts) else PART_LENGTH
            wanted = length - (part.n - part.n_first)
            ending = wanted if ending <= wanted <= FEWEST_BARS else ending
            more = ending - part.n_first
        second = max(ending - part.n_second, 0)
        if self.remaining is not None:
            least = 0 if part.standing == "second" else 1
            if self.remaining < least:
                raise ControlError(
                    f"--bars {self.n_bars}: a second ending has to follow; ask for one bar more"
                )
            more = min(more, self.remaining - least)
            second = min(second, self.remaining - more)
            if self.remaining - more - second < FEWEST_BARS:
                second = self.remaining - more
        if part.standing == "second":
            self._finish(second, "||")
            return
        if part.standing == "first":
            self._finish(more, ":|", must=True)
        if not part.repeat:
            self.result.repeats_from = part.start
        self._bars(second, () if self.stopped.volta[:1] == (2,) else ("[2",), "||", begins=False)

    def _complete_body(self, part: Section) -> None:
        n = part.n - self.in_pickup
        more = -n % self.length if n else self.length
        ready = not more and not self.stopped.is_open  # complete, by a plain bar line
        if self.remaining is not None:
            spare = self.remaining - more
            if spare < 0 or 0 < spare < FEWEST_BARS:
                more, ready = self.remaining, False
        if ready and part.repeat:
            self.result.strengthened = True
        elif ready:
            self.soft = self.pickup > 0
            if n == self.length and len(self.parts) == 1 and self._room_for(2):
                self._copy(part, "|")
        else:
            repeated = part.repeat or (self._may_repeat(part) and self._wants_repeat(part))
            self._finish(more, ":|" if repeated else "||", must=part.repeat)
            if repeated and not part.repeat and self.result.measures[-1].close == ":|":
                before = n + more - self.length  # bars of unmarked parts before this one
                self.result.repeats_from = part.start + (
                    before + part.begins_short if before > 0 else 0
                )

    def _may_repeat(self, part: Section) -> bool:
        """Whether a `:|` leads, or can be made to lead, back to where the part begins."""
        if part.n > self.length:
            return self.stopped.unmarked and not self.pickup
        number = self.parts.index(part)
        return not number or self.stopped.unmarked or self.parts[number - 1].closed_by == ":|"

    def _wants_repeat(self, part: Section) -> bool:
        if part is not self.parts[0]:
            return self.parts[0].repeat
        return self._number(part) == 1 or (self._number(part) == 3 and self._twice(part))

    def _number(self, part: Section) -> int:
        """In which part, from 1, an unmarked melody stops."""
        return max(1, -(-part.n // self.length))

    def _twice(self, part: Section) -> bool:
        """Whether an unmarked melody begins with its first part played twice."""
        bars = [bar.notes for bar in self.stopped.encoded_bars[part.start + part.begins_short :]]
        again = bars[self.length : 2 * self.length]
        if self.stopped.is_open and len(bars) <= 2 * self.length:
            again = again[:-1]
        same = sum(a == b for a, b in zip(bars, again, strict=False))
        return bool(again) and same >= _SAME_SHARE * len(again)

    def _finish(self, more: int, close: str, *, must: bool = False) -> None:
        """The rest of the open bar and `more` bars after it, the last of them with `close`.

        Where that is no place for a part to end (past where its pickup would begin again, or on a
        tie), a plain bar line stands there, unless it `must`.
        """
        stopped, measures = self.stopped, self.result.measures
        part = self.part
        assert part is not None
        if not stopped.is_open:
            self._bars(more, (), close, begins=part.n == 0 and not part.begins_short)
            return
        length = self.pickup if self.in_pickup else stopped.own_full
        end = length - self.pickup
        fits = not self.pickup or 0 < self.position <= end
        if more:
            measures.append(PlannedBar(length=length))
            self._bars(more, (), close, begins=False)
        elif must or self.remaining == 0 or (fits and not stopped.tied):
            measures.append(PlannedBar(length=end if fits else length, close=close))
        else:
            measures.append(PlannedBar(length=length))
            self.soft = self.pickup > 0

    # The parts that are still to come.

    def _room_for(self, parts: int) -> bool:
        return self.remaining is None or self.remaining - self.written >= parts * self.length

    def _add_parts(self) -> None:
        """New parts, as many as complete the form or as are asked for."""
        first = self.parts[0]
        repeated = first.repeat or self.result.repeats_from == 0 or first.n_first > 0
        copied = any(measure.copy_of is not None for measure in self.result.measures)
        repeated = repeated or copied or (first is self.part and self._twice(first))
        lengths = self._lengths()
        for i, n in enumerate(lengths):
            signs = repeated and not self.soft and n >= FEWEST_BARS
            close = ":|" if signs else "|" if self.soft else "||"
            short = not self.soft or i + 1 == len(lengths)
            self._bars(n, ("|:",) * signs, close, begins=not self.soft, short=short)

    def _lengths(self) -> list[int]:
        """Bars of each of them."""
        if self.remaining is None:
            return [self.length] * self._missing()
        whole, rest = divmod(self.remaining - self.written, self.length)
        lengths = [self.length] * whole
        if rest and lengths and rest < FEWEST_BARS:
            lengths[-1] += rest
        elif rest:
            lengths.append(rest)
        return lengths

    def _missing(self) -> int:
        """How many the form lacks: a tune has two different parts; a finished one gets another."""
        continues = self._has_room() or self.result.strengthened
        if len(self.parts) == 1 and self.part is not None:
            different = self._number(self.part) - self._twice(self.part)
        else:
            encoded = [bar.notes for bar in self.stopped.encoded_bars]
            starts = [p.start for p in self.parts] + [len(encoded)]
            spans = [tuple(encoded[a:b]) for a, b in pairwise(starts)]
            different = len(set(spans[:2])) + len(spans[2:])
        if different < 2:
            return 1
        self.result.was_finished = not continues
        return 0 if continues else 1

    def _has_room(self) -> bool:
        """Whether there is anything to be written yet, more than a bar line."""
        measures = self.result.measures
        least = self.stopped.unit / 2  # less than that is filled up with a rest
        nearly_full = (
            self.stopped.is_open and bool(measures) and measures[0].length - self.position < least
        )
        return len(measures) > nearly_full

    def _bars(
        self,
        n: int,
        opens: tuple[str, ...],
        close: str,
        *,
        begins: bool,
        short: bool = True,
    ) -> None:
        """`n` full bars; `begins`: with a pickup before them; `short`: the last makes up for it."""
        if n <= 0:
            return
        measures = self.result.measures
        self.written += n
        if begins and self.pickup:
            measures.append(PlannedBar(length=self.pickup, head=opens))
            opens = ()
        for i in range(n):
            last = i + 1 == n
            length = self.stopped.full - (self.pickup if last and short else 0)
            measures.append(
                PlannedBar(length=length, head=() if i else opens, close=close if last else "|")
            )

    def _copy(self, part: Section, close: str) -> None:
        """The part once more, note for note; what its pickup was, its last bar has (`soft`)."""
        bars = self.stopped.encoded_bars[part.start + (part.begins_short and self.soft) :]
        self.result.measures += [
            PlannedBar(
                length=Fraction(0),
                head=note_tokens(bar.notes, bar.key, self.stopped.unit),
                close=close if bar is bars[-1] else "|",
                copy_of=bar.number,
            )
            for bar in bars
        ]
        self.written += part.n

"""Bar lines, repeats and numbered endings as <barline> elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from musicgen.formats.musicxml.remarks import remark
from musicgen.music.playback import implicit_repeat_starts
from musicgen.music.tune import Bar, Voice
from musicgen.system.markup import element

STYLES = {
    "": "none",
    "||": "light-light",
    "|]": "light-heavy",
    "[|": "heavy-light",
    ".|": "dotted",
    "[|]": "none",
}
_READ_AS = {"[|]": ""}  # no line at all, for two reasons
HEAVY = ("||", "|]", "[|", "[|]")
_LONG_ENDING = 4  # bars


def shared_bars(voices: Sequence[Voice]) -> list[Bar]:
    """As many bars as the longest voice has, with the repeat marks and lines of all of them."""
    shared = []
    for i, bar in enumerate(max(voices, key=lambda voice: len(voice.bars)).bars):
        together = [voice.bars[i] for voice in voices if i < len(voice.bars)]
        shared.append(
            replace(
                bar,
                repeat_start=any(b.repeat_start for b in together),
                repeat_end=max(b.repeat_end for b in together),
                volta=next((b.volta for b in together if b.volta), ()),
                barline=next((b.barline for b in together if b.barline in HEAVY), bar.barline),
            )
        )
    return shared


def for_players(bars: Sequence[Bar]) -> list[Bar]:
    """The bars with a sign where a repeat begins without one, other than at the beginning: MusicXML
    does not say where a backward repeat goes back to without it, and its readers disagree. A repeat
    that closes an ending says how often it goes back, as MuseScore wants: not from the last."""
    starts = {start for start in implicit_repeat_starts(bars) if start}
    last_after = [0] * (len(bars) + 1)  # the last pass of endings at a bar or after, up to a start
    for i in range(len(bars) - 1, -1, -1):
        after = 0 if i + 1 < len(bars) and bars[i + 1].repeat_start else last_after[i + 1]
        last_after[i] = max((after, *bars[i].volta))
    found: list[Bar] = []
    ending: tuple[int, ...] = ()
    last = 0  # pass of the endings so far
    for i, bar in enumerate(bars):
        start = bar.repeat_start or i in starts
        if start:
            ending, last = (), 0  # the ending before it goes no further
        ending = bar.volta or ending
        last = max(last, *ending, last_after[i]) if ending else 0
        again = bar.repeat_end
        if again and max(ending, default=0) > 1:
            again = sum(n < last for n in ending)
        found.append(replace(bar, repeat_start=start, repeat_end=again))
        ending = () if bar.repeat_end or bar.barline in HEAVY else ending
    return found


def ending_stops(bars: Sequence[Bar]) -> dict[int, str]:
    """Number of the bar that an ending stops after -> the numbers of that ending.

    A last ending that nothing closes for long is drawn as long as the one before it.
    """
    stops: dict[int, str] = {}
    before = 1  # length of the previous ending, in bars
    for start, bar in enumerate(bars):
        if not bar.volta:
            continue
        stop = start
        while not _closes(bars, stop):
            stop += 1
        if stop - start + 1 > max(_LONG_ENDING, 2 * before):
            stop = start + before - 1
        stops[stop] = ending_numbers(bar)
        before = stop - start + 1
    return stops


def _closes(bars: Sequence[Bar], i: int) -> bool:
    """Whether an ending that reaches bar `i` goes no further."""
    return i + 1 == len(bars) or bool(
        bars[i].repeat_end
        or bars[i].barline in HEAVY
        or bars[i + 1].volta
        or bars[i + 1].repeat_start
    )


def ending_numbers(bar: Bar) -> str:
    """The passes of an ending as MusicXML has them: "1" or "1, 3"."""
    return ", ".join(str(n) for n in bar.volta)


def bar_remark(own: Bar | None, shared: Bar, *, ends_ending: bool) -> str:
    """A remark on the bar lines of a voice that differ from those of all voices as they are written
    and read; or on a bar that the voice does not have."""
    if own is None:
        return remark("absent")
    line = "|" if shared.repeat_end else _READ_AS.get(shared.barline, shared.barline)
    signs = (own.repeat_start, own.volta, own.repeat_end, own.barline)
    repeats = min(shared.repeat_end, 1) if ends_ending else shared.repeat_end
    written = (shared.repeat_start, shared.volta, repeats, line)
    return "" if signs == written else remark("bar", signs)


def left_barline(bar: Bar) -> str:
    """The <barline> at the left of a bar; "" for none."""
    parts = []
    if bar.repeat_start or bar.volta:
        parts.append(element("bar-style", "heavy-light" if bar.repeat_start else "regular"))
    if bar.volta:
        label = ", ".join(f"{n}." for n in bar.volta)
        parts.append(element("ending", label, number=ending_numbers(bar), type="start"))
    if bar.repeat_start:
        parts.append(element("repeat", direction="forward"))
    return element("barline", *parts, location="left") if parts else ""


def right_barline(bar: Bar, ending: str) -> str:
    """The <barline> at the right; "" for a single line. `ending` is the one that stops here."""
    style = "light-heavy" if bar.repeat_end else STYLES.get(bar.barline, "regular" * bool(ending))
    parts = [element("bar-style", style)] if style else []
    if ending:
        kind = "stop" if bar.repeat_end or bar.barline in HEAVY else "discontinue"
        parts.append(element("ending", number=ending, type=kind))
    if bar.repeat_end:
        times = {"times": bar.repeat_end + 1} if bar.repeat_end > 1 else {}
        parts.append(element("repeat", direction="backward", **times))
    return element("barline", *parts, location="right") if parts else ""

"""Segno, coda, fine and the jumps to them, at the bar lines where they take effect.

ABC has them as signs and words beside notes, in many spellings. MusicXML names each in a <sound>,
and MuseScore knows the usual words only, of which "D.C." goes on past a Fine: so a jump says where
it leads to. Our own reader passes these directions over; it has a remark on the signs themselves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from musicgen.formats.musicxml.remarks import remark
from musicgen.music.playback import jump_meaning, jump_signs
from musicgen.music.tune import Bar, Marks
from musicgen.system.markup import element, text

# Meaning -> <direction-type>, attribute of <sound>.
_SIGNS = {
    "sign": ("<segno/>", "segno"),
    "coda": ("<coda/>", "coda"),
    "fine": ("Fine", "fine"),
    "to coda": ("To Coda", "tocoda"),
    "capo": ("D.C.", "dacapo"),
    "segno": ("D.S.", "dalsegno"),
}


@dataclass(frozen=True, slots=True)
class Jumps:
    """The <direction>s at the left and at the right of bars."""

    left: Mapping[int, str] = field(default_factory=dict)
    right: Mapping[int, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.left or self.right)

    @staticmethod
    def of(bars: Sequence[Bar]) -> Jumps:
        """Those of a tune; none where nothing sends the player back."""
        signs = jump_signs(bars)
        codas = [i for i in sorted(signs) if {"coda", "coda after"} & signs[i]]
        leaves = [i for i in sorted(signs) if "to coda" in signs[i]] or codas[: len(codas) > 1]
        aim = " al Fine" if any("fine" in meanings for meanings in signs.values()) else ""
        aim = " al Coda" if leaves and codas else aim
        left: dict[int, str] = defaultdict(str)
        right: dict[int, str] = defaultdict(str)
        for i in sorted(signs):
            for meaning in sorted(signs[i], key=lambda m: (m.startswith(("capo", "segno")), m)):
                kind = meaning.removesuffix(" after").removesuffix(" al coda")
                if kind == "coda" and i in leaves:
                    right[i] += _direction("to coda")
                elif kind in ("sign", "coda"):
                    left[i + meaning.endswith("after")] += _direction(kind)
                elif kind in ("capo", "segno"):
                    right[i] += _direction(kind, aim)
                else:
                    right[i] += _direction(kind)
        return Jumps(left, right)


def without_jumps(marks: Marks) -> Marks:
    """The marks without the signs and words of jumps."""
    return replace(
        marks,
        decorations=tuple(d for d in marks.decorations if not jump_meaning(d)),
        annotations=tuple(a for a in marks.annotations if not jump_meaning(a)),
    )


def _direction(meaning: str, words: str = "") -> str:
    sign, attribute = _SIGNS[meaning]
    kind = sign if sign.startswith("<") else element("words", text(sign + words))
    label = "yes" if attribute in ("fine", "dacapo") else attribute.removeprefix("to")
    sound = element("sound", **{attribute: label.removeprefix("dal")})
    return element(
        "direction", remark("played"), element("direction-type", kind), sound, placement="above"
    )

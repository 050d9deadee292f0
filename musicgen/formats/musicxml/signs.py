"""Decorations and annotations as MusicXML: ornaments, articulations, bowing, directions.

One table has the element of each name; other names are written as <other-notation>.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from musicgen.music.tune import Marks
from musicgen.system.markup import element, text

# Name -> (group inside <notations>, element). MuseScore 3 takes what follows a mordent at once for
# part of it; a blank between them helps.
NOTATIONS = {
    "trill": ("ornaments", "<trill-mark/>"),
    "trill(": ("ornaments", '<trill-mark/><wavy-line type="start"/>'),
    "trill)": ("ornaments", '<wavy-line type="stop"/>'),
    "lowermordent": ("ornaments", "<mordent/> "),
    "uppermordent": ("ornaments", "<inverted-mordent/> "),
    "roll": ("ornaments", "<turn/>"),
    "turn": ("ornaments", "<turn/>"),
    "turnx": ("ornaments", '<turn slash="yes"/>'),
    "invertedturn": ("ornaments", "<inverted-turn/>"),
    "invertedturnx": ("ornaments", '<inverted-turn slash="yes"/>'),
    "staccato": ("articulations", "<staccato/>"),
    "accent": ("articulations", "<accent/>"),
    "tenuto": ("articulations", "<tenuto/>"),
    "wedge": ("articulations", "<staccatissimo/>"),
    "^": ("articulations", "<strong-accent/>"),
    "breath": ("articulations", "<breath-mark/>"),
    "slide": ("articulations", "<scoop/>"),
    "upbow": ("technical", "<up-bow/>"),
    "downbow": ("technical", "<down-bow/>"),
    "open": ("technical", "<open-string/>"),
    "thumb": ("technical", "<thumb-position/>"),
    "snap": ("technical", "<snap-pizzicato/>"),
    "plus": ("technical", "<stopped/>"),
    "fermata": ("", '<fermata type="upright"/>'),
    "invertedfermata": ("", '<fermata type="inverted"/>'),
    "arpeggio": ("", "<arpeggiate/>"),
    **{str(n): ("technical", f"<fingering>{n}</fingering>") for n in range(6)},
    **{"/" * n: ("ornaments", f'<tremolo type="single">{n}</tremolo>') for n in range(1, 5)},
}
DYNAMICS = (
    "pppp", "ppp", "pp", "p", "mp", "mf", "f", "ff", "fff", "ffff", "sf", "sfz", "fz", "fp",
    "sfp", "sfpp", "sffz", "sfzp", "rf", "rfz", "pf", "ppppp", "pppppp", "fffff", "ffffff", "n",
)  # fmt: skip
# Signs that are named in ABC as in MusicXML, by their group.
_SAME_NAME = {
    "ornaments": (
        "delayed-turn", "delayed-inverted-turn", "vertical-turn", "inverted-vertical-turn", "shake",
        "schleifer", "haydn",
    ),
    "articulations": (
        "detached-legato", "spiccato", "plop", "doit", "falloff", "caesura", "stress", "unstress",
        "soft-accent",
    ),
    "technical": ("double-tongue", "triple-tongue", "heel", "toe", "fingernails", "golpe"),
}  # fmt: skip
_DIRECTIONS = {
    "segno": "<segno/>",
    "coda": "<coda/>",
    "crescendo(": '<wedge type="crescendo"/>',
    "diminuendo(": '<wedge type="diminuendo"/>',
    "crescendo)": '<wedge type="stop"/>',
    "diminuendo)": '<wedge type="stop"/>',
}
ROAD_WORDS = {
    "D.C.": "D.C.",
    "D.S.": "D.S.",
    "D.C.alfine": "D.C. al Fine",
    "D.C.alcoda": "D.C. al Coda",
    "D.S.alfine": "D.S. al Fine",
    "D.S.alcoda": "D.S. al Coda",
    "dacoda": "To Coda",
    "fine": "Fine",
}
NOTATIONS |= {name: (g, f"<{name}/>") for g, names in _SAME_NAME.items() for name in names}
_READ_AS = {"roll": "turn"}  # one sign for two names
_PLAIN_DIRECTIONS = ("segno", "coda", *ROAD_WORDS)
_ORDER = ("ornaments", "technical", "articulations", "")
# Collections typed before there were decorations wrote these signs as annotations.
_TYPED = {
    "tr": "trill",
    "~": "roll",
    ">": "accent",
    "sign": "segno",
    "segno": "segno",
    "coda": "coda",
    **{str(n): str(n) for n in range(6)},
    **{name: name for name in DYNAMICS},
}
_KIND = re.compile(r"<direction-type>.*?</direction-type>", re.DOTALL)
_PLACES = {"^": "above", "_": "below", "<": "above", ">": "above", "@": "above"}


def as_decorations(annotations: Iterable[str]) -> tuple[list[str], list[str]]:
    """Annotations that are signs, by the names of the signs; and the others as they are."""
    signs, words = [], []
    for annotation in annotations:
        bare = annotation[1:] if len(annotation) > 1 and annotation[0] in _PLACES else annotation
        if sign := _TYPED.get(bare.strip().lower()):
            signs.append(sign)
        else:
            words.append(annotation)
    return signs, words


@lru_cache(maxsize=4096)
def as_read(
    decorations: tuple[str, ...], annotations: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The decorations and annotations that a reader finds, once these have been written."""
    typed, texts = as_decorations(annotations)
    names = dict.fromkeys((*decorations, *typed))
    before = [name for name in names if name in DYNAMICS or name in _PLAIN_DIRECTIONS]
    groups = {
        group: [n for n in names if NOTATIONS.get(n, (None,))[0] == group] for group in _ORDER
    }
    others = [n for n in names if n not in NOTATIONS and n not in before]
    read = [*before, *(_READ_AS.get(n, n) for group in _ORDER for n in groups[group]), *others]
    roads = {_folded(text) for text in ROAD_WORDS.values()}
    words_read = tuple(
        text
        for text in texts
        if text[:1] in ("^", "_")
        and text[1:] == " ".join(text[1:].split()) != ""
        and _folded(text[1:]) not in roads
    )
    return tuple(read), words_read


def _folded(words_: str) -> str:
    return re.sub(r"[\s.]", "", words_).lower()


def notations(decorations: Iterable[str]) -> str:
    """The children of the <notations> of a note."""
    groups: dict[str, list[str]] = {name: [] for name in _ORDER}
    others = []
    for name in decorations:
        if name in NOTATIONS:
            group, xml = NOTATIONS[name]
            groups[group].append(xml)
        elif name not in DYNAMICS and name not in _DIRECTIONS and name not in ROAD_WORDS:
            others.append(element("other-notation", text(name), type="single"))
    grouped = [element(name, *groups[name]) for name in _ORDER if name and groups[name]]
    return "".join([*grouped, *groups[""], *others])


def directions(decorations: Iterable[str], annotations: Iterable[str]) -> str:
    """The <direction>s before a note: dynamics, jumps, words."""
    elements = []
    for name in decorations:
        if name in DYNAMICS:
            elements.append(direction(element("dynamics", f"<{name}/>"), placement="below"))
        elif name in _DIRECTIONS:
            below = "wedge" in _DIRECTIONS[name]
            elements.append(direction(_DIRECTIONS[name], placement="below" if below else "above"))
        elif name in ROAD_WORDS:
            elements.append(words(ROAD_WORDS[name]))
    for annotation in annotations:
        place = _PLACES.get(annotation[:1]) if len(annotation) > 1 else None
        bare = annotation[1:] if place else annotation
        if annotation.startswith("@") and " " in bare:
            bare = bare.split(" ", 1)[1]  # after "@x,y" the text
        elements.append(words(bare, placement=place or "above"))
    return "".join(elements)


def directions_at(marks: Marks, exact: str) -> str:
    """The signs of a bar line as one <direction> with our remark `exact`, or the remark alone."""
    typed, texts = as_decorations(marks.annotations)
    kinds = _KIND.findall(directions((*marks.decorations, *typed), texts))
    return element("direction", *kinds, exact, placement="above") if kinds else exact


def words(content: str, *, placement: str = "above") -> str:
    """A line of text above or below the staff."""
    return direction(element("words", text(content), font_style="italic"), placement=placement)


def direction(content: str, *, placement: str) -> str:
    """A <direction> with one <direction-type>."""
    return element("direction", element("direction-type", content), placement=placement)

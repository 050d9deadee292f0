"""Signs of <direction> and <sound>: tempo, rehearsal marks, dynamics, jumps, words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from xml.etree.ElementTree import Element

from musicgen.formats.musicxml.reading.signs import read_dynamics
from musicgen.formats.musicxml.remarks import MAX_QPM, read_change, read_remark
from musicgen.formats.musicxml.signs import ROAD_WORDS
from musicgen.formats.musicxml.values import LeftOut, content, number, quoted, words, written
from musicgen.music.tune import Change, Tempo

_JUMPS = {re.sub(r"[\s.]", "", text).lower(): name for name, text in ROAD_WORDS.items()}
_JUMPS |= {
    "dacapo": "D.C.",
    "dacapoalfine": "D.C.alfine",
    "dacapoalcoda": "D.C.alcoda",
    "dalsegno": "D.S.",
    "dalsegnoalfine": "D.S.alfine",
    "dalsegnoalcoda": "D.S.alcoda",
    "alcoda": "dacoda",
}
# Attributes of <sound>, which give the meaning of the words and signs beside them.
_SOUNDS = {
    "dacapo": "D.C.",
    "dalsegno": "D.S.",
    "tocoda": "dacoda",
    "fine": "fine",
    "segno": "segno",
    "coda": "coda",
}
_ROAD = frozenset(ROAD_WORDS) | {"segno", "coda"}
_PLACES = {"above": "^", "below": "_"}
_PER_MINUTE = re.compile(r"\d{1,4}(?:[.,]\d{1,4})?")


@dataclass(slots=True)
class Signs:
    """The decorations and annotations of a direction, for its note, and the changes."""

    decorations: list[str] = field(default_factory=list)
    annotations: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)


def read_direction(element: Element, wedges: dict[str, str], left_out: LeftOut) -> Signs:
    """A <direction>, or a <sound> by itself. `wedges` are those open, by number, so that the end of
    one has a name."""
    signs = Signs()
    remarks = [read_remark(child) for child in element]
    if ("played", None) in remarks:  # for players only: what the tune has elsewhere, or not at all
        return signs
    exact = [read_change(*remark) for remark in remarks]
    if any(exact):
        return Signs(changes=[change for change in exact if change is not None])
    place = _PLACES.get(element.get("placement", ""), "^")
    texts: list[str] = []
    tempo: Tempo | None = None
    for sign in (s for kind in element.iterfind("direction-type") for s in kind):
        tag = sign.tag
        if tag == "words":
            texts.append(sign.text or "")
        elif tag == "metronome":
            tempo = _metronome(sign) or tempo
        elif tag == "rehearsal":
            label = words(sign.text)
            signs.changes += [Change(part=label)] if label else []
        elif tag == "dynamics":
            signs.decorations += read_dynamics(sign)
        elif tag in ("segno", "coda"):
            signs.decorations.append(tag)
        elif tag == "wedge":
            _wedge(sign, wedges, signs)
        elif tag == "octave-shift":
            if sign.get("type") in ("up", "down"):
                left_out["octave signs (8va, 8vb) left out; notes are as they sound"] += 1
        elif isinstance(tag, str):
            left_out[f"<{tag}> left out"] += 1
    sound = element if element.tag == "sound" else element.find("sound")
    if sound is not None and "tempo" in sound.attrib:
        qpm = number(sound.get("tempo"))
        if qpm is None or not 0 < qpm <= MAX_QPM:
            left_out[f"tempos that make no sense ({quoted(sound.get('tempo'))}), left out"] += 1
        elif tempo is None:
            tempo = Tempo(Fraction(qpm))
    _add_words(signs, words(" ".join(texts)), place, tempo)
    _add_road(signs, sound)
    return signs


def _add_words(signs: Signs, text: str, place: str, tempo: Tempo | None) -> None:
    """Add the words to the tempo, the jumps or the annotations."""
    if tempo is not None:
        signs.changes.append(Change(tempo=Tempo(tempo.bpm, tempo.beat, text)))
        text = ""
    if jump := _JUMPS.get(re.sub(r"[\s.]", "", text).lower()):
        signs.decorations.append(jump)
    elif text:
        signs.annotations.append(place + text)


def _add_road(signs: Signs, sound: Element | None) -> None:
    """Add the jumps and marks of a <sound> that no words or signs name. A coda sign beside "To
    Coda", or with the <sound> of it, is where the coda is left for."""
    given = {} if sound is None else sound.attrib
    names = [name for key, name in _SOUNDS.items() if given.get(key, "no") not in ("no", "")]
    if "coda" in signs.decorations and "dacoda" in (*names, *signs.decorations):
        signs.decorations.remove("coda")
    if not _ROAD.intersection(signs.decorations):
        signs.decorations += names


def _wedge(wedge: Element, wedges: dict[str, str], signs: Signs) -> None:
    kind, number_ = wedge.get("type", ""), wedge.get("number", "1")
    if kind in ("crescendo", "diminuendo"):
        wedges[number_] = kind
        signs.decorations.append(f"{kind}(")
    elif kind == "stop" and number_ in wedges:
        signs.decorations.append(f"{wedges.pop(number_)})")


def _metronome(element: Element) -> Tempo | None:
    """Beats a minute; None for what is no such mark, as a modulation of the meter."""
    units = element.findall("beat-unit")
    match = _PER_MINUTE.search(content(element, "per-minute"))
    if len(units) != 1 or match is None:
        return None
    beat = written(words(units[0].text), len(element.findall("beat-unit-dot")), 1, 1)
    bpm = Fraction(match[0].replace(",", "."))
    return Tempo(bpm, beat) if beat and 0 < bpm <= MAX_QPM else None

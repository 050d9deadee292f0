"""A part on several staves of our own scores as the voices that it was written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

from musicgen.formats.musicxml.remarks import read_remark


def voices_apart(measures: Sequence[Element]) -> list[list[Element]]:
    """The measures of each voice; bar lines are in those of the first. A measure in which our
    remarks are damaged is the first voice's alone."""
    split = [_streams(measure) for measure in measures]
    n_voices = max(map(len, split), default=1)
    empty = Element("measure")
    return [
        [streams[n] if n < len(streams) else empty for streams in split] for n in range(n_voices)
    ]


def _streams(measure: Element) -> list[Element]:
    streams = [Element("measure", measure.attrib)]
    for child in measure:
        kind, value = read_remark(child)
        if kind == "staff" and value == len(streams):
            streams.append(Element("measure", measure.attrib))
        elif child.tag == "barline":
            streams[0].append(child)
        elif child.tag != "backup" or len(streams) == 1 or len(streams[-1]):
            streams[-1].append(child)
    return streams if len(streams) > 1 else [measure]


def own_fields(fields: Mapping[str, str], voice: int) -> dict[str, str]:
    """Our fields of one voice of a part, counted from 0: those of later ones end in a number."""
    if not voice:
        return dict(fields)
    end = f" {voice + 1}"
    return {name.removesuffix(end): text for name, text in fields.items() if name.endswith(end)}

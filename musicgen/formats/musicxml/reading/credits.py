"""Title, composer and others as they are printed on the first page, out of <credit>."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from musicgen.formats.musicxml.values import number, words

KINDS = ("title", "subtitle", "composer", "lyricist", "arranger")


def read_credits(root: Element) -> dict[str, list[str]]:
    """The texts of each of `KINDS` that a score has credits of.

    Programs that do not name the kinds print the title in the largest letters of the page, in its
    middle, and the composer at its right.
    """
    found: dict[str, list[str]] = {}
    largest = 0.0
    for credit in root.iterfind("credit"):
        lines = credit.findall("credit-words")
        text = words(" ".join(line.text or "" for line in lines))
        kinds = [words(kind.text).lower() for kind in credit.iterfind("credit-type")]
        if not text or credit.get("page", "1") != "1":
            continue
        for kind in kinds:
            found.setdefault(kind, []).append(text)
        if kinds:
            continue
        justified = lines[0].get("justify") or lines[0].get("halign")
        size = float(number(lines[0].get("font-size")) or 0)
        if justified == "center" and size > largest:
            largest = size
            found["large"] = [text]
        elif justified == "right":
            found.setdefault("right", [text])
    for kind, place in (("title", "large"), ("composer", "right")):
        if place in found:
            found.setdefault(kind, found[place])
    return {kind: found[kind] for kind in KINDS if kind in found}

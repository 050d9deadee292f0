"""What a file holds by how it begins, whatever its name says."""

from __future__ import annotations

import re

from musicgen.errors import ParseError

# How files begin that nobody can take for text: (offset, bytes, what it is, how to go on).
_MIDI = ("a MIDI file", "name it .mid")
_SIGNATURES = (
    (0, b"MThd", *_MIDI),
    (8, b"RMID", *_MIDI),
    (0, b"\x1f\x8b", "compressed with gzip", "unpack it first"),
    (0, b"BZh", "compressed with bzip2", "unpack it first"),
    (0, b"\xfd7zXZ\0", "compressed with xz", "unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it first"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (0, b"Rar!", "a RAR archive", "unpack it first"),
    (257, b"ustar", "a tar archive", "unpack it first"),
    (0, b"%PDF-", "a PDF", "music is not read from pages; find it as ABC, MIDI or MusicXML"),
    *(
        (0, magic, "a picture", "music is not read from pictures; find it as ABC or MusicXML")
        for magic in (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*")
    ),
    *(
        (place, magic, "a recording", "recordings are written, not read; find it as ABC or MIDI")
        for place, magic in (
            *((8, b"WAVE"), (0, b"OggS"), (0, b"fLaC"), (0, b"ID3"), (0, b"\xff\xfb")),
            *((0, b"FORM"), (4, b"ftypM4A"), (0, b"\x1aE\xdf\xa3")),
        )
    ),
    (0, b"\xd0\xcf\x11\xe0", "an old Office document", "save it as plain text"),
    (0, b"SQLite format 3\0", "a database", "export it as ABC"),
    (0, b"\x7fELF", "a program", "is it the right file?"),
    (0, b"MZ", "a program", "is it the right file?"),
)
# How the music that is text begins, and which extension it should have.
_TEXTS = (
    (re.compile(r"X:\s*\d+\s*$|%abc", re.MULTILINE), "ABC", ".abc"),
    (re.compile(r"(?:!!.*\n)*\*\*(?:kern|text|dyn|silbe)", re.ASCII), "kern", ".krn"),
    (re.compile(r"<\?xml[^>]*>\s*(?:<![^>]*>\s*)*<score-(?:partwise|timewise)|<score-"),
     "MusicXML", ".musicxml"),
)  # fmt: skip
_NO_TEXT = re.compile(rb"[\0-\x08\x0e-\x1a]")
_ZIPPED = frozenset({".mxl", ".musicxml", ".xml"})
_OF_SUFFIX = {".mid": ".mid", ".midi": ".mid", ".kar": ".mid",
              ".abc": ".abc", ".txt": ".abc", ".krn": ".krn",
              ".mxl": ".musicxml", ".musicxml": ".musicxml", ".xml": ".musicxml"}  # fmt: skip


def require_readable(data: bytes, suffix: str, path: str | None) -> None:
    """Refuse what is something else than any text, and no music of this extension either.

    Raises:
        ParseError: it says what it is.
    """
    if not (_NO_TEXT.search(data[:4096]) or data.startswith(b"%PDF-")):
        return
    for place, magic, what, advice in _SIGNATURES:
        if data.startswith(magic, place) and not (what == _MIDI[0] and _is(suffix, ".mid")):
            raise ParseError(f"is {what}; {advice}", path=path)
    if data.startswith(b"PK\3\4") and suffix not in _ZIPPED:
        raise ParseError(f"is {_archive(data)}", path=path)


def other_music(data: bytes, suffix: str) -> str:
    """What a file in which no music of this extension was found holds instead: "is ABC; name it
    .abc"; "" where that is not known."""
    text = data[:4000].decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    for pattern, what, own in _TEXTS:
        if pattern.match(text) and not _is(suffix, own):
            return f"is {what}; name it {own}"
    return ""


def _is(suffix: str, own: str) -> bool:
    return _OF_SUFFIX.get(suffix) == own


def _archive(data: bytes) -> str:
    """A zip archive by the names in it, which is not opened for that."""
    if b"META-INF/container.xml" in data or b".musicxml" in data:
        return "compressed MusicXML; name it .mxl"
    if b"[Content_Types].xml" in data or b"mimetype" in data[:60]:
        return "an Office document; save it as plain text"
    return "a zip archive; unpack it first"

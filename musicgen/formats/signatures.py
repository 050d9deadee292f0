"""The kind of a file by how its content begins, against a wrong extension."""

from __future__ import annotations

import re

from musicgen.errors import ParseError
from musicgen.formats.registry import READERS, Format

# How files of no readable format begin: (offset, bytes, name, advice).
_SIGNATURES = (
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
        (offset, magic, "a recording", "recordings are written, not read; find it as ABC or MIDI")
        for offset, magic in (
            *((8, b"WAVE"), (0, b"OggS"), (0, b"fLaC"), (0, b"ID3"), (0, b"\xff\xfb")),
            *((0, b"FORM"), (4, b"ftypM4A"), (0, b"\x1aE\xdf\xa3")),
        )
    ),
    (0, b"\xd0\xcf\x11\xe0", "an old Office document", "save it as plain text"),
    (0, b"SQLite format 3\0", "a database", "export it as ABC"),
    (0, b"\x7fELF", "a program", "is it the right file?"),
    (0, b"MZ", "a program", "is it the right file?"),
)
_NOT_TEXT = re.compile(rb"[\0-\x08\x0e-\x1a]")
_BLANKS = b"\xef\xbb\xbf \t\r\n"  # and the mark of UTF-8


def require_readable(data: bytes, suffix: str, path: str | None) -> None:
    """Refuse content that is neither text nor music of this extension.

    Raises:
        ParseError: with the kind of file that it is.
    """
    if not (_NOT_TEXT.search(data[:4096]) or data.startswith(b"%PDF-")):
        return
    if other := other_music(data, suffix):
        raise ParseError(other, path=path)
    for offset, magic, name, advice in _SIGNATURES:
        if data.startswith(magic, offset):
            raise ParseError(f"is {name}; {advice}", path=path)
    if data.startswith(b"PK\3\4") and not READERS[suffix].is_zip:
        raise ParseError(f"is {_archive(data)}", path=path)


def other_music(data: bytes, suffix: str) -> str:
    """Which other format the content has: "is ABC; name it .abc"; "" for none that is known."""
    row = _recognised(data)
    if row is None or READERS[suffix].signature == row.signature:
        return ""
    return f"is {row.name}; name it {row.extensions[0]}"


def extension_of(data: bytes) -> str:
    """The extension of the format that content begins like; ".abc" for other text."""
    if data.startswith(b"PK\3\4"):
        return ".mxl"
    row = _recognised(data)
    return ".abc" if row is None else row.extensions[0]


def _recognised(data: bytes) -> Format | None:
    text = data[:4000].lstrip(_BLANKS)
    rows = dict.fromkeys(READERS.values())
    return next((row for row in rows if row.signature and row.signature.match(text)), None)


def _archive(data: bytes) -> str:
    """A zip archive by the file names in it, without opening it."""
    if b"META-INF/container.xml" in data or b".musicxml" in data:
        return "compressed MusicXML; name it .mxl"
    if b"[Content_Types].xml" in data or b"mimetype" in data[:60]:
        return "an Office document; save it as plain text"
    return "a zip archive; unpack it first"

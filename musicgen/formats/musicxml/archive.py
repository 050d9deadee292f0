"""Compressed MusicXML (.mxl): the one score inside, unpacked within bounds; and packing one."""

from __future__ import annotations

import io
import zipfile
import zlib

from musicgen.errors import ParseError
from musicgen.formats.musicxml.document import read_document
from musicgen.system.files import MAX_INPUT_BYTES

MAX_MEMBERS = 10_000
# So many bytes may come out of a small file, or so many for each of its bytes: scores of one bar
# again and again are packed 100 to 1.
MIN_UNPACKED, MAX_RATIO = 8 << 20, 200
_CONTAINER = "META-INF/container.xml"
_CONTAINER_BYTES = 65_536
_SUFFIXES = (".musicxml", ".xml")
_DIRECTORY_ENTRY = b"PK\x01\x02"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # all that the standard allows
# Dates are the earliest that a zip can hold, so that the same score makes the same file.
_DATE = (1980, 1, 1, 0, 0, 0)
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, OverflowError,
)  # fmt: skip
_ROOT = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<container><rootfiles><rootfile '
    'full-path="score.musicxml" media-type="application/vnd.recordare.musicxml+xml"/>'
    "</rootfiles></container>\n"
)


def is_archive(data: bytes) -> bool:
    """Whether the bytes begin as a zip file does."""
    return data.startswith(b"PK\x03\x04")


def unpack(data: bytes) -> bytes:
    """The score in a .mxl file: the first root file of its container (MusicXML 4.0, "Compressed
    .MXL files"), or the only score where it has none.

    Raises:
        ParseError: it is damaged, encrypted, unreasonably large or holds no score.
    """
    if data.count(_DIRECTORY_ENTRY) > MAX_MEMBERS:
        raise ParseError(f"holds more than {MAX_MEMBERS} files; unpack the score by hand")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            most = min(MAX_INPUT_BYTES, max(MIN_UNPACKED, MAX_RATIO * len(data)))
            return _member(archive, _score_name(archive), most)
    except _DAMAGE as error:
        reason = (str(error) or type(error).__name__)[:80]
        raise ParseError(f"is a damaged archive ({reason}); export it again") from None


def _score_name(archive: zipfile.ZipFile) -> str:
    names = archive.namelist()
    if _CONTAINER in names:
        container = read_document(_member(archive, _CONTAINER, _CONTAINER_BYTES))
        known = set(names)
        for rootfile in container.root.iter("rootfile"):
            if (path := rootfile.get("full-path", "")) in known:
                return path
    for name in names:
        if name.lower().endswith(_SUFFIXES) and not name.startswith(("META-INF/", "__MACOSX/")):
            return name
    raise ParseError("is an archive without a score; is it the right file?")


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Content of a file in the archive; never more than `most` bytes are unpacked."""
    info = archive.getinfo(name)
    if info.compress_type not in _METHODS:
        raise ParseError("is packed in a way that MusicXML does not allow; export it again")
    with archive.open(info) as member:
        content = member.read(most + 1)
    if len(content) > most:
        raise ParseError(f"unpacks to more than {most // 1024} KiB; is it the right file?")
    return content


def pack(score: bytes) -> bytes:
    """A .mxl file around a MusicXML document; the same for the same document."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in ((_CONTAINER, _ROOT.encode()), ("score.musicxml", score)):
            archive.writestr(zipfile.ZipInfo(name, _DATE), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()

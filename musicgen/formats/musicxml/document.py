"""XML bytes to a tree, safe with files from strangers: no entities, bounded, any encoding."""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import count
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from musicgen.errors import ParseError

MAX_ELEMENTS = 1_500_000  # as many as 32 MiB of real score hold; half a gigabyte of memory
_DECLARED = re.compile(rb"<\?xml[^>]{0,80}encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
# Encodings of several bytes a character that exist in the wild and expat does not know.
_WIDE = frozenset((
    "shift_jis", "cp932", "euc_jp", "gb2312", "gbk", "gb18030", "big5", "cp949", "euc_kr",
    "utf-32",
))  # fmt: skip
_WRONG_ENCODING = (
    expat.errors.codes[expat.errors.XML_ERROR_INCORRECT_ENCODING],
    expat.errors.codes[expat.errors.XML_ERROR_INVALID_TOKEN],
    expat.errors.codes[expat.errors.XML_ERROR_UNKNOWN_ENCODING],
)


@dataclass(frozen=True, slots=True)
class Document:
    """The root of a document, processing instructions among the children, and what was read:
    bytes in an encoding, None for the one they declare. `doubt` says what is wrong with the one
    declared; "" where nothing is."""

    root: Element
    data: bytes
    encoding: str | None = None
    doubt: str = ""

    def lines(self, elements: Collection[Element]) -> dict[Element, int]:
        """The line of each of these elements, from 1; the document is read a second time."""
        if not elements:
            return {}
        asked = set(elements)
        all_elements = (e for e in self.root.iter() if isinstance(e.tag, str))
        wanted = {number: e for number, e in enumerate(all_elements) if e in asked}
        found: dict[Element, int] = {}
        numbers = count()
        parser = expat.ParserCreate(self.encoding)

        def start(_tag: str, _attributes: object) -> None:
            element = wanted.get(next(numbers))
            if element is not None:
                found[element] = parser.CurrentLineNumber

        parser.StartElementHandler = start
        parser.Parse(self.data, True)
        return found


def read_document(data: bytes) -> Document:
    """An XML document.

    Raises:
        ParseError: it is not well-formed, declares entities or is unreasonably large.
    """
    if data.count(b"<") > MAX_ELEMENTS * 2:  # an opening and a closing tag each
        raise ParseError(f"has more than {MAX_ELEMENTS} XML elements; split it")
    if not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = data.lstrip()
    try:
        return Document(_parse(data, None), data)
    except expat.ExpatError as error:
        recoded = _recoded(data) if error.code in _WRONG_ENCODING else None
        if recoded is None:
            raise _refusal(error) from None
    except (ValueError, LookupError):  # an encoding that expat does not support
        recoded = _recoded(data)
        if recoded is None:
            raise ParseError("is in an unknown encoding; save it as UTF-8") from None
    text, doubt = recoded
    try:
        return Document(_parse(text, "utf-8"), text, "utf-8", doubt)
    except expat.ExpatError as error:
        raise _refusal(error) from None


def _refusal(error: expat.ExpatError) -> ParseError:
    return ParseError(
        f"is not well-formed XML ({expat.ErrorString(error.code)}); export it again",
        line=error.lineno,
        column=error.offset + 1,
    )


def _parse(data: bytes, encoding: str | None) -> Element:
    builder = TreeBuilder(insert_pis=True)
    parser = expat.ParserCreate(encoding)
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.ProcessingInstructionHandler = builder.pi
    parser.EntityDeclHandler = _refuse_entities
    parser.Parse(data, True)
    return builder.close()


def _refuse_entities(*_declaration: object) -> NoReturn:
    raise ParseError("declares XML entities, which no score needs; export it again")


def _recoded(data: bytes) -> tuple[bytes, str] | None:
    """The document as UTF-8 where it is not in its declared encoding, and what is wrong with that;
    None where nothing is."""
    match = _DECLARED.match(data)
    name = match[1].decode() if match else ""
    declared = name.lower().replace("-", "_")
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        declared = "utf-32"
    if declared in _WIDE:
        text = data.decode(declared, errors="replace")
        doubt = (
            f"has characters that are not {name or declared}, replaced" if "\ufffd" in text else ""
        )
        return text.encode(), doubt
    try:
        data.decode()
    except UnicodeDecodeError:
        doubt = f"is not in the encoding {name or 'UTF-8'}; read as Windows-1252"
        return data.decode("cp1252", errors="replace").encode(), doubt
    if declared in ("", "utf_8"):
        return None
    return data, f"declares the encoding {name}, which is unknown or wrong; read as UTF-8"

"""XML bytes to a tree, safe with files from strangers: no entities, bounded, any encoding."""

from __future__ import annotations

import codecs
import re
from typing import NoReturn
from xml.etree.ElementTree import Element, ProcessingInstruction, TreeBuilder
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


def read_document(data: bytes) -> Element:
    """The root of an XML document, processing instructions among the children.

    Raises:
        ParseError: it is not well-formed, declares entities or is unreasonably large.
    """
    if data.count(b"<") > MAX_ELEMENTS * 2:  # an opening and a closing tag each
        raise ParseError(f"has more than {MAX_ELEMENTS} XML elements; split it")
    if not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = data.lstrip()
    try:
        return _parse(data, None)
    except expat.ExpatError as error:
        recoded = _recoded(data) if error.code in _WRONG_ENCODING else None
        if recoded is None:
            raise _refusal(error) from None
    except (ValueError, LookupError):  # an encoding that expat does not support
        recoded = _recoded(data)
        if recoded is None:
            raise ParseError("is in an unknown encoding; save it as UTF-8") from None
    try:
        return _parse(recoded, "utf-8")
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


def _recoded(data: bytes) -> bytes | None:
    """The document as UTF-8 where it is not in its declared encoding; None where it is."""
    match = _DECLARED.match(data)
    declared = match[1].decode().lower().replace("-", "_") if match else ""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        declared = "utf-32"
    if declared in _WIDE:
        return data.decode(declared, errors="replace").encode()
    try:
        data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace").encode()
    return data if declared not in ("", "utf_8") else None


def instruction(element: Element) -> tuple[str, str]:
    """Target and content of a processing instruction; empty for an element."""
    if element.tag is not ProcessingInstruction:  # type: ignore[comparison-overlap]
        return "", ""
    target, _, content = (element.text or "").partition(" ")
    return target, content

"""XML text, one element at a time."""

from __future__ import annotations

import re
from html import escape

# What XML 1.0 does not allow in a document, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def element(name: str, /, *children: str, **attributes: str | int) -> str:
    """`<name attribute="value">children</name>`; underscores in attribute names become hyphens."""
    pairs = "".join(f' {key.replace("_", "-")}="{text(v)}"' for key, v in attributes.items())
    if not children:
        return f"<{name}{pairs}/>"
    return f"<{name}{pairs}>{''.join(children)}</{name}>"


def text(content: str | int) -> str:
    """Content escaped for elements and attributes, without characters that XML cannot hold."""
    return escape(_NOT_XML.sub("", str(content)))

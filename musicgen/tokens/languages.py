"""The table of token languages that a corpus can be prepared in.

LANGUAGES["remi"].encode(tune)
"""

from __future__ import annotations

from musicgen.tokens.char import CHARACTERS
from musicgen.tokens.language import Language, TextCode
from musicgen.tokens.melody.language import MELODY
from musicgen.tokens.remi.language import REMI
from musicgen.tokens.word import WORDS

LANGUAGES: dict[str, Language] = {
    language.name: language for language in (MELODY, REMI, CHARACTERS, WORDS)
}


def text_code(name: str) -> TextCode | None:
    """How the language of that name cuts texts; None for one of music, or an unknown one."""
    return LANGUAGES[name].text if name in LANGUAGES else None

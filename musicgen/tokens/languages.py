"""The table of token languages that a corpus can be prepared in.

LANGUAGES["remi"].encode(tune)
"""

from __future__ import annotations

from musicgen.tokens.char import CHARACTERS
from musicgen.tokens.language import Language
from musicgen.tokens.melody.language import MELODY
from musicgen.tokens.remi.language import REMI

LANGUAGES: dict[str, Language] = {
    language.name: language for language in (MELODY, REMI, CHARACTERS)
}

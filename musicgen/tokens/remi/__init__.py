"""Tokens of music in parts (REMI), and their grammar."""

from musicgen.tokens.remi.encoding import HEADER_KINDS, NAME, decode, encode

__all__ = ["HEADER_KINDS", "NAME", "decode", "encode"]

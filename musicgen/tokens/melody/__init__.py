"""Tokens of a single-line melody, relative to its key, and their grammar."""

from musicgen.tokens.melody.encoding import NAME, ReducedMelody, decode, encode, melody

__all__ = ["NAME", "ReducedMelody", "decode", "encode", "melody"]

"""Tunes to token sequences and back, and the grammar of each token language."""

"""Chords beside a melody as integers: the places where they may change, their ids, the features."""

"""The network that finds chords for a melody, and its folder."""

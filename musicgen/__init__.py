"""Learn to write music from corpora of tunes."""

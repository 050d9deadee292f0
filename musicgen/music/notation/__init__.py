"""Timed notes to written bars: note heads, rests, ties, tuplets, spelling."""

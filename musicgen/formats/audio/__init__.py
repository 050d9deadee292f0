"""Tunes to sound, played as folk musicians would: WAV, FLAC, OGG, MP3."""

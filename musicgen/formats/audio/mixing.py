"""Record in a child process: synthesize, measure, bring to loudness, encode."""

from __future__ import annotations

import importlib.util
import io
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from musicgen.errors import ConfigError, InvalidTuneError
from musicgen.formats.audio import fluid, sines
from musicgen.formats.audio.loudness import LoudnessMeter
from musicgen.formats.audio.sound import BLOCK_FRAMES, SAMPLE_RATE, Samples, from_json
from musicgen.music.performance import Performance
from musicgen.system.temporary import needing_room

# Extension -> container and encoding, as libsndfile calls them.
ENCODINGS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}
TAIL_S = 1.5  # after the last bar, for what still sounds
FADE_S = 0.3  # the end of the tail
HIGHEST_PEAK = 0.84  # -1.5 dB, since MP3 and Vorbis come out a little higher than they went in
_BYTES_PER_FRAME = 8  # two channels of 32 bits

_Synthesizer = Callable[[Performance, int], Iterator[Samples]]  # with the number of frames


def record(
    data: bytes,
    *,
    extension: str,
    synthesizer: str,
    soundfont: str,
    reverb: float,
    loudness: float,
    title: str = "",
    composer: str = "",
) -> bytes:
    """The audio file of performances (as `to_json` writes them), one after the other, with tags.

    Raises:
        ConfigError: a soundfont that cannot be used.
        InvalidTuneError: the sound is silent.
        MusicgenError: there is no room for temporary files.
    """
    synthesize: _Synthesizer = sines.synthesize
    if synthesizer == "fluidsynth" or (
        synthesizer == "auto" and (soundfont or fluid.library() is not None)
    ):
        synthesize = partial(
            fluid.synthesize, soundfont=soundfont or _default_soundfont(), reverb=reverb
        )
    meter = LoudnessMeter(SAMPLE_RATE)
    with needing_room("the sound"), tempfile.TemporaryFile() as raw:
        for performance in from_json(data):
            for block in _faded(synthesize, performance):
                meter.add(block)
                raw.write(block.tobytes())
        raw.seek(0)
        tags = {"title": title, "artist": composer, "software": "musicgen"}
        return _encode(raw, _gain(meter, loudness), extension, tags)


def _default_soundfont() -> str:
    package = importlib.util.find_spec("pretty_midi")  # located, not imported
    if package is None or package.origin is None:
        raise ConfigError("no soundfont was found; install pretty_midi or name one with soundfont")
    return str(Path(package.origin).with_name("TimGM6mb.sf2"))


def _faded(synthesize: _Synthesizer, performance: Performance) -> Iterator[Samples]:
    """The sound of a performance and its tail, faded out at the end."""
    left = round((performance.duration_s + TAIL_S) * SAMPLE_RATE)
    fade = round(FADE_S * SAMPLE_RATE)
    for block in synthesize(performance, left):
        frames = left - np.arange(len(block), dtype=np.float32)  # to the end
        yield block * np.clip((frames - 1) / fade, 0, 1, dtype=np.float32)[:, None]
        left -= len(block)


def _gain(meter: LoudnessMeter, target: float) -> float:
    measured = meter.integrated()
    if not np.isfinite(measured):
        raise InvalidTuneError("the sound is silent; choose another instrument or soundfont")
    return min(10 ** ((target - measured) / 20), HIGHEST_PEAK / meter.peak)


def _encode(raw: IO[bytes], gain: float, extension: str, tags: Mapping[str, str]) -> bytes:
    import soundfile

    container, encoding = ENCODINGS[extension]
    buffer = io.BytesIO()
    with soundfile.SoundFile(
        buffer, "w", SAMPLE_RATE, 2, format=container, subtype=encoding
    ) as file:
        for name, content in tags.items():  # libsndfile has no field for a composer
            if content and extension != ".mp3":  # it would write ID3v1: 30 bytes of Latin-1
                setattr(file, name, content)
        while chunk := raw.read(BLOCK_FRAMES * _BYTES_PER_FRAME):
            samples = np.frombuffer(chunk, np.float32).reshape(-1, 2) * np.float32(gain)
            if encoding == "PCM_16":  # rounded here: libsndfile does it differently for each
                file.write(np.rint(samples * 0x7FFF).astype(np.int16))
            else:
                file.write(samples)
    return (_id3(tags) if extension == ".mp3" else b"") + buffer.getvalue()


def _id3(tags: Mapping[str, str]) -> bytes:
    """Tags as ID3v2.3 (id3.org, 1999), the texts in UTF-16."""
    frames = b""
    for name, frame in (("title", b"TIT2"), ("artist", b"TPE1"), ("artist", b"TCOM")):
        if tags[name]:
            content = b"\1" + tags[name].encode("utf-16")
            frames += frame + len(content).to_bytes(4) + b"\0\0" + content
    size = bytes(len(frames) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + size + frames if frames else b""

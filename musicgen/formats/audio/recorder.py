"""Write sound files: options, the performance, the call of the child process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from musicgen.config import from_dict, require_options, require_types, to_dict
from musicgen.errors import ConfigError, InvalidTuneError
from musicgen.formats.audio.sound import RecordingOptions, to_json
from musicgen.music.performance import Performance, Style, perform
from musicgen.music.tune import Tune
from musicgen.system.sandbox import ResourceLimits, run

OPTIONS = tuple(field.name for field in (*fields(Style), *fields(RecordingOptions)))
MAX_TAG = 500  # characters
MAX_DURATION_S = 60 * 60  # of all tunes of a file together


def record(tunes: Sequence[Tune], extension: str, options: Mapping[str, Any]) -> bytes:
    """A sound file: the tunes one after the other.

    `options` are the fields of `Style` (how it is played) and `RecordingOptions` (how it is
    recorded).

    Raises:
        ConfigError: an option is unknown or out of its range, an instrument or soundfont does not
            exist.
        InvalidTuneError: a tune cannot be played.
        SandboxError: the synthesizer failed.
    """
    style, sound = read_options(options)
    return record_performances(
        [perform(tune, style) for tune in tunes],
        extension,
        sound,
        title=_tag(tune.title for tune in tunes),
        composer=_tag(tune.composer for tune in tunes),
    )


def _tag(texts: Iterable[str]) -> str:
    """Different texts as one line."""
    return "; ".join(dict.fromkeys(filter(None, texts)))[:MAX_TAG]


def _writer(extension: str) -> Callable[..., bytes]:
    def render(tunes: Sequence[Tune], **options: Any) -> bytes:
        """A sound file; see `record`."""
        return record(tunes, extension, options)

    return render


render_wav, render_flac, render_ogg, render_mp3 = map(_writer, (".wav", ".flac", ".ogg", ".mp3"))


def record_performances(
    performances: Sequence[Performance],
    extension: str,
    sound: RecordingOptions,
    *,
    title: str = "",
    composer: str = "",
) -> bytes:
    """A sound file of performances, one after the other, with tags; errors as of `record`."""
    length_s = sum(performance.duration_s for performance in performances)
    if length_s > MAX_DURATION_S:
        raise InvalidTuneError(
            f"{length_s / 60:.0f} minutes of music for one file, more than {MAX_DURATION_S // 60}; "
            "write a file for each tune"
        )
    return run(
        f"{__package__}.mixing:record",
        to_json(performances),
        what="the synthesizer",
        limits=ResourceLimits(
            memory_mib=2048,
            cpu_s=round(60 + length_s),
            wall_s=120 + 4 * length_s,
            file_mib=round(64 + length_s),  # 0.34 MiB a second, before it is encoded
            answer_mib=1024,
        ),
        extension=extension,
        title=title,
        composer=composer,
        **to_dict(sound),
    )


def read_options(options: Mapping[str, Any]) -> tuple[Style, RecordingOptions]:
    """How to play and how to record, from options by name.

    Raises:
        ConfigError: an option is unknown or out of its range, or the soundfont does not exist.
    """
    require_options(options, OPTIONS)
    for group in (Style, RecordingOptions):
        require_types(group, options)
    style, sound = (
        {field.name: options[field.name] for field in fields(group) if field.name in options}
        for group in (Style, RecordingOptions)
    )
    recorded = from_dict(RecordingOptions, sound)
    if recorded.soundfont and not Path(recorded.soundfont).is_file():
        raise ConfigError(f"{recorded.soundfont}: no such soundfont; check the name")
    return from_dict(Style, style), recorded

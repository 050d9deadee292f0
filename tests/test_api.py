"""The public names, and the four lines of Python that the README promises."""

from __future__ import annotations

from pathlib import Path

import musicgen
from musicgen.models import checkpoint as checkpoints
from musicgen.models.checkpoint import Checkpoint


def test_the_public_names_are_these() -> None:
    assert sorted(musicgen.__all__) == [
        *("Bar", "Chord", "Composer", "Controls", "MusicgenError", "NextTokenModule", "Note"),
        *(
            "Rest",
            "SamplingConfig",
            "Tune",
            "TuneDataModule",
            "Voice",
            "from_dict",
            "from_mido",
            "from_music21",
        ),
        *("from_pretty_midi", "from_symusic", "load", "read", "scan", "show", "to_dict"),
        *("to_mido", "to_music21", "to_pretty_midi", "to_symusic", "transpose", "validate"),
        "write",
    ]
    assert all(hasattr(musicgen, name) for name in musicgen.__all__)


def test_a_tune_is_composed_and_written_in_four_lines(
    untrained: Checkpoint, tmp_path: Path
) -> None:
    checkpoints.save(tmp_path / "model", untrained)
    composer = musicgen.load(tmp_path / "model")
    tune = composer.generate(key="D", meter="6/8", rhythm="jig", seed=7)
    musicgen.write(tune, tmp_path / "jig.mid")
    musicgen.write([tune, tune], tmp_path / "jigs.abc")
    assert [len(musicgen.read(tmp_path / name)) for name in ("jig.mid", "jigs.abc")] == [1, 2]

r"""Scores as other programs export them: do we read the notes that went in?

    python scripts/checks/exporters.py
    python scripts/checks/exporters.py --only graces coda --keep exported/

Each of the small scores below shows one feature. They go, as our MusicXML, to MuseScore (which
exports MusicXML, .mxl and MIDI), music21 (MusicXML, MIDI), partitura (MusicXML, MIDI), LilyPond by
way of its musicxml2ly (MIDI) and converter21 (kern); what these write is read, and compared with
the score that went in: onset, pitch and duration of every note, in a score as written, in MIDI as
played. A file that differs is listed with the reason, where `REASONS` knows it. Exit code 1 where
fewer than 97 % of the notes are equal.

Needs MuseScore 3 and LilyPond (Debian: musescore3, lilypond) and the Python packages music21,
partitura and converter21; an exporter that is not installed is left out, and said.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated

from musicgen.errors import MusicgenError
from musicgen.formats import read, rendered
from musicgen.formats.abc_notation import parse_text
from musicgen.music.tune import Tune

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.notes import Written, played_notes, written_notes

PROMISED = 0.97
SOURCES = {
    "plain": "CDEF GABc|c2B2 A4|",
    "pickup": "G2|c2e2 g2e2|d2B2 G2B2|c6|]",
    "dots": "C3D E3F|G7/2A/2 B2c2|d6 e2|",
    "accidentals": "^C_D=E^^F __G2 =A_B|^c^c=c_c B4|",
    "keys": "[K:A]cdef g2a2|[K:Eb]gfed c2B2|[K:Ddor]D8|",
    "meters": "[M:3/4]c2d2e2|[M:6/8]cdefga|[M:5/8]cdefg|[M:C|]c4 g4|",
    "triplets": "(3cdef2 (3gab c'2|(3c2d2e2 (3:2:2c4d2|",
    "quintuplets": "(5:4:5cdefg a4|(7:4:7c/d/e/f/g/a/b/ c'2 c4|",
    "ties": "c4- c2d2-|d8-|d2 [ce]2- [ce]4|",
    "chords": "[CEG]2[FAc]2 [GBd]4|[CG]4 [C,CE]2[B,G]2|",
    "voices": "V:1\nc4 e4|d8|\nV:2 clef=bass\nC,2E,2G,2E,2|G,,8|",
    "overlay": "c2e2 g4 & C8|d4 d4 & x4 B4|",
    "rests": "c2z2 z4|z8|Z|x4 c4|",
    "repeat": "|:cdef g4|c8:|:gfed c4|e8:|",
    "implied": "cdef g4|c8:|gfed c4|e8:|",
    "endings": "|:cdef g4|1 c8:|2 e4 c4|g8|]",
    "three times": "|:cdef g4|1,2 c8:|3 e8|]",
    "fine": "cdef g4|c4 e4!fine!|gfed c4|d8!D.C.alfine!|]",
    "coda": "cdef g4!dacoda!|c4 e4|d8!D.C.alcoda!|!coda!g4 c4|]",
    "segno": "c8|!segno!cdef g4|e8|d8!D.S.!|]",
    "graces": "{d}c2{ef}g2 {/a}b4|c4 {cde}f4|",
    "articulations": ".c2!accent!d2 !tenuto!e2!marcato!f2|(cdef) g4|!fermata!c8|",
    "ornaments": "Tc4 !mordent!d4|!turn!e4 !uppermordent!f4|g8|",
    "symbols": '"C"c4 "Am7"a4|"F#dim/C"f4 "G7"g4|',
    "words": "c2d2e2f2|g4 c4|\nw: sil-ver moon a- bove_",
    "tempo": "[Q:1/4=60]cdef g4|[Q:1/4=144]gfed c4|",
    "bass": "V:1 clef=bass\nC,D,E,F, G,4|C,,4 G,,4|",
    "octave clef": "V:1 clef=treble-8\ncdef g4|c'4 c4|",
    "programs": "V:1\n%%MIDI program 40\nc8|d8|\nV:2\n%%MIDI program 0\nE8|F8|",
    "sixteenths": "c/d/e/f/ g/a/b/c'/ c/4d/4e/4f/4g a2|c>d e<f g2a2|",
}  # fmt: skip
HEAD = "X:1\nT:{}\nM:4/4\nL:1/8\nQ:1/4=120\nK:C\n"
# (program, feature) -> why its file has other notes than the score that went in.
REASONS = {
    ("LilyPond", "fine"): "musicxml2ly keeps no jumps",
    ("LilyPond", "coda"): "musicxml2ly keeps no jumps",
    ("LilyPond", "segno"): "musicxml2ly keeps no jumps",
    ("LilyPond", "graces"): "half of its notes are graces of uneven length",
    ("LilyPond", "articulations"): "LilyPond plays a staccato note half as long",
    ("MuseScore", "graces"): "MuseScore plays them out",
    ("MuseScore", "ornaments"): "MuseScore plays them out",
    ("partitura", "coda"): "partitura goes on to the coda without the D.C.",
}

Exporter = Callable[[Path, Path], None]  # reads our MusicXML, writes the file


def by_musescore(source: Path, target: Path) -> None:
    """Export by MuseScore."""
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    _run(["mscore3", "-o", str(target), str(source)], environment)


def by_music21(source: Path, target: Path) -> None:
    """Export by music21."""
    from music21 import converter

    score = converter.parse(source, forceSource=True)
    score.write("midi" if target.suffix == ".mid" else "musicxml", target)


def by_partitura(source: Path, target: Path) -> None:
    """Export by partitura."""
    import partitura

    score = partitura.load_musicxml(source)
    if target.suffix == ".mid":
        unfolded = partitura.score.unfold_part_maximal(score)
        partitura.save_score_midi(unfolded, target)
    else:
        partitura.save_musicxml(score, target)


def by_lilypond(source: Path, target: Path) -> None:
    """Export by LilyPond."""
    middle = target.with_suffix(".ly")
    _run(["musicxml2ly", "--midi", "-o", str(middle), str(source)])
    score, midi = middle.read_text().split("\\unfoldRepeats \\articulate {")
    # \articulate shortens every note, and in braces the parts play one after the other; chord names
    # would be played.
    midi = re.sub(r"\}(?=\s*\\midi)", ">>", midi)
    midi = re.sub(r"\\context ChordNames .*", "", midi)
    middle.write_text(f"{score}\\unfoldRepeats <<{midi}")
    _run(["lilypond", "-dno-print-pages", "-o", str(target.with_suffix("")), str(middle)])
    target.with_suffix(".midi").rename(target)


def by_converter21(source: Path, target: Path) -> None:
    """Export by converter21."""
    import converter21
    from music21 import converter

    converter21.register()
    converter.parse(source, forceSource=True).write("humdrum", target)


def _run(command: Sequence[str], environment: dict[str, str] | None = None) -> None:
    if shutil.which(command[0]) is None:
        raise ImportError(f"{command[0]} is not installed")
    subprocess.run(command, env=environment, capture_output=True, check=True)


EXPORTERS: dict[str, tuple[Exporter, tuple[str, ...]]] = {
    "MuseScore": (by_musescore, (".musicxml", ".mxl", ".mid")),
    "music21": (by_music21, (".musicxml", ".mid")),
    "partitura": (by_partitura, (".musicxml", ".mid")),
    "LilyPond": (by_lilypond, (".mid",)),
    "converter21": (by_converter21, (".krn",)),
}


def notes_in(tune: Tune, suffix: str) -> Written:
    """Notes as a file of this kind has them: in MIDI as played, in scores as written."""
    if suffix != ".mid":
        return written_notes(tune)
    return Counter((at, pitch, length) for (at, pitch), length in played_notes(tune).items())


def compare(source: Tune, path: Path) -> tuple[int, int, str]:
    """How many notes of a file are equal, of how many, and the first differences in words."""
    ours = notes_in(source, path.suffix)
    options = {"voices": "all"} if path.suffix == ".mid" else {}
    try:
        (tune,) = read(path, **options)
    except MusicgenError as error:
        return 0, ours.total(), str(error)
    theirs = notes_in(tune, path.suffix)
    missing, surplus = sorted(ours - theirs), sorted(theirs - ours)
    words = f"{_words(missing)} became {_words(surplus)}" if missing or surplus else ""
    return (ours & theirs).total(), max(ours.total(), theirs.total()), words


def _words(notes: list[tuple[Fraction, int, Fraction]]) -> str:
    shown = ", ".join(f"{pitch} at {at} for {length}" for at, pitch, length in notes[:2])
    return shown + f" (of {len(notes)})" * (len(notes) > 2) or "nothing"


def main(
    *,
    only: Annotated[Sequence[str], "features"] = tuple(SOURCES),
    keep: Annotated[Path | None, "a folder for the files"] = None,
) -> bool:
    """Export every score by every program, and compare."""
    warnings.simplefilter("ignore")
    equal: Counter[str] = Counter()
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as temporary:
        folder = keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        for feature in only:
            tune = parse_text(HEAD.format(feature) + SOURCES[feature] + "\n").tunes[0]
            source = folder / f"{feature}.musicxml"
            source.write_bytes(rendered([tune], ".musicxml"))
            for program, (export, suffixes) in EXPORTERS.items():
                for suffix in suffixes:
                    target = folder / f"{feature}-{program}{suffix}"
                    try:
                        export(source, target)
                    except ImportError as error:
                        equal[f"{program}: {error}"] += 1
                        continue
                    except Exception as error:  # noqa: BLE001 - whatever ends an exporter
                        print(f"{target.name}: {program} fails ({type(error).__name__}: {error})")
                        continue
                    same, of, words = compare(tune, target)
                    equal[f"{program} {suffix}"] += same
                    total[f"{program} {suffix}"] += of
                    if words:
                        reason = REASONS.get((program, feature), "?")
                        print(f"{target.name}: {same} of {of} notes; {reason}: {words}")
    for kind, number in equal.items():
        print(f"{kind}: {number} of {total[kind]} notes" if kind in total else kind)
    share = sum(equal[kind] for kind in total) / max(total.total(), 1)
    print(f"together {100 * share:.2f} % of {total.total()} notes equal")
    return share < PROMISED


if __name__ == "__main__":
    command_line.run(main)

"""Music in parts for tests, and an untrained model of it: what holds here holds by construction."""

from __future__ import annotations

from musicgen.formats.abc_notation import parse_text
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.tune import Tune
from musicgen.tokens.remi.encoding import NAME
from musicgen.tokens.remi.grammar import FEATURE_SIZES
from musicgen.tokens.vocabulary import Vocabulary
from tests import DATA
from tests.checkpoints import random_checkpoint

THEME = DATA / "ode_to_joy.abc"
UNFINISHED = DATA / "unfinished.abc"
# Ours: a pickup, a tie across a bar line, a passing note, a last bar that makes up for the pickup.
CHORALE = """X:1
T:A short chorale
M:4/4
L:1/4
K:G
V:1 name="Soprano"
V:2 name="Alto"
V:3 name="Tenor" clef=treble-8
V:4 name="Bass" clef=bass
V:1
d | B B A d | (d B) A2 | G3 |]
V:2
G | G G F G- | G G F2 | D3 |]
V:3
B | d d d d | d d d c | B3 |]
V:4
G, | G, G, D, B,, | B,, G,, D,2 | G,,3 |]
"""
SONG = """X:1
T:A song
M:6/8
L:1/8
K:Am
V:1 name="Voice"
V:2 name="Piano" clef=bass
%%MIDI program 0
V:1
A2B c3 | B2A ^G3 | A6 |]
V:2
[A,CE]3 [A,CE]3 & A,,6 | [E,^G,B,]6 | [A,,E,A,]6 |]
"""
OPENINGS = {
    "M:4/4 K:G mode:major up:1 tens:0 ones:4": 3,
    "M:3/4 K:Bb mode:minor up:0 tens:0 ones:6": 1,
    "M:6/8 K:A mode:minor up:0 tens:0 ones:3": 1,
}


def tune(text: str) -> Tune:
    """The tune of an ABC text."""
    (read,) = parse_text(text).tunes
    return read


def untrained(*, parts: tuple[str, ...]) -> Checkpoint:
    """A small network with random weights that knows the parts given."""
    words = [
        *(f"tens:{n}" for n in range(4)),
        *(f"ones:{n}" for n in range(10)),
        *(f"Part_{part}" for part in parts),
        *("Bar_None", "TimeSig_4/4", "TimeSig_3/4", "TimeSig_6/8"),
        *(f"Position_{n}" for n in range(0, 144, 6)),
        *(f"Program_{n}" for n in range(4)),
        *(f"Pitch_{n}" for n in range(30, 90)),
        *(f"Duration_{beats}.{part}.24" for beats in range(4) for part in (0, 6, 12, 18)),
    ]
    words.remove("Duration_0.0.24")
    headers = [text.split() for text in OPENINGS]
    vocabulary = Vocabulary.build([*headers, words])
    headings = [(text.split(), n) for text, n in OPENINGS.items()]
    return random_checkpoint(vocabulary, FEATURE_SIZES, NAME, headings)


CHOIR_PARTS = ("soprano.52", "alto.52", "tenor.52", "bass.52")
SONG_PARTS = ("line", "line.73", "chords.0")

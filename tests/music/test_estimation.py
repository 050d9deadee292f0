"""Key, meter and pickup from notes alone."""

from __future__ import annotations

from fractions import Fraction

import pytest

from musicgen.formats.abc_notation import parse
from musicgen.music.estimation import NoteLine, estimate_key, estimate_meter, rhythm_probability
from musicgen.music.playback import timeline
from musicgen.music.theory import Key, Meter
from musicgen.music.tune import Tune

KESH = """X:1
T:The Kesh
M:6/8
K:G
|:G3 GAB|A3 ABd|edd gdd|edB dBA|GAG GAB|ABA ABd|edd gdd|BAF G3:|
|:B2B d2d|ege dBG|B2B dBG|ABA AGA|BAB d^cd|ege dBd|gfg aga|bgg g3:|
"""
WALTZ = """X:1
M:3/4
K:D
|:A2|d4 e2|f4 d2|B4 g2|f4 A2|d4 e2|f4 d2|e4 c2|d4:|
"""
DORIAN = """X:1
M:4/4
K:Ador
|:A2 AB c2 BA|G2 GA B2 AG|A2 AB cdef|gfed e2 A2|f2 fe d2 ef|g2 fe dBGB|cBAG EGAB|A4 A4:|
"""


def tune(text: str) -> Tune:
    return parse(text.encode()).tunes[0]


def heard(text: str) -> NoteLine:
    notes = timeline(tune(text)).notes
    return NoteLine.of((n.onset, n.onset + n.duration, n.midi) for n in notes)


@pytest.mark.parametrize(
    ("text", "meter", "pickup"),
    [(KESH, Meter((6,), 8), 0), (WALTZ, Meter((3,), 4), 1), (DORIAN, Meter((4,), 4), 0)],
)
def test_meter_and_pickup_of_well_known_rhythms(text: str, meter: Meter, pickup: str) -> None:
    found = estimate_meter(heard(text))
    assert (found.meter, found.pickup) == (meter, Fraction(pickup))


@pytest.mark.parametrize(
    ("text", "key"), [(KESH, Key("G")), (WALTZ, Key("D")), (DORIAN, Key("A", "dorian"))]
)
def test_tonic_and_mode(text: str, key: Key) -> None:
    assert estimate_key(heard(text)) == key


@pytest.mark.parametrize("semitones", range(-6, 6))
def test_a_key_moves_with_the_music(semitones: int) -> None:
    moved = NoteLine(tuple((a, b, p + semitones) for a, b, p in heard(DORIAN).notes))
    found = estimate_key(moved)
    assert (found.tonic_pitch_class, found.mode) == ((9 + semitones) % 12, "dorian")


def test_what_is_given_stays() -> None:
    asked = estimate_meter(heard(KESH), meter=Meter((9,), 8), pickup=Fraction(1, 2))
    assert (asked.meter, asked.pickup) == (Meter((9,), 8), Fraction(1, 2))
    assert estimate_meter(heard(WALTZ), pickup=Fraction(0)).pickup == 0
    odd = Meter((7,), 8)
    assert estimate_meter(heard(KESH), meter=odd).meter == odd


def test_too_few_notes_say_nothing() -> None:
    found = estimate_meter(NoteLine.of([(0, 1, 60), (1, 2, 62)]))
    assert (found.meter, found.pickup) == (Meter((4,), 4), 0)
    assert estimate_key(NoteLine(())) == Key("C")


def test_a_voice_is_heard_as_written() -> None:
    voice = tune("X:1\nL:1/4\nK:C\nC z [EG]2|\n").voices[0]
    assert NoteLine.of_voice(voice).notes == ((0, 24, 60), (48, 96, 67))
    assert NoteLine.of_voice(voice).pitch_classes()[7] == 48


def test_rhythms_go_on_as_tunes_do() -> None:
    after_eighths = {length: rhythm_probability(0, length, 4) for length in (6, 12, 24)}
    assert after_eighths[12] > 3 * after_eighths[24]
    assert rhythm_probability(0, 12) > 100 * rhythm_probability(0, 11)

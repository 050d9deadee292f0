"""Tokenizer: tunes to tokens and back, and what cannot be said."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicgen.errors import InvalidTuneError
from musicgen.music.theory import Key, Meter, Pitch
from musicgen.music.tune import Bar, Change, Chord, Marks, Note, Rest, Tune, Tuplet, Voice
from musicgen.tokens.melody.encoding import decode, encode, melody
from musicgen.tokens.melody.table import parse_token, pitch_token
from musicgen.tokens.vocabulary import SPECIALS, Vocabulary

EIGHTH = Fraction(1, 2)


def note(name: str, duration: Fraction = EIGHTH, **fields: object) -> Note:
    step, octave = name[0], int(name[-1])
    alter = {"": 0, "#": 1, "b": -1, "=": 0}[name[1:-1]]
    return Note(Pitch(step, alter, octave), duration, **fields)  # type: ignore[arg-type]


def tune_of(*bars: Bar, **fields: object) -> Tune:
    heading: dict[str, object] = {"meter": Meter((2,), 4), "key": Key("D")} | fields
    return Tune(voices=(Voice(bars=bars),), **heading)  # type: ignore[arg-type]


def bar(*events: Note | Rest | Chord | Change, **fields: object) -> Bar:
    return Bar(events=events, **fields)  # type: ignore[arg-type]


FOUR = tuple(note(n) for n in ("D4", "F#4", "A4", "D5"))


def test_a_tune_is_written_as_scale_degrees_in_units() -> None:
    long, short = note("A4", Fraction(3, 4)), note("G#4", Fraction(1, 4))
    tune = tune_of(bar(*FOUR), bar(long, short, note("C#5"), Rest()))
    expected = "R: M:2/4 L:1/8 K:D mode:major up:0 1 3 5 1' | *3/2 5 *1/2 #4 7 z |]"
    assert encode(melody(tune).tune) == expected.split()


@pytest.mark.parametrize("tonic", ["C", "G", "A", "Bb", "Eb", "F#"])
def test_the_body_is_the_same_in_every_key(tonic: str) -> None:
    key = Key(tonic)
    scale = [Pitch.from_diatonic(key.tonic_diatonic + i, 0) for i in range(4)]
    notes = [Note(replace(p, alter=key.signature[p.step])) for p in scale]
    assert encode(melody(tune_of(bar(*notes), key=key)).tune)[6:] == ["1", "2", "3", "4", "|]"]


def test_what_melodies_cannot_hold_is_counted_not_silently_lost() -> None:
    marked = replace(
        FOUR[0], marks=Marks(chord_symbol="D", decorations=("roll",), annotations=("a",))
    )
    chord = Chord((note("D4"), note("A4")), EIGHTH)
    reduced = melody(tune_of(bar(marked, chord, *FOUR[2:])))
    assert reduced.dropped == {
        "chord symbols": 1,
        "decorations": 1,
        "annotations": 1,
        "lower notes of chords": 1,
    }
    assert [e.midi for e in reduced.tune.bars[0].timed if isinstance(e, Note)] == [62, 69, 69, 74]


def test_a_repeat_without_a_start_gets_one_where_its_part_begins() -> None:
    tune = tune_of(bar(*FOUR), bar(*FOUR, repeat_end=1), bar(*FOUR), bar(*FOUR, repeat_end=1))
    bars = melody(tune).tune.bars
    assert [b.repeat_start for b in bars] == [True, False, True, False]


def test_a_double_bar_inside_a_repeat_divides_nothing() -> None:
    tune = tune_of(bar(*FOUR), bar(*FOUR, barline="||"), bar(*FOUR), bar(*FOUR, repeat_end=1))
    bars = melody(tune).tune.bars
    assert [b.repeat_start for b in bars] == [True, False, False, False]
    assert [b.barline for b in bars] == ["|"] * 4


def test_both_endings_belong_to_one_repeat() -> None:
    tune = tune_of(
        bar(*FOUR),
        bar(*FOUR, volta=(1,), repeat_end=1),
        bar(*FOUR, volta=(2,), barline="||"),
        bar(*FOUR, repeat_end=1),
    )
    assert [b.repeat_start for b in melody(tune).tune.bars] == [True, False, False, True]


def test_an_empty_bar_gives_its_marks_to_its_neighbours() -> None:
    tune = tune_of(bar(repeat_start=True), bar(*FOUR), bar(repeat_end=1))
    assert melody(tune).tune.bars == (bar(*FOUR, repeat_start=True, repeat_end=1),)


@pytest.mark.parametrize(
    ("tune", "reason"),
    [
        (Tune(), "no music"),
        (tune_of(bar(Rest())), "no notes"),
        (tune_of(bar(*FOUR), meter=Meter((), 4)), "no meter"),
        (tune_of(bar(*FOUR), unit=Fraction(1, 1024)), "bars of more than 1024 units"),
        (tune_of(bar(*FOUR, Change(key=Key("G")))), "key change inside the tune"),
        (tune_of(bar(*FOUR, Change(meter=Meter((3,), 4)))), "meter change inside the tune"),
        (tune_of(bar(*FOUR, overlays=((Rest(),),))), "more than one voice (overlay)"),
        (tune_of(bar(*FOUR, repeat_end=2)), "a part played more than twice"),
    ],
)
def test_what_is_not_a_melody_is_refused_with_a_reason(tune: Tune, reason: str) -> None:
    with pytest.raises(InvalidTuneError) as error:
        melody(tune)
    assert str(error.value) == reason


def test_a_tuplet_cut_by_a_bar_line_is_refused() -> None:
    third = Fraction(1, 3)
    pair = [note("D4", third, tuplet=Tuplet(3, 2, 3, i)) for i in (0, 1)]
    with pytest.raises(InvalidTuneError, match="cut by a bar line"):
        encode(tune_of(bar(*pair)))


def test_tokens_of_another_language_are_refused() -> None:
    with pytest.raises(InvalidTuneError, match="'hello' is not a melody token"):
        parse_token("hello")
    with pytest.raises(InvalidTuneError, match="first tokens must be"):
        decode(["1", "2"])


@given(st.integers(-30, 30), st.integers(-2, 2))
def test_pitch_tokens_mean_what_they_were_made_from(steps: int, alter: int) -> None:
    assert parse_token(pitch_token(steps, alter)).value == (steps, alter)


durations = st.sampled_from([Fraction(n, 8) for n in (1, 2, 3, 4, 6, 8, 12, 16)])
keys = st.builds(
    Key,
    st.sampled_from(["C", "D", "G", "A", "F", "Bb", "E"]),
    st.sampled_from(["major", "dorian", "minor"]),
)


@st.composite
def melodies(draw: st.DrawFn) -> Tune:
    key = draw(keys)

    def one_note() -> Note:
        natural = Pitch.from_diatonic(draw(st.integers(24, 42)), 0)
        alter = min(2, max(-2, key.signature[natural.step] + draw(st.sampled_from([0, 0, 1, -1]))))
        return Note(replace(natural, alter=alter), draw(durations))

    def one_bar() -> Bar:
        events: list[Note | Rest] = [one_note() for _ in range(draw(st.integers(1, 5)))]
        if draw(st.booleans()):
            events += [
                replace(one_note(), duration=Fraction(1, 3), tuplet=Tuplet(3, 2, 3, i))
                for i in range(3)
            ]
        if draw(st.booleans()):
            events.append(Rest(draw(durations)))
        return Bar(
            events=tuple(events),
            repeat_start=draw(st.booleans()),
            repeat_end=draw(st.integers(0, 1)),
            barline=draw(st.sampled_from(["|", "||"])),
        )

    bars = tuple(one_bar() for _ in range(draw(st.integers(1, 6))))
    rhythm = draw(st.sampled_from(["", "jig", "slip jig"]))
    return Tune(rhythm=rhythm, meter=Meter((6,), 8), key=key, voices=(Voice(bars=bars),))


@given(melodies())
def test_decode_undoes_encode_for_every_melody(tune: Tune) -> None:
    reduced = melody(tune).tune
    assert decode(encode(reduced)) == reduced
    assert melody(reduced).tune == reduced


def test_a_vocabulary_starts_with_the_special_tokens_and_maps_unknown_ones() -> None:
    vocabulary = Vocabulary.build([["b", "a"], ["a"]])
    assert vocabulary.tokens == (*SPECIALS, "a", "b")
    assert vocabulary.decode(vocabulary.encode(["a", "c"])) == ["a", "<unk>"]
    assert Vocabulary.build([["b", "a"], ["a"]], min_count=2).tokens == (*SPECIALS, "a")

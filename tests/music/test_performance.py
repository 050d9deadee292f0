"""Folk playing, against what the options promise."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicgen.errors import ConfigError, InvalidTuneError
from musicgen.formats import rendered
from musicgen.formats.abc_notation import parse_text
from musicgen.music.performance import (
    EXACT,
    FOLK,
    Performance,
    SoundingNote,
    Style,
    note_timings,
    perform,
)
from musicgen.music.playback import played_notes
from musicgen.music.tune import Tune


def tune(body: str, *, meter: str = "4/4", rhythm: str = "reel", key: str = "D") -> Tune:
    """A tune in eighths at 120 quarters a minute, so that an eighth lasts a quarter of a second."""
    heading = f"X:1\nT:t\nR:{rhythm}\nM:{meter}\nL:1/8\nQ:1/4=120\nK:{key}\n"
    (read,) = parse_text(heading + body + "\n").tunes
    return read


def part(performance: Performance, name: str) -> list[SoundingNote]:
    """Notes of the part of that name."""
    numbers = [i for i, p in enumerate(performance.parts) if p.name == name]
    return [n for n in performance.notes if n.part in numbers]


def onsets(notes: list[SoundingNote]) -> list[float]:
    return [pytest.approx(n.onset_s, abs=1e-9) for n in notes]


MELODY = "voice 1"
SCALE = "DEFG ABcd|dcBA GFED|"

# --- exactly as written --------------------------------------------------------------------------


def test_a_first_voice_without_time_leaves_the_others_their_notes() -> None:
    (read,) = parse_text("X:1\nM:4/4\nL:1/4\nK:C\nV:1\ny|\nV:2\nCDEF|\n").tunes
    assert len(perform(read, EXACT).notes) == 4
    assert rendered([read], ".mid")


def test_with_all_options_off_times_are_those_written() -> None:
    piece = tune("D>E (3FGA|:B2 ~c2 .d2 {e}f2:|", rhythm="hornpipe")
    written = [(float(n.onset) / 2, float(n.duration) / 2, n.midi) for n in played_notes(piece)]
    played = [(n.onset_s, n.duration_s, n.midi) for n in perform(piece, EXACT).notes]
    assert played == written
    assert {n.velocity for n in perform(piece, EXACT).notes} == {80}


def test_it_lasts_as_long_as_its_bars() -> None:
    assert perform(tune(SCALE + "z8|"), EXACT).duration_s == 6.0


def test_a_change_of_tempo_is_obeyed() -> None:
    assert perform(tune("D8|[Q:1/4=60]E8|"), EXACT).duration_s == 2.0 + 4.0


@pytest.mark.parametrize(
    ("rhythm", "seconds"), [("reel", 4 * 60 / 208), ("waltz", 4 * 60 / 144), ("", 2.0)]
)
def test_without_a_tempo_the_rhythm_decides(rhythm: str, seconds: float) -> None:
    (piece,) = parse_text(f"X:1\nR:{rhythm}\nM:4/4\nL:1/8\nK:D\nD8|\n").tunes
    assert perform(piece, EXACT).duration_s == pytest.approx(seconds)


# --- tempo, loops, count-in, transposition -------------------------------------------------------


@pytest.mark.parametrize(
    ("meter", "tempo", "seconds"),
    [
        ("4/4", "50%", 4.0),
        ("4/4", "240", 1.0),
        ("6/8", "120", 1.0),  # two dotted quarters
        ("C|", "60", 2.0),  # two halves
    ],
)
def test_tempo_is_a_share_or_felt_beats_a_minute(meter: str, tempo: str, seconds: float) -> None:
    body = "D6|" if meter == "6/8" else "D8|"
    assert perform(tune(body, meter=meter), Style(tempo=tempo)).duration_s == pytest.approx(seconds)


@given(st.integers(10, 400))
def test_slowing_down_stretches_every_note_alike(percent: int) -> None:
    piece = tune(SCALE)
    slow, plain = perform(piece, Style(tempo=f"{percent}%")), perform(piece)
    for a, b in zip(slow.notes, plain.notes, strict=True):
        assert a.onset_s * percent == pytest.approx(b.onset_s * 100)
        assert a.duration_s * percent == pytest.approx(b.duration_s * 100)


def test_loops_play_it_all_again() -> None:
    once, thrice = perform(tune(SCALE)), perform(tune(SCALE), Style(loops=3))
    assert thrice.duration_s == 3 * once.duration_s
    assert [n.midi for n in thrice.notes] == 3 * [n.midi for n in once.notes]


def test_a_bar_is_counted_in_on_its_beats() -> None:
    performance = perform(tune(SCALE), Style(count_in=1))
    assert onsets(part(performance, "count-in")) == [0.0, 0.5, 1.0, 1.5]
    assert part(performance, MELODY)[0].onset_s == 2.0
    assert performance.parts[-1].percussion


def test_a_pickup_comes_in_during_the_last_bar_counted() -> None:
    performance = perform(tune("FG|" + SCALE), Style(count_in=2))
    assert onsets(part(performance, "count-in")) == [0, 0.5, 1, 1.5, 2, 2.5, 3]
    assert part(performance, MELODY)[0].onset_s == 3.5


def test_jigs_are_counted_in_dotted_quarters() -> None:
    performance = perform(tune("DEF GAB|", meter="6/8"), Style(count_in=1))
    assert onsets(part(performance, "count-in")) == [0.0, 0.75]


def test_transposition_moves_melody_chords_and_drone() -> None:
    piece = tune('"D"DEFG "A7"ABcd|')
    there = perform(piece, Style(drone=True))
    moved = perform(piece, Style(drone=True, transpose="+3"))
    for n in range(4):
        pitches = [
            {(x.onset_s, x.midi % 12) for x in p.notes if x.part == n} for p in (there, moved)
        ]
        assert pitches[1] == {(onset, (midi + 3) % 12) for onset, midi in pitches[0]}


# --- swing ---------------------------------------------------------------------------------------


def gaps(performance: Performance) -> list[float]:
    """Seconds from each note of the melody to the next."""
    melody = part(performance, MELODY)
    return [pytest.approx(b.onset_s - a.onset_s) for a, b in pairwise(melody)]


def test_hornpipes_swing_and_reels_do_not() -> None:
    hornpipe = gaps(perform(tune(SCALE, rhythm="hornpipe")))
    assert hornpipe[:4] == [0.5 * 1.7 / 2.7, 0.5 / 2.7] * 2
    assert gaps(perform(tune(SCALE)))[:4] == [0.25] * 4


@given(st.floats(1.0, 4.0))
def test_the_swing_ratio_is_what_is_asked_for(ratio: float) -> None:
    long, short = (g.expected for g in gaps(perform(tune(SCALE), Style(swing=ratio)))[:2])
    assert long / short == pytest.approx(ratio, rel=1e-2)
    assert long + short == pytest.approx(0.5)


def test_slip_jigs_lean_on_each_beat() -> None:
    played = gaps(perform(tune("DEF GAB cde|d9|", meter="9/8", rhythm="slip jig")))
    assert played[:6] == [0.5 * 1.25 / 2.25, 0.5 / 2.25, 0.25] * 2


def test_dotted_pairs_and_triplets_stay_as_written() -> None:
    piece = tune("D>E (3FGA BcdB|d8|", rhythm="hornpipe")
    assert gaps(perform(piece))[:5] == [0.375, 0.125] + [0.5 / 3] * 3


def test_hornpipes_in_two_four_swing_in_sixteenths() -> None:
    piece = tune("D/E/F/G/ A/B/c/d/|d4|", meter="2/4", rhythm="hornpipe")
    assert gaps(perform(piece))[:2] == [0.25 * 1.7 / 2.7, 0.25 / 2.7]


def test_the_pickup_swings_with_the_pair_it_ends() -> None:
    piece = tune("F|" + SCALE, rhythm="hornpipe")
    assert gaps(perform(piece))[0] == pytest.approx(0.25 - (0.5 * 1.7 / 2.7 - 0.25))


def test_the_end_does_not_move_by_swing() -> None:
    assert perform(tune(SCALE, rhythm="hornpipe")).duration_s == 4.0


# --- loudness ------------------------------------------------------------------------------------


def velocities(body: str, *, meter: str = "4/4") -> list[int]:
    return [n.velocity for n in part(perform(tune(body, meter=meter)), MELODY)]


def test_the_first_beat_is_loudest_then_the_half_bar_then_the_others() -> None:
    one, off, two, _, three, _, four, _ = velocities("DEFG ABcd|")
    assert one > three > two == four > off


def test_jigs_have_two_beats() -> None:
    one, a, b, two, c, d = velocities("DEF GAB|", meter="6/8")
    assert one > two > a == b == c == d


def test_a_pickup_is_no_downbeat() -> None:
    pickup, downbeat, *_ = velocities("F|DEFG ABcd|")
    assert pickup < downbeat


def test_accents_and_dynamics_are_heard() -> None:
    plain = velocities("DEFG ABcd|")
    assert velocities("D!accent!EFG ABcd|")[1] == plain[1] + 14
    assert velocities("DEFG !p!ABcd|")[4:] == [v - 20 for v in plain[4:]]


# --- articulation and ornaments ------------------------------------------------------------------


def test_staccato_notes_sound_half_as_long() -> None:
    plain, short = part(perform(tune("D4 .E4|")), MELODY)
    assert plain.duration_s == pytest.approx(0.95)
    assert short.duration_s == pytest.approx(0.5)


def test_grace_notes_come_on_the_beat_and_take_from_their_note() -> None:
    grace, main = part(perform(tune("{g}f8|")), MELODY)
    assert (grace.midi, grace.onset_s) == (79, 0.0)
    assert main.onset_s == grace.duration_s < 0.1


def test_a_roll_touches_the_neighbours_in_the_scale() -> None:
    assert [n.midi for n in part(perform(tune("~E8|")), MELODY)] == [64, 66, 64, 62, 64]


def test_a_trill_goes_to_and_fro_and_ends_on_its_note() -> None:
    pitches = [n.midi for n in part(perform(tune("Tc8|")), MELODY)]
    assert set(pitches) == {73, 74}
    assert pitches[0] == pitches[-1] == 73


# --- backing and drone ---------------------------------------------------------------------------


def test_chords_go_boom_chick_by_the_meter() -> None:
    performance = perform(tune('"D"D8|'))
    assert onsets(part(performance, "bass")) == [0.0, 1.0]
    assert [n.midi % 12 for n in part(performance, "bass")] == [2, 9]  # root, fifth
    chords = part(performance, "chords")
    assert sorted({n.onset_s for n in chords}) == [0.5, 1.5]
    assert {n.midi % 12 for n in chords} == {2, 6, 9}


@pytest.mark.parametrize(
    ("meter", "bass", "chords"),
    [
        ("3/4", [0.0], [0.5, 1.0]),
        ("6/8", [0.0, 0.75], [0.5, 1.25]),
        ("2/4", [0.0, 0.5], [0.25, 0.75]),
        ("9/8", [0.0, 0.75, 1.5], [0.5, 1.25, 2.0]),
    ],
)
def test_each_meter_has_its_pattern(meter: str, bass: list[float], chords: list[float]) -> None:
    eighths = {"3/4": 6, "6/8": 6, "2/4": 4, "9/8": 9}[meter]
    performance = perform(tune(f'"G"D{eighths}|', meter=meter, rhythm=""))
    assert onsets(part(performance, "bass")) == bass
    assert sorted({n.onset_s for n in part(performance, "chords")}) == chords


def test_a_new_chord_begins_with_its_root_or_the_bass_written() -> None:
    performance = perform(tune('"D"D4 "G/B"G4|"A7"A8|'))
    assert [n.midi % 12 for n in part(performance, "bass")] == [2, 11, 9, 4]


def test_chords_follow_the_repeats() -> None:
    performance = perform(tune('|:"D"D8|[1"A"A8:|[2"G"G8|]'))
    assert [n.midi % 12 for n in part(performance, "bass")] == [2, 9, 9, 4, 2, 9, 7, 2]


def test_a_symbol_that_is_no_chord_is_reported() -> None:
    assert perform(tune('"A13#11"D8|')).warnings == ("chord symbol 'A13#11' is not known",)


def test_backing_can_be_left_out() -> None:
    assert len(perform(tune('"D"D8|'), Style(backing=False)).parts) == 1


def test_the_drone_is_tonic_and_fifth_from_beginning_to_end() -> None:
    drone = part(perform(tune(SCALE, key="Ador"), Style(drone=True)), "drone")
    assert [(n.midi, n.onset_s, n.duration_s) for n in drone] == [(45, 0.0, 4.0), (52, 0.0, 4.0)]


def test_the_drone_follows_a_change_of_key() -> None:
    drone = part(perform(tune("D8|[K:G]G8|"), Style(drone=True)), "drone")
    assert [(n.midi % 12, n.onset_s) for n in drone] == [(2, 0.0), (9, 0.0), (7, 2.0), (2, 2.0)]


# --- instruments ---------------------------------------------------------------------------------


def test_voices_get_instruments_in_turn() -> None:
    (piece,) = parse_text("X:1\nL:1/4\nK:D\nV:1\nD4|\nV:2\nA,4|\n").tunes
    assert [p.program for p in perform(piece).parts] == [73, 41]  # D4: flute, A3: viola
    assert [p.program for p in perform(piece, Style(instrument="piano")).parts] == [0, 0]
    assert [p.program for p in perform(piece, Style(instrument="harp,cello")).parts] == [46, 42]
    left, right = (p.pan for p in perform(piece).parts)
    assert left == -right < 0


# --- what cannot be played -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "style", "message"),
    [
        ("z8|", FOLK, "'t' has no notes to play"),
        (
            "D,,,,,,8|",
            FOLK,
            "'t' has pitch -10, beyond what can be heard as a note (12 to 119); transpose it",
        ),
        (
            "[Q:1/4=1]" + "D8|" * 10,
            FOLK,
            "'t' makes 40 minutes of music, more than 30; play fewer repeats or loops",
        ),
    ],
)
def test_what_cannot_be_played_is_said_in_one_line(body: str, style: Style, message: str) -> None:
    with pytest.raises(InvalidTuneError) as caught:
        perform(tune(body), style)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"tempo": "fast"},
            "tempo: 'fast' is neither 10% to 400% nor 10 to 1000 beats a minute",
        ),
        ({"tempo": "5%"}, "tempo: '5%' is neither 10% to 400% nor 10 to 1000 beats a minute"),
        ({"swing": 0.5}, "swing: 0.5 is not from 1 to 4"),
        ({"loops": 0}, "loops: 0 is not from 1 to 100"),
        ({"count_in": 9}, "count_in: 9 is not from 0 to 8"),
    ],
)
def test_an_impossible_option_is_said_in_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Style(**options)  # type: ignore[arg-type]
    assert str(caught.value) == message


@given(st.integers(1, 12), st.sampled_from(["4/4", "6/8", "9/8", "2+3/8", "7/8", "5/4", "none"]))
def test_every_style_plays_every_note_within_the_music(eighths: int, meter: str) -> None:
    piece = tune('"G"' + "GABc" * eighths + '|"D7"dcBA|', meter=meter, rhythm="hornpipe")
    performance = perform(piece, Style(drone=True, count_in=1))
    assert all(0 <= n.onset_s < n.end_s <= performance.duration_s + 1e-9 for n in performance.notes)
    assert len(part(performance, MELODY)) == 4 * eighths + 4
    assert Fraction(1, 100) < min(n.duration_s for n in performance.notes)


# --- for the eye ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rhythm", ["reel", "hornpipe"])
def test_cues_are_in_step_with_the_playing_and_say_what_is_written(rhythm: str) -> None:
    played = tune('|:"D"{g}D2 E>F (3GAB [Ac]d-|1 d4 e4:|2 d4 z4|]', rhythm=rhythm)
    style = Style(ornaments=False, backing=False)
    found = note_timings(played, style)
    sounding = perform(played, style).notes
    assert [cue.onset_s for cue in found] == [n.onset_s for n in sounding]
    assert [cue.midi for cue in found] == [n.midi for n in sounding]
    first_time = [cue.place for cue in found[:10]]
    assert first_time == [
        (0, 0),
        (0, 1),
        (0, 2),
        (0, 3),
        (0, 4),
        (0, 5),
        (0, 6),
        (0, 6),
        (0, 7),
        (1, 1),
    ]
    assert [cue.place for cue in found[10:12]] == [(0, 0), (0, 1)]
    assert found[8].duration_s == pytest.approx(1.25, abs=0.1)  # tied over the bar line


def test_a_note_of_an_overlay_has_no_place() -> None:
    found = note_timings(tune("ABcd efga & D4 F4|]"))
    assert [cue.place is None for cue in found if cue.midi in (62, 66)] == [True, True]


def test_what_is_too_long_is_refused_before_it_is_played() -> None:
    with pytest.raises(InvalidTuneError, match="makes 107 minutes of music, more than 30"):
        perform(tune("ABcd efga|" * 32), Style(loops=100))

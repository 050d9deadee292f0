"""Continuing: what was given stays to the byte or the tick, and the form is completed.

The model is untrained: whatever holds here holds by construction.
"""

from __future__ import annotations

import io
import random
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import mido
import pytest

from musicgen.composer import Composer, Take
from musicgen.composer.sampling import SamplingConfig
from musicgen.errors import ControlError
from musicgen.formats import read, rendered
from musicgen.formats.abc_notation import parse_text, to_abc
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.tune import Note, Tune
from musicgen.music.validation import validate
from scripts.measuring import event_counts

HEAD = "X:1\nT:Half a jig\nR:jig\nM:6/8\nL:1/8\nK:D\n"
HALF_JIG = f'{HEAD}A|~d2f {{g}}fed|"G"BAB "A"A2G|FAd [fd]2e|'
PART = "d2f fed|BAB A2G|FAd f2e|d2B A2F|d2f fed|BAB A2G|FAd f2e|d2d d3"


@pytest.fixture(scope="module")
def composer(untrained: Checkpoint) -> Composer:
    return Composer(untrained)


def given(text: str) -> Tune:
    (tune,) = parse_text(text).tunes
    return tune


def way_on(composer: Composer, text: str, **options: int | None) -> Take:
    """One way on; its text begins with all that was given and says the same notes."""
    take = next(composer.continuations(given(text), 1, SamplingConfig(seed=3), **options))
    assert take.exact[".abc"].decode().startswith(text)
    (again,) = parse_text(take.exact[".abc"].decode()).tunes
    assert again == take.tune
    return take


def form(tune: Tune) -> str:
    """Bars as printed between signs, such as "|:8:||:8:|"."""
    found, count = "", 0
    for bar in tune.bars:
        found += "|:" * bar.repeat_start + "".join(f"[{n}" for n in bar.volta)
        count += bar.duration > Fraction(1, 2)
        if bar.repeat_end or bar.barline in ("||", "|]"):
            found += f"{count}{':' * bar.repeat_end}{bar.barline}"
            count = 0
    return found


@pytest.mark.parametrize(
    "ending",
    [
        "",  # at a bar line
        "A",
        "A2 B/",
        "d2f (3fe",  # inside a triplet
        "d2f (3",  # before one
        "d2f A>",  # in a dotted pair
        "d2f A<",
        "d2f fed-",  # after a tie, at the end of a bar
        "d2f fed-|d",
        "d2f fed|(3f",
        "d2f d2 :|",
        "d2f d2 ||",
        "d2f d2 |]",
        "d2f d2 :|\nA|d2f",
        "d2f fedcBA|",  # an overfull bar
        "d/4",  # off the grid
        "d2f ^",  # an accidental, a chord, grace notes, quotes, a field cut short
        "d2f [ce",
        "d2f {g",
        'd2f "Am',
        "d2f !tri",
        "d2f fed:",
        "d2f fed|[M:6",
        "d2f fed & A6",
        "d2f fed % a remark",
        "d2f fed\nw:la la la",
        "d2f fed|\nW:words",
        "d2f ^c^GA",  # accidentals in force
        "d2f fed|[K:G] ",
        "d2f fed|[L:1/16] d4",
        "|:A|d2f fed|[1 ",
        "d2f d2:|\n|:",
    ],
)
def test_a_text_goes_on_from_any_place_with_every_byte_kept(
    composer: Composer, ending: str
) -> None:
    text = HALF_JIG + ending
    tune = given(text)
    whole = way_on(composer, text, bars=8).tune
    n = len(list(tune.voices[0].events))
    before = [(getattr(e, "pitch", None), e.duration) for e in tune.voices[0].events]
    after = [(getattr(e, "pitch", None), e.duration) for e in whole.voices[0].events]
    assert after[: n - 1] == before[: n - 1]
    assert after[n - 1][0] == before[n - 1][0]
    assert len(after) > n
    assert whole.unit == tune.unit
    assert whole.bars[-1].barline == "|]" or whole.bars[-1].repeat_end


@pytest.mark.parametrize(
    ("music", "expected"),
    [
        ("d2f fed|BAB", "8:||:8:|"),
        (f"|:{PART}:|", "|:8:||:8:|"),
        (f"|:{PART}:|\n|:d2f", "|:8:||:8:|"),
        (f"|:{PART}|", "|:8:||:8:|"),  # its repeat is closed
        (f"{PART}|", "|:24:|"),  # repeated, note for note, and the second part
        (f"{PART}||", "8||8|||:8:|"),
        (f"{PART}||d2f fed|", "8||8|]"),
        (f"|:{PART}:|\n|:d2f fed|[1 d6:|", "|:8:||:[12:|[21|]"),
        (f"|:{PART[:-7]}|[1 d6", "|:[18:|[21|||:8:|"),
    ],
)
def test_the_form_that_is_recognised_is_completed(
    composer: Composer, music: str, expected: str
) -> None:
    found = form(way_on(composer, HEAD + music).tune)
    assert found.endswith(expected) or found == expected


@pytest.mark.parametrize("bars", [4, 8, 13])
@pytest.mark.parametrize("music", ["d2f fed|BAB A2G|F", "A|d2f fed|BAB A2G|", "|:d2f fed|B"])
def test_a_tune_gets_as_many_bars_as_are_asked(composer: Composer, music: str, bars: int) -> None:
    whole = way_on(composer, HEAD + music, bars=bars).tune
    assert sum(bar.duration > Fraction(1, 2) for bar in whole.bars) == bars
    assert not [p for p in validate(whole) if p.kind in ("long", "final bar line")]


def test_a_finished_tune_gets_a_part_and_it_is_said(composer: Composer) -> None:
    take = way_on(composer, f"{HEAD}|:{PART}:|\n|:{PART.replace('d', 'e')}:|")
    assert take.warning == "its form was complete already; a part is added"
    assert not way_on(composer, f"{HEAD}|:{PART}:|").warning


@pytest.mark.parametrize("bars", [0, -1, 257, 10**6, 10**30])
def test_more_bars_than_a_tune_may_have_are_refused(composer: Composer, bars: int) -> None:
    with pytest.raises(ControlError, match="use a whole number from 1 to 256"):
        composer.continue_(given(HALF_JIG), bars=bars)


def test_fewer_bars_than_there_are_is_refused(composer: Composer) -> None:
    with pytest.raises(ControlError) as error:
        composer.continue_(given(HEAD + "d2f fed|BAB A2G|"), bars=2)
    assert str(error.value) == "--bars 2: 2 bars are there already; ask for more"


def test_the_part_that_is_repeated_keeps_its_ornaments_and_chords(composer: Composer) -> None:
    text = f'{HEAD}"D"~{PART}|'
    assert way_on(composer, text).exact[".abc"].decode().count('"D"~d2f') == 2


def test_new_music_keeps_the_layout(composer: Composer) -> None:
    text = f"{HEAD}d2f fed | BAB A2G |\nFAd f2e | d2B A2F |"
    new = way_on(composer, text).exact[".abc"].decode()[len(text) :]
    assert all(line.count("|") <= 4 for line in new.splitlines())
    assert " | " in new
    text = text.replace(" |", "|").replace("| ", "|")
    assert " | " not in way_on(composer, text).exact[".abc"].decode()


def test_ways_on_differ_and_do_not_depend_on_how_many_are_asked(composer: Composer) -> None:
    tune = given(f"{HEAD}{PART[:-6]}|d2d")  # little is left to choose
    five = [t.tune for t in composer.continuations(tune, 5, SamplingConfig(seed=1), bars=8)]
    assert len({to_abc(t) for t in five}) == 5
    two = [t.tune for t in composer.continuations(tune, 2, SamplingConfig(seed=1), bars=8)]
    assert five[:2] == two
    with pytest.raises(ControlError, match="only 1 different continuations"):
        list(composer.continuations(tune, 2, SamplingConfig(temperature=0), bars=8))


@pytest.mark.parametrize(
    "music",
    ["^^a,,8 B,,16>c'16 (5ABcde A3|", "c''''24-", "C,,,,24-|", "a31/7 b/64", "[ce]8-", "b/64-"],
)
def test_what_the_vocabulary_lacks_is_kept_and_a_tie_leads_to_its_pitch(
    composer: Composer, music: str
) -> None:
    text = f"X:1\nM:2/4\nL:1/32\nK:F#m\n{music}"
    tune = given(text)
    whole = way_on(composer, text).tune
    events = list(whole.voices[0].events)
    own = list(tune.voices[0].events)
    n = len(own)
    assert events[: n - 1] == own[:-1]
    assert len(events) > n
    if music.rstrip("|").endswith("-") and not music.startswith("["):
        last, first = events[n - 1 : n + 1]
        assert isinstance(last, Note)
        assert isinstance(first, Note)
        assert last.tie
        assert last.pitch == first.pitch


def test_a_tune_comes_home(composer: Composer) -> None:
    takes = list(composer.continuations(given(HALF_JIG), 12, SamplingConfig(seed=1)))
    last = [take.tune.bars[-1].events[-1] for take in takes]
    home = [isinstance(note, Note) and note.pitch.midi % 12 == 2 for note in last]
    assert sum(home) >= 6  # but where a note is tied into the last; at random it would be two of 12


def test_changes_of_key_and_meter_are_followed(composer: Composer) -> None:
    whole = way_on(composer, f"{HEAD}d2f fed|BAB A2G|[M:2/4][K:G]GABc|d2B2|G").tune
    assert {bar.duration for bar in whole.bars[2:]} == {Fraction(2)}


def test_free_meter_with_regular_bars_is_understood(composer: Composer) -> None:
    text = "X:1\nM:none\nL:1/8\nK:D\ndef|gab|gfe|d"
    assert {bar.duration for bar in way_on(composer, text).tune.bars} == {Fraction(3, 2)}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("X:1\nM:none\nK:D\nABc", "no meter, and bars of no regular length"),
        ("X:1\nM:6/8\nK:D\nV:1\nABc def|\nV:2\nABc def|", "more than one voice"),
        ("X:1\nM:6/8\nK:D\nz6|", ""),
    ],
)
def test_what_cannot_go_on_is_refused_in_a_line(composer: Composer, text: str, reason: str) -> None:
    if not reason:
        assert composer.continue_(given(text)).n_notes
        return
    with pytest.raises(ControlError) as error:
        composer.continue_(given(text))
    assert str(error.value) == f"cannot be continued: {reason}; give a single-line melody"


@pytest.mark.parametrize(
    ("encoding", "mark"), [("latin-1", b""), ("utf-8", b"\xef\xbb\xbf"), ("utf-16-le", b"\xff\xfe")]
)
def test_a_file_keeps_its_encoding_and_what_stands_around_the_tune(
    composer: Composer, tmp_path: Path, encoding: str, mark: bytes
) -> None:
    content = mark + "%abc-2.1\r\nL:1/16\r\n\r\nX:7\r\nT:Caf\xe9\r\nM:2/4\r\nK:G\r\nGABc".encode(
        encoding
    )
    path = tmp_path / "half.abc"
    path.write_bytes(content)
    (tune,) = read(path)
    take = next(composer.continuations(tune))
    take.write(tmp_path / "whole.abc")
    assert (tmp_path / "whole.abc").read_bytes().startswith(content)
    (whole,) = read(tmp_path / "whole.abc")
    assert whole.n_notes > tune.n_notes
    assert whole.unit == Fraction(1, 4)


def test_a_tune_of_a_book_stands_alone(composer: Composer, tmp_path: Path) -> None:
    path = tmp_path / "book.abc"
    path.write_text(f"{HEAD}d2f|\n\nX:2\nT:Other\nM:6/8\nK:D\nBAB A")
    take = next(composer.continuations(read(path)[1]))
    assert take.exact[".abc"].startswith(b"X:2\nT:Other\nM:6/8\nK:D\nBAB A")


# --- MIDI -----------------------------------------------------------------------------------


def cut(data: bytes, stop: int, *, kind: int, velocity: int) -> bytes:
    """A file up to a tick; of type 0 all in one track."""
    file = mido.MidiFile(file=io.BytesIO(data))
    tracks = [mido.merge_tracks(file.tracks)] if kind == 0 else file.tracks
    result = mido.MidiFile(type=kind, ticks_per_beat=file.ticks_per_beat)
    for track in tracks:
        tick, last, kept, open_note = 0, 0, mido.MidiTrack(), None
        for message in track:
            tick += message.time
            if tick >= stop or message.type == "end_of_track":
                break
            changed = message.copy(time=tick - last)
            if message.type == "note_on" and message.velocity:
                changed = changed.copy(velocity=velocity)
            if message.type in ("note_on", "note_off"):
                open_note = changed if getattr(changed, "velocity", 0) else None
                open_note = None if message.type == "note_off" else open_note
            kept.append(changed)
            last = tick
        if open_note is not None:
            kept.append(open_note.copy(velocity=0, time=stop - last))
            last = stop
        kept.append(mido.MetaMessage("end_of_track", time=stop - last))
        result.tracks.append(kept)
    buffer = io.BytesIO()
    result.save(file=buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", [0, 1])
def test_midi_goes_on_at_any_tick_with_every_event_kept(
    composer: Composer, tmp_path: Path, kind: int
) -> None:
    # An irregular bar becomes a change of meter in MIDI.
    text = f"{HEAD}A|{PART[:-3].replace('FAd f2e', 'FAd f2')}|]"
    data = rendered([given(text)], ".mid")
    draw = random.Random(kind)
    end = sum(message.time for message in mido.MidiFile(file=io.BytesIO(data)).tracks[0])
    for stop in [draw.randrange(100, end) for _ in range(3)]:
        half = tmp_path / "half.mid"
        half.write_bytes(cut(data, stop, kind=kind, velocity=71))
        (tune,) = read(half)
        take = next(composer.continuations(tune, 1, SamplingConfig(seed=stop)))
        take.write(tmp_path / "whole.mid")
        before = event_counts(half.read_bytes())
        after = event_counts((tmp_path / "whole.mid").read_bytes())
        assert not before - after
        new = [event for event in after - before if len(event) == 6]
        assert len(new) > 8
        assert all(event[5] == 71 for event in new)
        assert min(event[1] for event in new) >= stop  # type: ignore[type-var]


def test_a_midi_tune_has_as_many_bars_as_are_asked(composer: Composer, tmp_path: Path) -> None:
    path = tmp_path / "half.mid"
    path.write_bytes(rendered([given(f"{HEAD}{PART}|]")], ".mid"))
    (tune,) = read(path)
    for bars in (9, 16, 24):
        whole = composer.continue_(tune, bars=bars)
        assert len(whole.bars) == bars


def test_a_tune_made_in_python_is_continued_too(composer: Composer) -> None:
    tune = replace(given(HALF_JIG), source=None, title="Mine")
    whole = composer.continue_(tune)
    assert whole.bars[:3] == tune.bars[:3]
    assert whole.title == "Mine"

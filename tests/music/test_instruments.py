"""Instruments by name, against General MIDI as pretty_midi lists it."""

from __future__ import annotations

import pretty_midi
import pytest

from musicgen.errors import ConfigError
from musicgen.music.instruments import (
    GENERAL_MIDI,
    INSTRUMENTS,
    PROGRAMS,
    RANGES,
    program,
    written_range,
)


@pytest.mark.parametrize(
    "name", ["harpsichord", "harmonica", "violin", "clarinet", "flute", "recorder", "banjo"]
)
def test_programs_are_numbered_as_general_midi_has_them(name: str) -> None:
    assert program(name) == pretty_midi.instrument_name_to_program(name.capitalize())


def test_there_are_128_names_all_different() -> None:
    assert len(GENERAL_MIDI) == len(set(GENERAL_MIDI)) == 128


def test_a_name_may_be_written_in_any_case_and_a_number_as_text() -> None:
    assert program(" Tin_Whistle ") == 72
    assert program("0") == 0
    assert program("127") == 127


def test_folk_names_lead_to_programs() -> None:
    assert all(
        program(name) == row.program
        for row in INSTRUMENTS
        for name in row.names
        if row.program is not None
    )


def test_a_name_of_general_midi_keeps_its_number_but_for_the_whistle() -> None:
    moved = [name for number, name in enumerate(GENERAL_MIDI) if program(name) != number]
    assert moved == ["whistle"]


def test_every_name_stands_in_one_row() -> None:
    names = [name for row in INSTRUMENTS for name in row.names]
    assert len(names) == len(set(names))
    assert {*names, *GENERAL_MIDI} == {*PROGRAMS, *RANGES}


def test_a_range_is_in_midi_numbers() -> None:
    assert written_range("D_Whistle") == (62, 83)
    assert all(low + 12 <= high for low, high in RANGES.values())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fidle", "'fidle': unknown instrument; did you mean 'fiddle'?"),
        ("128", "instrument 128: General MIDI counts from 0 to 127"),
        ("-1", "'-1': unknown instrument; use a name such as fiddle, or 0 to 127"),
        ("", "'': unknown instrument; use a name such as fiddle, or 0 to 127"),
    ],
)
def test_an_unknown_instrument_is_said_in_one_line(name: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        program(name)
    assert str(caught.value) == message

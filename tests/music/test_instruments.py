"""Instruments by name, against General MIDI as pretty_midi lists it."""

from __future__ import annotations

import pretty_midi
import pytest

from musicgen.errors import ConfigError
from musicgen.music.instruments import FOLK_NAMES, GENERAL_MIDI, program


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
    assert all(program(name) == number for name, number in FOLK_NAMES.items())


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

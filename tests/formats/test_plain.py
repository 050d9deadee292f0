"""Tunes as plain data and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from musicgen.errors import ParseError
from musicgen.formats import abc_notation, read
from musicgen.formats.plain import from_dict, to_dict
from tests import DATA

SOURCE = (
    "X:7\nT:All of it\nC:Trad.\nM:2+3/8\nL:1/16\nQ:\"Fast\" 1/4=90\nP:AB\nK:HP\nW:words\n"
    "P:A\n|:{/g}~A2 (3BcB- B2 \"^up\"!trill!z2|[M:4/4][K:Ddor]x4 [CE-G]4 \"Am7\"(E4 F4)&c8 d8|"
    "[1 Z:|[2 z4 A12|]\nw:la-la * me\n"
)  # fmt: skip


@pytest.mark.parametrize("path", sorted(DATA.glob("*.abc")), ids=lambda path: path.name)
def test_json_holds_a_tune_without_loss(path: Path) -> None:
    for tune in [*read(path, all_voices=True), *abc_notation.parse_text(SOURCE).tunes]:
        assert from_dict(json.loads(json.dumps(to_dict(tune)))) == tune


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "Tuen"}, "Tuen: unknown type; did you mean 'Tune'?"),
        ({"titel": "x"}, "Tune.titel: unknown field; did you mean 'title'?"),
        ({"unit": "1/0"}, "'1/0': is not a fraction such as 3/2"),
        ({"title": 5}, "Tune.title: has the wrong type: 5"),
        ({"number": True}, "Tune.number: has the wrong type: True"),
        ({"voices": "x"}, "Tune.voices: has the wrong type: 'x'"),
        ({"voices": [{"type": "Key"}]}, "Tune.voices: has the wrong type: "),
        ({"fields": [["A"]]}, "Tune.fields: has the wrong type: "),
        ({"tempo": {"type": "Tempo", "bpm": 90}}, "Tempo.bpm: has the wrong type: 90"),
        ({"key": {"type": "Key"}, "type": "Key"}, "Key.title: unknown field; use one of: "),
    ],
)
def test_data_that_is_no_tune_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ParseError, match="^" + message.replace("?", "\\?")):
        from_dict({"type": "Tune", "title": "x", **change})

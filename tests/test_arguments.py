"""Every public function refuses values of another type in one line that names the argument."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import musicgen
from musicgen.errors import OptionError

TUNE = musicgen.parse("X:1\nT:Scale\nM:C\nL:1/8\nK:D\nDEFG ABcd|dcBA GFED|]")[0]
JUNK: tuple[Any, ...] = (
    3,
    2.5,
    None,
    True,
    "text",
    b"\xff",
    ["text"],
    [1],
    {"a": 1},
    ("text",),
    len,
    object(),
)

# Of each function: its arguments, valid ones, and the junk that they accept.
READ: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "source": ("no.abc", ("text",)),
    "format": ("abc", ("text",)),
    "all_voices": (False, (True,)),
}
ARGUMENTS: dict[str, dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "load": {"checkpoint": ("celtic", ("text",)), "revision": (None, ("text", None))},
    "dataset": {
        "sources": ("celtic", ("text", ["text"], ("text",))),
        "split": (None, ("text", None)),
        "workers": (1, (3,)),
    },
    "read": READ,
    "scan": READ,
    "write": {"tunes": (TUNE, ()), "target": ("x.no", ("text",)), "format": ("abc", ("text",))},
    "parse": {"content": ("X:1\nK:C\nC|", ("text", b"\xff")), "format": ("abc", ("text", None))},
    "dumps": {"tunes": (TUNE, ()), "format": ("abc", ("text",))},
    "show": {"tunes": (TUNE, ())},
    "transpose": {"tune": (TUNE, ()), "to": ("G", ("text",))},
    "validate": {"tune": (TUNE, ())},
    "harmonize": {
        "tune": (TUNE, ()),
        "temperature": (0.0, (3, 2.5)),
        "beam": (4, (3,)),
        "seed": (0, (3,)),
        "checkpoint": (None, ("text", None)),
    },
    "classify": {
        "tune": (TUNE, ()),
        "by": ("head", ("text",)),
        "checkpoint": (None, ("text", None)),
    },
    "novelty": {"tune": (TUNE, ()), "against": ([TUNE], ("text",))},
    "to_dict": {"music": (TUNE, ())},
    "from_dict": {"data": (musicgen.to_dict(TUNE), ({"a": 1},))},
    "to_music21": {"tune": (TUNE, ())},
    "to_mido": {"tune": (TUNE, ())},
    "to_pretty_midi": {"tune": (TUNE, ())},
    "to_symusic": {"tune": (TUNE, ())},
    "from_music21": {"score": (None, ())},
    "from_symusic": {"score": (None, ())},
    "from_mido": {"midi": (None, ())},
    "from_pretty_midi": {"midi": (None, ())},
}  # fmt: skip
# Of each format: an option and values of another type.
OPTIONS: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    ("abc", "original", (3, "text", None)),
    ("mid", "tempo", (80, None, b"80%")),
    ("mid", "swing", ("2", None, [2])),
    ("mid", "seed", ("1", 2.5, None)),
    ("mid", "repeats", (1, "yes", None)),
    ("svg", "size", ("big", 2.5, None)),
    ("svg", "bars_per_line", ("4", 2.5)),
    ("html", "title", (3, None)),
    ("roll.svg", "columns", ("4", None)),
    ("wav", "tempo", (80, None)),
    ("wav", "loops", ("2", None)),
)
READING: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("voices", (3, None, True)),
    ("channel", ("2", 2.5)),
    ("key", (3, ["G"])),
    ("meter", (3, None)),
)


CASES = [
    (name, parameter, accepted)
    for name, parameters in ARGUMENTS.items()
    for parameter, (_, accepted) in parameters.items()
]


def is_in(value: Any, values: tuple[Any, ...]) -> bool:
    return any(type(value) is type(other) and value == other for other in values)


def test_the_table_has_every_public_function() -> None:
    functions = {n: getattr(musicgen, n) for n in musicgen.__all__}
    functions = {n: f for n, f in functions.items() if inspect.isfunction(f)}
    assert functions.keys() == ARGUMENTS.keys()
    for name, function in functions.items():
        parameters = inspect.signature(function).parameters.values()
        named = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
        assert list(ARGUMENTS[name]) == named, name


@pytest.mark.parametrize(("name", "parameter", "accepted"), CASES)
def test_a_value_of_another_type_is_refused_by_name(
    name: str, parameter: str, accepted: tuple[Any, ...]
) -> None:
    valid = {key: value for key, (value, _) in ARGUMENTS[name].items()}
    for value in JUNK:
        if is_in(value, accepted):
            continue
        with pytest.raises(OptionError) as caught:
            getattr(musicgen, name)(**{**valid, parameter: value})
        message = str(caught.value)
        # Of several tunes, one that is none is said to be no tune.
        assert message.startswith((f"{parameter}: ", "tune: a Tune is wanted")), message
        assert "\n" not in message
        assert len(message) < 160


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_argument_of_another_name_or_a_missing_one_is_said(name: str) -> None:
    function = getattr(musicgen, name)
    first = next(iter(ARGUMENTS[name]))
    valid = {key: value for key, (value, _) in ARGUMENTS[name].items()}
    if "options" not in inspect.signature(function).parameters:
        with pytest.raises(OptionError, match=f"no option '{first}x'; did you mean '{first}'"):
            function(**valid, **{f"{first}x": 1})
    if name not in ("load", "dataset"):  # which have a default
        with pytest.raises(OptionError, match=f"missing a required argument: '{first}'"):
            function()


@pytest.mark.parametrize(
    ("format", "option", "values"), OPTIONS, ids=[f"{f}-{o}" for f, o, _ in OPTIONS]
)
def test_an_option_of_a_format_of_another_type_is_refused(
    format: str, option: str, values: tuple[Any, ...]
) -> None:
    for value in values:
        with pytest.raises(OptionError, match=f"^{option}: .* is not "):
            musicgen.dumps(TUNE, format, **{option: value})


@pytest.mark.parametrize(("option", "values"), READING)
def test_an_option_of_a_reader_of_another_type_is_refused(
    option: str, values: tuple[Any, ...]
) -> None:
    data = musicgen.dumps(TUNE, "mid")
    for value in values:
        with pytest.raises(OptionError, match=f"^{option}: .* is not "):
            musicgen.parse(data, "mid", **{option: value})


def test_numbers_of_numpy_are_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    assert musicgen.harmonize(TUNE, beam=numpy.int64(2), temperature=numpy.float32(0))
    assert musicgen.dumps(TUNE, "mid", seed=numpy.int64(2), swing=numpy.float64(1))

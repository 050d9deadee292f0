"""Help of every command in 80 columns; groups of options; the table of controls as options."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from musicgen.cli import app
from musicgen.cli.command import PANELS, command
from musicgen.composer.controls.table import TABLE


def commands() -> Iterator[tuple[str, ...]]:
    """The words of every command, those of groups included."""
    root: Any = get_command(app)
    for name, found in root.commands.items():
        yield (name,)
        yield from ((name, inner) for inner in getattr(found, "commands", ()))


def help_of(*words: str) -> list[str]:
    done = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "80"}, terminal_width=80)
    assert done.exit_code == 0
    return done.output.splitlines()


@pytest.mark.parametrize("words", [(), *commands()], ids=" ".join)
def test_help_fits_in_80_columns_with_every_option_in_full(words: tuple[str, ...]) -> None:
    lines = help_of(*words)
    assert max(map(len, lines)) <= 80
    found: Any = get_command(app)
    for word in words:
        found = found.commands[word]
    shown = {part for line in lines for word in line.split() for part in word.split(",")}
    for parameter in found.params:
        for name in (*parameter.opts, *parameter.secondary_opts):
            assert name in shown or parameter.param_type_name == "argument", name


def test_the_commands_stand_in_the_panels_of_what_people_do() -> None:
    lines = help_of()
    places = [
        i for i, line in enumerate(lines) for name in PANELS if line.startswith(f"╭─ {name} ")
    ]
    assert len(places) == len(PANELS)
    assert not any(line.startswith("╭─ Commands") for line in lines)


def test_every_control_is_an_option_of_generate_with_its_help() -> None:
    root: Any = get_command(app)
    options = {o.name: o for o in root.commands["generate"].params}
    for name, control in TABLE.items():
        assert options[name].opts == ["--" + name.replace("_", "-")]
        assert options[name].help.startswith(control.help)


def test_a_group_of_options_is_handed_over_as_one_object() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Sizes:
        panel: ClassVar[str] = "Sizes"
        width: Annotated[int, typer.Option(help="In columns.")] = 80

    received: list[Any] = []
    toy = typer.Typer()
    toy.callback()(lambda: None)

    def show(*, sizes: Sizes) -> None:
        received.append(sizes)

    show.__annotations__["sizes"] = Sizes  # a class of this function, which no string can name
    command(of=toy)(show)
    assert CliRunner().invoke(toy, ["show", "--width", "3"]).exit_code == 0
    assert CliRunner().invoke(toy, ["show"]).exit_code == 0
    assert received == [Sizes(width=3), Sizes()]

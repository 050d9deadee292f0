"""Register commands: panels of `--help`, and groups of options declared once for many commands.

@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    panel: ClassVar[str] = "Output"
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False

@command(COMPOSE)
def vary(file: Path, *, output: OutputOptions) -> None: ...      # takes --force
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

import typer
from typer.core import TyperCommand
from typer.models import OptionInfo

if TYPE_CHECKING:
    from musicgen.music.tune import Tune

PANELS = COMPOSE, TRAIN, LOOK, CONVERT = "Compose", "Train", "Look", "Convert and check"
# Parameters that name places beside those that are paths.
PLACES = {
    *("checkpoint", "checkpoints", "model", "name", "from_", "soundfont"),
    *("corpus", "sources", "reference", "apart_from"),
}

app = typer.Typer(
    help="Write new tunes with trained models, finish unfinished ones, train on your own corpus.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Function = Callable[..., None]


def command(
    panel: str | None = None, *, name: str | None = None, of: typer.Typer = app
) -> Callable[[Function], Function]:
    """Register a function as a command of `of`, listed in a panel of its help."""

    def register(function: Function) -> Function:
        of.command(name, rich_help_panel=panel, cls=_Command)(_without_groups(function))
        return function

    return register


class _Command(TyperCommand):
    """A command that refuses places without a name: an empty path is the working folder."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given, *_ = self.make_parser(ctx).parse_args(args=list(args))
        parameters: list[Any] = list(self.get_params(ctx))
        for parameter in parameters:
            value = given.get(str(parameter.name))
            values = value if isinstance(value, list | tuple) else [value]
            if "" in values and parameter.name in places_of(self):
                raise typer.BadParameter("is empty; name one", ctx=ctx, param=parameter)
        return super().parse_args(ctx, args)


def places_of(command: Any) -> frozenset[str]:
    """The parameters of a command that name files, folders, corpora or models."""
    places: frozenset[str] = command.callback.places
    return places


def _without_groups(function: Function) -> Function:
    """The function as typer can read it: every parameter that is a group of options (a dataclass)
    is replaced by one parameter for each option, and built again from their values."""
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}

    @wraps(function)
    def call(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        function(**values)

    parameters: list[Parameter] = []
    for name, parameter in signature(function).parameters.items():
        if name in groups:
            parameters += _parameters(groups[name])
        else:
            parameters.append(parameter.replace(annotation=hints[name]))
    call.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    call.places = frozenset(  # type: ignore[attr-defined]
        p.name for p in parameters if p.name in PLACES or "path" in str(p.annotation).lower()
    )
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def _parameters(group: Any) -> Iterator[Parameter]:
    """The options of a group, in its panel; those of `Controls` come from the table of controls."""
    hints = get_type_hints(group, include_extras=True)
    for field in fields(group):
        if "control" in field.metadata:
            kind, option = _of_control(field)
        else:
            kind, option = get_args(hints[field.name])
        option = copy(option)
        option.rich_help_panel = option.rich_help_panel or group.panel
        yield Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=Parameter.empty if field.default is MISSING else field.default,
            annotation=Annotated[kind, option],
        )


def _of_control(row: Field[Any]) -> tuple[Any, OptionInfo]:
    """Type and option of a row of the table of controls."""
    control = row.metadata["control"]
    kind: Any = {"integer": int, "flag": bool}.get(control.kind, str)
    option: OptionInfo = typer.Option(f"--{row.name.replace('_', '-')}", help=control.help)
    option.rich_help_panel = "What to compose"
    if control.kind == "tune":
        option.parser, option.metavar = _first_tune, "<path>"
    return (kind | None if row.default is None else kind), option


def _first_tune(path: str) -> Tune:
    from musicgen.formats import read

    return read(path)[0]

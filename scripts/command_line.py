"""The command line of a script, derived from the signature of its `main`.

    def main(book: Path, *, best_of: Annotated[int, "attempts at a tune"] = 4) -> bool: ...

    command_line.run(main)

Keyword-only parameters become options, the others arguments; a `bool` is a switch, `Sequence[T]`
takes several values. Beside the type, `Annotated` may hold the help text, a short name such as
"-n", and a collection of choices. An underscore at the end of a name is not part of the option.
"""

from __future__ import annotations

import inspect
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from typing import Annotated, Any, get_args, get_origin


def run(main: Callable[..., Any], arguments: Sequence[str] | None = None) -> None:
    """Parse `arguments` (default: those of the process), call `main`, and exit with its result:
    None, 0 and False mean success. The docstring of its module describes the script."""
    parser = ArgumentParser(
        description=main.__globals__["__doc__"], formatter_class=RawDescriptionHelpFormatter
    )
    parameters = inspect.signature(main, eval_str=True).parameters
    for name, parameter in parameters.items():
        kind, notes = parameter.annotation, ()
        if get_origin(kind) is Annotated:
            kind, *notes = get_args(kind)
        short = [note for note in notes if isinstance(note, str) and note.startswith("-")]
        options: dict[str, Any] = {
            "help" if isinstance(note, str) else "choices": note
            for note in notes
            if note not in short
        }
        has_default = parameter.default is not parameter.empty
        if has_default:
            options["default"] = parameter.default
        if get_origin(kind) is Sequence:
            options["nargs"] = "*" if has_default else "+"
        if kind is bool:
            options["action"] = "store_true"
        else:
            options["type"] = (*get_args(kind), kind)[0]  # T of `Sequence[T]` and `T | None`
        if parameter.kind is parameter.KEYWORD_ONLY:
            long = "--" + name.rstrip("_").replace("_", "-")
            parser.add_argument(*short, long, required=not has_default, **options)
        else:
            parser.add_argument(name, **options)
    parsed = parser.parse_args(arguments)
    sys.exit(main(**{name: getattr(parsed, name.rstrip("_")) for name in parameters}))

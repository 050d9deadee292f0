"""Names of a package that are imported when they are first used, so that its neighbours stay light.

__getattr__ = lazy(__name__, {"Composer": "melody", "load": "musicgen.models.harmony.model"})
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's `__getattr__` for names that live in submodules: name -> submodule, or the full
    name of a module elsewhere. `dir` lists them, too.

    The function raises AttributeError for any other name.
    """
    names = vars(sys.modules[package])
    names["__dir__"] = lambda: sorted({*names, *homes})

    def getattribute(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        home = homes[name]
        module = home if home.startswith("musicgen.") else f"{package}.{home}"
        return getattr(import_module(module), name)

    return getattribute

"""The settings, tokens and folder of a training run, from the options of `train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicgen.cli.messages import say
from musicgen.cli.progress import available_cores, progress_bar
from musicgen.errors import ConfigError

if TYPE_CHECKING:
    from musicgen.corpus.cache import CachedCorpus
    from musicgen.models.checkpoint import Checkpoint
    from musicgen.training import TrainConfig


def origin_of_run(
    corpus: list[str] | None,
    column: str,
    tokens: Path | None,
    tokenizer: str | None,
    start: str | None,
    min_count: int | None,
    most_tokens: int | None,
) -> dict[str, Any]:
    """What a run is asked to train on; None where nothing is said.

    Raises:
        ConfigError: token files, and what only a corpus has.
    """
    from musicgen.corpus.sources import with_column

    if tokens is not None and corpus:
        raise ConfigError("--corpus and --tokens: give one of them")
    encoding = {"tokenizer": tokenizer, "min_count": min_count, "most_tokens": most_tokens}
    for name, value in encoding.items():
        if tokens is not None and value is not None:
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{option} and --tokens: token files have theirs; drop {option}")
    return {
        "corpus": with_column(map(_lasting, corpus), column) if corpus else None,
        "tokens": tokens and str(tokens.resolve()),
        "from": start and _lasting(start),
        **encoding,
    }


def reopened(out: Path, overrides: list[str]) -> tuple[TrainConfig, dict[str, Any]]:
    """The settings of an unfinished run, with those changed that may be, and where its tokens are
    from.

    Raises:
        ConfigError: another one is to be changed.
    """
    from musicgen.config import override
    from musicgen.training import RunFolder
    from musicgen.training.run_folder import FREE_TO_CHANGE

    config, origin = RunFolder(out).settings()
    for assignment in overrides:
        if assignment.partition("=")[0].strip() not in FREE_TO_CHANGE:
            raise ConfigError(
                f"--resume: an unfinished run keeps its own settings; drop {assignment}"
            )
        config = override(config, assignment)
    return config, origin


def require_unused(out: Path, auto_resume: bool) -> None:
    """See that a run can begin in the folder, or go on there, before its corpus is read."""
    from musicgen.training import RunFolder
    from musicgen.training.cluster import launch

    folder = RunFolder(out, active=launch().is_first)
    if not (auto_resume and folder.has_begun):
        with folder.claimed(make=False):  # by another process, it is busy rather than unfinished
            folder.require_unused()


def assignments(settings: list[str] | None, given: Mapping[str, object]) -> list[str]:
    """The values of --set, and of the options that are settings, where they are given."""
    named = [f"{name}={value}".lower() for name, value in given.items() if value is not None]
    return [*(settings or ()), *named]


def descent(about: str, start: Checkpoint, name: str) -> str:
    """The sources of a model that was trained on from another."""
    from musicgen.models.card import without_front_matter

    card = without_front_matter(start.card)
    return f"Trained on from the model {name}, described below.\n{about}\n{card}"


def _lasting(name: str) -> str:
    """A name that means the same from every working folder."""
    return str(Path(name).resolve()) if Path(name).exists() else name


def configured(
    start: Checkpoint | None,
    preset: str | None,
    overrides: list[str],
    *,
    seed: int | None,
    budget: dict[str, float],
    n_tokens: int | None = None,
) -> TrainConfig:
    """The configuration of a run that starts from a model, or from random weights; if nothing about
    the network or the batches is asked for, as it suits so many tokens.

    Raises:
        ConfigError: an unknown preset or setting.
    """
    from musicgen.training import presets
    from musicgen.training.config import with_settings

    config = presets.preset(preset or presets.DEFAULT) if start is None else presets.onward(start)
    chosen = preset or start or any(name.startswith(("model.", "data.")) for name in overrides)
    if n_tokens is not None and not chosen:
        plain, config = config, presets.suited(config, n_tokens)
        if config != plain:
            say(
                f"a small corpus ({n_tokens:,} tokens): a network of {config.model.d_model} "
                f"channels, batches of {config.data.batch_tokens} tokens"
            )
    config = with_settings(config, overrides)
    if seed is not None:
        config = replace(config, seed=seed)
    return config.with_budget(**budget) if budget else config


def load_tokens(origin: dict[str, Any], start: Checkpoint | None) -> CachedCorpus:
    """The token files of a run: given, or prepared from a corpus, once."""
    from musicgen.corpus.cache import CachedCorpus, prepared
    from musicgen.training.cluster import launch

    if origin["tokens"] is not None:
        return CachedCorpus.of_tokens(Path(origin["tokens"]), verify=launch().is_first)
    say(f"reading {', '.join(origin['corpus'])}")
    with progress_bar() as progress:
        data = prepared(
            origin["corpus"],
            tokenizer=tokenizer_of(origin["tokenizer"], start),
            vocabulary=None if start is None else start.vocab,
            min_count=origin.get("min_count"),
            most_tokens=origin.get("most_tokens"),
            workers=available_cores(),
            progress=progress,
        )
    for line in data.summary:
        say(line)
    return data


def tokenizer_of(name: str | None, start: Checkpoint | None) -> str | None:
    """The token language asked for, or that of the model to start from.

    Raises:
        ConfigError: they differ.
    """
    if start is None:
        return name
    if name not in (None, start.tokenizer):
        raise ConfigError(f"--tokenizer and --from: the model uses {start.tokenizer} tokens")
    return start.tokenizer

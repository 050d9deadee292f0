"""The front matter of a model card: facts in YAML that the Hugging Face Hub reads and searches.

The keys are those of the Hub's documentation (Model Cards, Metadata specification): license,
library_name, tags, datasets, metrics, and in model-index the scores.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

FRONT_MATTER = re.compile(r"---\r?\n(?:.*?\r?\n)??---\s*(?:\n|$)\s*", re.DOTALL)
UNKNOWN_LICENCE = "unknown"  # an identifier of the Hub; it depends on whose music was learned
_TAGS = ("music", "symbolic-music")
_SPLITS = {"val": "validation", "test": "test"}
_TASK = {"type": "music-generation", "name": "Symbolic music generation"}
_MOST_DATASETS = 20


def front_matter(
    *,
    title: str,
    licence: str,
    tags: Iterable[str],
    places: Iterable[str],
    metrics: Mapping[str, float],
) -> str:
    """The block between two lines `---`; its values are JSON, which is also YAML.

    Args:
        title: the name of the model.
        licence: an identifier of the Hub, such as "mit".
        tags: more than those that every model has.
        places: the files of the corpus, each with `:` and the line of a tune.
        metrics: numbers by name; `val_<score>` and `test_<score>` go to model-index.
    """
    datasets = _datasets(places)
    scores = {
        split: {name.removeprefix(f"{split}_"): value for name, value in metrics.items()
                if name.startswith(f"{split}_")}
        for split in _SPLITS
    }  # fmt: skip
    results = [_result(split, found, datasets) for split, found in scores.items() if found]
    data = {
        "license": licence,
        "library_name": "musicgen",
        "tags": [*_TAGS, *tags],
        "datasets": datasets,
        "metrics": list(dict.fromkeys(name for found in scores.values() for name in found)),
        "model-index": [{"name": title, "results": results}] if results else [],
    }
    rows = (
        f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in data.items() if value
    )
    return "\n".join(["---", *rows, "---", ""])


def without_front_matter(card: str) -> str:
    """The part of a card that is for people."""
    match = FRONT_MATTER.match(card)
    return card if match is None else card[match.end() :]


def _datasets(places: Iterable[str]) -> list[str]:
    """Names of the collections, as the Hub writes names: the first folder of each file, or its last
    one if the path is absolute; most frequent first."""
    files = (PurePath(place.rpartition(":")[0] or place) for place in places)
    names = Counter(
        file.parent.name if file.is_absolute() and file.parent.name else file.parts[0]
        for file in files
    )
    slugs = (
        re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.")
        for name, _ in names.most_common()
    )
    return list(dict.fromkeys(slug for slug in slugs if slug))[:_MOST_DATASETS]


def _result(split: str, scores: Mapping[str, float], datasets: list[str]) -> dict[str, Any]:
    """A row of model-index."""
    return {
        "task": _TASK,
        "dataset": {
            "type": datasets[0] if datasets else "corpus",
            "name": f"{', '.join(datasets) or 'the corpus'} ({_SPLITS[split]} tunes)",
            "split": _SPLITS[split],
        },
        "metrics": [
            {"type": name, "value": round(value, 4), "name": name.replace("_", " ")}
            for name, value in scores.items()
        ],
    }

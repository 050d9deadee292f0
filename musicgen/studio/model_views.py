"""A tune in the eyes of a model: the surprise of each note, the attention of one; needs torch."""

from __future__ import annotations

from typing import Any

from musicgen.errors import ControlError, FieldError
from musicgen.music.tune import Tune
from musicgen.studio.jobs import Answer, job, model, one_tune

MOST_NOTES = 2_000
MOST_ATTENDING = 600  # notes, since every token looks at every earlier one
WITH_ATTENTION = "celtic-transformer"  # the model used if the composing model has no attention


def _given(request: dict[str, Any], most: int) -> Tune:
    """The tune of a request, if it is short enough."""
    tune = one_tune(request["abc"])
    if tune.n_notes > most:
        raise FieldError("abc", f"has {tune.n_notes} notes, more than {most}; send a part of it")
    return tune


def warm(data: bytes, *, checkpoint: str) -> bytes:
    """Load torch and the model."""
    from musicgen.evaluation.inspection import surprise as look

    look.measure(one_tune("X:1\nT:Warm\nM:6/8\nK:D\nABc def|]\n"), model(checkpoint))
    return data


@job
def surprise(request: dict[str, Any], checkpoint: str) -> Answer:
    """Bits of each note under the model, and the score in their colours."""
    from musicgen.evaluation.inspection import surprise as look

    tune = _given(request, MOST_NOTES)
    found = look.measure(tune, model(checkpoint))
    return {
        "notes": [{"place": p, "bits": round(bits, 4)} for p, bits in found.of_note.items()],
        "mean": round(found.bits_per_note, 4),
        "legend": [{"color": color, "meaning": meaning} for _, color, meaning in look.COLORS],
        "svg": look.score(found, tune).svg()[0],
    }


@job
def attention(request: dict[str, Any], checkpoint: str) -> Answer:
    """The shares that a head gives from one note to the earlier ones, and arcs on the score."""
    from musicgen.evaluation.inspection import attention as look

    tune = _given(request, MOST_ATTENDING)
    has_attention = model(checkpoint).model.kind == "transformer"
    name = checkpoint if has_attention else WITH_ATTENTION
    found = look.measure(tune, model(name))
    layers, heads = found.weights.shape[:2]
    furthest = look.furthest_head(found)
    layer, head = request.get("layer", furthest[0]), request.get("head", furthest[1])
    for field, value, most in (("layer", layer, layers), ("head", head, heads)):
        if value > most:
            raise FieldError(field, f"{value} is not from 1 to {most}")
    places, shares = found.among_notes(layer - 1, head - 1)
    place = tuple(request["place"])
    if place not in places:
        raise FieldError("place", f"{list(place)}: the tune has no such note or rest")
    note = places.index(place)
    try:
        svg = look.score(found, tune, layer, head, note + 1).svg()[0]
    except ControlError as error:
        raise FieldError("place", str(error)) from None
    return {
        "model": name,
        "layers": layers,
        "heads": heads,
        "layer": layer,
        "head": head,
        "weights": [
            {"place": places[i], "weight": round(float(shares[note, i]), 5)} for i in range(note)
        ],
        "svg": svg,
    }

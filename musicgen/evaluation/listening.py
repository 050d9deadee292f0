"""A page for blind listening: real and new tunes mixed, a verdict for each, a result at the end.

People are the last judge. The tunes have no titles, the same tempo for a type, the same instrument,
and an order that the seed decides; the page says which were new once every tune has a verdict.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from html import escape

import numpy as np

from musicgen.composer.controls.values import usual_tempo
from musicgen.errors import ConfigError
from musicgen.formats.webpage import CARD_STYLE, SCRIPT, STYLE, PageEntry, card
from musicgen.music.tune import Tune

DEFAULT_TUNES = 20
_MASK = 0x5A  # so that nobody reads the answers by chance in the source of the page

_STYLE = """
form { display: grid; gap: 1.25rem; }
fieldset { border: 0; margin: .4rem 0 0; padding: 0; display: flex; flex-wrap: wrap;
  gap: .3rem 1.4rem; }
button { font: inherit; padding: .5rem 1.2rem; justify-self: start; }
#result { font-size: 1.1rem; } .wrong { color: var(--accent); }
"""
# The interval is that of Wilson, "Probable inference", 1927.
_JUDGE = """
const answers = %s.map((code, i) => (code ^ %d ^ i) %% 2);
const form = document.querySelector('form'), result = document.querySelector('#result');
form.addEventListener('submit', event => {
  event.preventDefault();
  let n = 0, right = 0, known = 0;
  answers.forEach((isNew, i) => {
    const verdict = form.elements['tune' + i].value;
    const shown = document.querySelector('#answer' + i);
    shown.textContent = isNew ? 'new' : 'real';
    if (verdict === 'known') { known++; return; }
    const correct = (verdict === 'new') === Boolean(isNew);
    shown.className = correct ? '' : 'wrong';
    n++;
    right += correct;
  });
  if (!n) { result.textContent = 'You knew all of them.'; return; }
  const z = 1.96, p = right / n, d = 1 + z * z / n, middle = (p + z * z / (2 * n)) / d;
  const half = z * Math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / d;
  const percent = x => Math.round(100 * Math.min(1, Math.max(0, x)));
  result.textContent = `You were right about ${right} of ${n} tunes: ${percent(p)} %% ` +
    `(95 %% interval ${percent(middle - half)} to ${percent(middle + half)} %%). ` +
    (known ? `You knew ${known}; they do not count. ` : '') +
    `You ${middle - half > 0.5 ? 'can' : 'cannot surely'} tell them apart; guessing gives 50 %%.`;
});
"""
_VERDICTS = {"real": "real", "new": "new", "known": "I know this tune"}


def listening_page(
    real: Sequence[Tune], new: Sequence[Tune], *, n: int = DEFAULT_TUNES, seed: int = 0
) -> str:
    """An HTML page of `n` tunes, half of them from each set, drawn and mixed by the seed.

    Raises:
        ConfigError: a set has fewer than half of `n` tunes, or `n` is odd.
    """
    half, odd = divmod(n, 2)
    if odd or min(len(real), len(new)) < half:
        raise ConfigError(
            f"{n} tunes to listen to: half of them are real and half new, and there are "
            f"{len(real)} and {len(new)}"
        )
    rng = np.random.default_rng([seed, 9])
    mixed = [
        (tunes[i], is_new)
        for is_new, tunes in enumerate((real, new))
        for i in rng.choice(len(tunes), half, replace=False).tolist()
    ]
    order = rng.permutation(n).tolist()
    items = "\n".join(_item(place, mixed[i][0]) for place, i in enumerate(order))
    noise = rng.integers(0, 64, n).tolist()
    codes = [2 * noise[k] | mixed[i][1] for k, i in enumerate(order)]
    hidden = json.dumps([(code ^ _MASK ^ k) for k, code in enumerate(codes)])
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<title>Real or new?</title>\n"
        f"<style>{STYLE}{CARD_STYLE}{_STYLE}</style>\n</head>\n<body>\n"
        f"<header><h1>Real or new?</h1><p>Of these {n} tunes half are from real collections and "
        "half were composed by a model. Listen, and decide for each.</p></header>\n"
        f"<main><form>\n{items}\n<button>Result</button><p id='result' role='status'></p></form>"
        f"</main>\n<script>{SCRIPT}{_JUDGE % (hidden, _MASK)}</script>\n</body>\n</html>\n"
    )


def _item(place: int, tune: Tune) -> str:
    """A tune without anything that names it, and its verdict."""
    name = f"Tune {place + 1}"
    tempo = usual_tempo(tune.rhythm, tune.meter)
    bare = Tune(
        title=name,
        number=place + 1,
        rhythm=tune.rhythm,
        meter=tune.meter,
        unit=tune.unit,
        key=tune.key,
        tempo=tempo,
        voices=tuple(replace(voice, name="", program=None) for voice in tune.voices),
    )
    choices = "".join(
        f'<label><input type="radio" name="tune{place}" value="{value}" required> '
        f"{escape(text)}</label>"
        for value, text in _VERDICTS.items()
    )
    return (
        f'<div>{card(PageEntry(bare, {}))}<fieldset aria-label="{name}">{choices}'
        f'<strong id="answer{place}"></strong></fieldset></div>'
    )

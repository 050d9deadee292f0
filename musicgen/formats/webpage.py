"""Tunes as HTML with scores and recordings inside: pages for a browser, cells of a notebook."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from musicgen.errors import MusicgenError
from musicgen.music.tune import Tune, require_tune

MAX_SHOWN = 12  # tunes in a notebook
STYLE = """
:root { color-scheme: light dark; --ground: #f6f4ef; --card: #fff; --ink: #222; --soft: #6d6a63;
  --line: #dcd8ce; --accent: #9c4a2f; }
@media (prefers-color-scheme: dark) { :root { --ground: #1d1c1a; --ink: #eee; --soft: #a9a59b;
  --line: #3a3833; --accent: #e08a63; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.45 system-ui, sans-serif; }
header { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem .5rem; }
h1 { margin: 0 0 .25rem; font: 600 1.7rem/1.2 Georgia, 'Times New Roman', serif; }
header p { margin: 0 0 1rem; color: var(--soft); }
input[type=search] { width: 100%; padding: .55rem .8rem; font: inherit; color: inherit;
  background: transparent; border: 1px solid var(--line); border-radius: .5rem; }
main { max-width: 60rem; margin: 0 auto; padding: 1rem; display: grid; gap: 1.25rem; }
"""
CARD_STYLE = """
.tune { background: #fff; color: #222; border: 1px solid #dcd8ce; border-radius: .6rem;
  overflow: hidden; max-width: 60rem; }
.tune svg { display: block; width: 100%; height: auto; }
.tune .bar { display: flex; flex-wrap: wrap; gap: .6rem 1.1rem; align-items: center;
  padding: .55rem 1rem; border-top: 1px solid #eceae4; background: #faf9f6;
  font: 14px/1.4 system-ui, sans-serif; color: #55524c; }
.tune audio { flex: 1 1 16rem; height: 2.2rem; }
.tune label { display: inline-flex; gap: .4rem; align-items: center; }
.tune a { color: #9c4a2f; }
.tune .problem { padding: 1rem; margin: 0; }
"""
SCRIPT = """
const players = [...document.querySelectorAll('.tune audio')];
for (const player of players) {
  const card = player.closest('.tune');
  const speed = card.querySelector('.speed'), shown = card.querySelector('output');
  speed.addEventListener('input', () => {
    player.preservesPitch = true;
    player.playbackRate = speed.value / 100;
    shown.value = speed.value + ' %';
  });
  card.querySelector('.again').addEventListener('change', e => { player.loop = e.target.checked; });
  player.addEventListener('play', () => {
    for (const other of players) if (other !== player) other.pause();
  });
}
const search = document.querySelector('input[type=search]');
if (search) search.addEventListener('input', () => {
  const wanted = search.value.toLowerCase();
  for (const card of document.querySelectorAll('.tune'))
    card.hidden = !card.dataset.words.includes(wanted);
});
"""
_PLAYER = (
    '<audio controls preload="metadata" src="{source}"></audio>'
    '<label>Speed <input class="speed" type="range" min="40" max="120" value="100" step="5">'
    '<output>100 %</output></label><label><input class="again" type="checkbox"> repeat</label>'
)


@dataclass(frozen=True)
class PageEntry:
    """A tune for a page, with the links to show: text -> address."""

    tune: Tune
    links: Mapping[str, str]


def render(tunes: Sequence[Tune], *, title: str = "Tunes") -> bytes:
    """A page of these tunes, without links."""
    return page([PageEntry(tune, {}) for tune in tunes], title=title).encode()


def page(entries: Sequence[PageEntry], *, title: str) -> str:
    """A whole HTML document; scores and recordings are inside it."""
    count = "1 tune" if len(entries) == 1 else f"{len(entries)} tunes"
    search = '<input type="search" placeholder="Search">' if len(entries) > 3 else ""
    cards = "\n".join(card(entry) for entry in entries)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}{CARD_STYLE}</style>\n</head>\n<body>\n"
        f"<header><h1>{escape(title)}</h1><p>{count}</p>{search}</header>\n"
        f"<main>\n{cards}\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def fragment(tunes: Sequence[Tune]) -> str:
    """Cards for a notebook: a piece of HTML with its own style and script."""
    cards = "".join(card(PageEntry(tune, {})) for tune in tunes)
    return f"<style>{CARD_STYLE}</style><div>{cards}</div><script>{{{SCRIPT}}}</script>"


def card(entry: PageEntry) -> str:
    """The score of a tune, its player and its links; where one of them fails, the reason."""
    tune = entry.tune
    words = " ".join((tune.title, tune.rhythm, tune.composer, str(tune.key), str(tune.meter)))
    links = "".join(
        f'<a href="{escape(address)}" download>{escape(name)}</a>'
        for name, address in entry.links.items()
    )
    return (
        f'<article class="tune" data-words="{escape(words.lower())}">{score(tune)}'
        f'<div class="bar">{player(tune)}<span>{escape(str(tune.key))}, {escape(str(tune.meter))}'
        f"</span>{links}</div></article>"
    )


def score(tune: Tune) -> str:
    """An SVG element, as wide as its parent."""
    from musicgen.formats.engraving.writing import render_svg

    try:
        return render_svg([tune]).decode()
    except MusicgenError as error:
        return f'<p class="problem">{escape(str(error))}</p>'


def player(tune: Tune) -> str:
    """An audio element with the recording inside it."""
    from musicgen.formats.audio.recorder import render_mp3

    try:
        sound = render_mp3([tune])
    except MusicgenError as error:
        return f"<span>{escape(str(error))}</span>"
    return _PLAYER.format(source="data:audio/mpeg;base64," + base64.b64encode(sound).decode())


@dataclass(frozen=True)
class Gallery:
    """The result of `show`, which a notebook displays as cards."""

    tunes: tuple[Tune, ...]

    def _repr_html_(self) -> str:
        more = len(self.tunes) - MAX_SHOWN
        return fragment(self.tunes[:MAX_SHOWN]) + (f"<p>and {more} more</p>" if more > 0 else "")

    def __repr__(self) -> str:
        return "\n".join(tune.title or "Untitled" for tune in self.tunes)


def show(tunes: Tune | Iterable[Tune]) -> Gallery:
    """A gallery of scores and players; the first `MAX_SHOWN` tunes of a long list."""
    return Gallery((tunes,) if isinstance(tunes, Tune) else tuple(map(require_tune, tunes)))


def mimebundle(tune: Tune) -> dict[str, str]:
    """HTML and plain text of one tune, for a notebook."""
    return {"text/html": fragment([tune]), "text/plain": repr(tune)}

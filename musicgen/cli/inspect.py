"""The commands that look into a network: gradients, attention, embeddings, surprise, memory."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from musicgen.cli import options
from musicgen.cli.command import LOOK, app, command
from musicgen.cli.messages import say
from musicgen.cli.options import load_model
from musicgen.cli.output import print_table, read_tune
from musicgen.cli.progress import available_cores
from musicgen.cli.results import all_of, require_free, require_output
from musicgen.errors import ControlError, CorpusError, TrainingError
from musicgen.system.charts import require_chart
from musicgen.system.files import write_bytes

if TYPE_CHECKING:
    from musicgen.corpus.tokenset import TokenSet
    from musicgen.formats.engraving.annotation import AnnotatedScore
    from musicgen.models.checkpoint import Checkpoint
    from musicgen.music.tune import Tune

inspect = typer.Typer(
    help="Look into a network: a picture, and its numbers as CSV beside it.",
    no_args_is_help=True,
)
app.add_typer(inspect, name="inspect", rich_help_panel=LOOK)

_TEXTS = (".abc", ".txt")  # music that a model of text reads as it is
_SHIPPED = ("celtic-rnn", "celtic", "celtic-transformer")  # of melodies

Transformer = Annotated[
    str, typer.Option("--checkpoint", "-c", help="A transformer: a run folder or a shipped model.")
]
Music = Annotated[
    Path,
    typer.Argument(
        help="Music of the model's kind: ABC, MIDI or another score; for a model of text, any text."
    ),
]
Corpus = Annotated[
    list[str] | None,
    typer.Option(
        "--corpus",
        help="Held-out tunes or texts of it are used (default: that of a run, else celtic); "
        "repeatable.",
    ),
]


def _picture(default: str) -> Any:
    """The option that names the picture."""
    return typer.Option(
        "--output", "-o", help=f"The picture (default: {default}).", rich_help_panel="Output"
    )


@command(of=inspect)
def gradients(
    file: Annotated[
        Path | None,
        typer.Argument(help="Music or text that the models read (default: a held-out one)."),
    ] = None,
    *,
    checkpoints: Annotated[
        list[str] | None,
        typer.Option(
            "--checkpoint", "-c", help="A trained model; repeat it (default: shipped ones)."
        ),
    ] = None,
    tune: options.Tune = 1,
    corpus: Corpus = None,
    output: Annotated[Path, _picture("gradients.png")] = Path("gradients.png"),
    seed: Annotated[int, typer.Option(min=0, help="Of the random weights.")] = 0,
    force: options.Force = False,
) -> None:
    """How far back the gradient of a loss reaches: vanishing, exploding, and the remedies."""
    _claim(output, force=force)
    import torch

    from musicgen.evaluation.inspection import gradients as look

    models = {name: load_model(name) for name in checkpoints or _SHIPPED}
    if file is not None:
        music = {name: _given(file, tune, model) for name, model in models.items()}
    elif checkpoints or corpus:
        music = {name: _longest(_held_out(name, m, corpus), m) for name, m in models.items()}
    else:
        long = next(tune for tune, tokens in _melodies() if len(tokens) > max(look.LAGS) + 50)
        music = dict.fromkeys(models, long)
    trained = [look.measure_trained(model, music[name]) for name, model in models.items()]
    if checkpoints:
        names = zip(trained, checkpoints, strict=True)
        trained = [replace(reach, name=name) for reach, name in names]
    ids, n_tokens = _music(8, max(look.LAGS) + 2)
    reaches = look.measure(torch.from_numpy(ids), n_tokens, seed=seed)
    everything = [*reaches, *trained]
    print_table(
        ("network", "10 steps back", "100", "500", "500, clipped"),
        [
            (
                r.name,
                *(f"{r.by_lag[lag]:.1e}" if lag in r.by_lag else "" for lag in (10, 100, 500)),
                f"{r.clipped[500]:.1e}" if r.clipped else "",
            )
            for r in everything
        ],
    )
    columns = ("network", "gradient", "steps", "norm")
    _write(output, partial(look.draw, reaches, trained, output), columns, look.rows(everything))


@command(of=inspect)
def attention(
    file: Music,
    *,
    checkpoint: Transformer = "celtic-transformer",
    tune: options.Tune = 1,
    layer: Annotated[int | None, typer.Option(help="Layer drawn on the score, from 1.")] = None,
    head: Annotated[int | None, typer.Option(help="Head drawn on the score, from 1.")] = None,
    note: Annotated[int | None, typer.Option(help="Only from this note, counted from 1.")] = None,
    every: Annotated[
        bool, typer.Option("--every", help="A score for each layer and head, not for one.")
    ] = False,
    output: Annotated[Path, _picture("attention.png")] = Path("attention.png"),
    force: options.Force = False,
) -> None:
    """Which earlier notes each note attends to: heat maps, and arcs over the score."""
    from musicgen.evaluation.inspection import attention as look
    from musicgen.tokens.melody.encoding import NAME

    _claim(output, force=force)
    model = load_model(checkpoint)
    if every and (layer or head):
        raise ControlError("--every draws all layers and heads; leave --layer and --head out")
    on_score = output.with_suffix(".score" + output.suffix)
    has_score = model.tokenizer == NAME
    if not has_score and (every or layer or head or note):
        raise ControlError(
            f"--every, --layer, --head and --note choose arcs on a score, and a model of "
            f"'{model.tokenizer}' tokens has none; the picture shows all layers and heads"
        )
    if has_score:
        require_output(on_score, force=force)
    given = _given(file, tune, model)
    seen = look.measure(given, model)
    names = ("layer", "head", seen.view.item, f"earlier_{seen.view.item}", "share")
    if isinstance(given, str) or not has_score:
        _write(output, partial(look.draw, seen, output), names, look.rows(seen))
        return
    if every:
        scores = {
            output.with_suffix(f".score.{pair[0]}.{pair[1]}{output.suffix}"): pair
            for pair in look.heads(seen)
        }
    else:
        telling = look.furthest_head(seen)
        scores = {on_score: (layer or telling[0], head or telling[1])}
    drawn = {path: look.score(seen, given, *pair, note) for path, pair in scores.items()}
    for path in drawn:
        require_free(path, force=force)
    with all_of() as attempt:
        for path, score in drawn.items():
            attempt(partial(_write_score, score, path))
        draw = partial(look.draw, seen, output)
        attempt(partial(_write, output, draw, names, look.rows(seen)))
    if not every:
        ((at_layer, at_head),) = scores.values()
        say(f"arcs of layer {at_layer}, head {at_head}; --layer, --head, --note and --every choose")


@command(of=inspect)
def embeddings(
    *,
    checkpoint: options.Model = "celtic",
    tokens: Annotated[
        list[str] | None,
        typer.Option("--token", help="List the nearest tokens of this one alone; repeatable."),
    ] = None,
    output: Annotated[Path, _picture("embeddings.png")] = Path("embeddings.png"),
    force: options.Force = False,
) -> None:
    """The embeddings of tokens: maps, neighbours, the circle of fifths."""
    _claim(output, force=force)
    from musicgen.evaluation.inspection import embeddings as look

    model = load_model(checkpoint)
    ends = {end: look.measure(model, end=end) for end in look.ENDS}
    neighbours = look.nearest(ends, tokens or ())
    asked = {end: look.questions(groups) for end, groups in ends.items()}
    print_table(
        ("table", "do near tokens have near", "rank correlation", "p"),
        [
            (end, f"{q.group}: {q.what}", f"{q.correlation:+.2f}", f"{q.p:.4f}")
            for end, answers in asked.items()
            for q in answers
        ],
    )
    print_table(("token", *(f"nearest by the {end} (cosine)" for end in ends)), neighbours)
    say("one-hot vectors are all equally far apart: correlation 0 for each question")
    names = ("end", "group", "token", "x", "y", "nearest")
    _write(output, partial(look.draw, ends, asked, output), names, look.rows(ends))


@command(of=inspect)
def surprise(
    file: Music,
    *,
    checkpoint: options.Model = "celtic",
    tune: options.Tune = 1,
    output: Annotated[Path, _picture("surprise.png")] = Path("surprise.png"),
    force: options.Force = False,
) -> None:
    """Bits of each note on the score, or of each token of a text: how unexpected each is."""
    _claim(output, force=force)
    from musicgen.evaluation.inspection import surprise as look

    model = load_model(checkpoint)
    given = _given(file, tune, model)
    result = look.measure(given, model)
    view = result.view
    if isinstance(given, str) or view.tune is None:
        draw = partial(look.draw_text, result, output)
        names = (view.item, "line", "column", "bits")
    else:
        draw = partial(_write_score, look.score(result, given), output)
        names = ("token", "bar", "note", "bits")
    bars = ", bar lines included" if view.tune is not None else ""
    say(f"{result.bits_per_note:.3f} bits per {view.unit}{bars}")
    if isinstance(given, str) and view.unit != "character":
        say(f"{sum(result.bits) / len(given):.3f} bits per character")
    if view.is_normalized:
        say("read as canonical ABC without X: and T:, as the model learned tunes")
    if view.unknown:
        say(f"unknown, their spelling not counted: {', '.join(map(repr, view.unknown))}")
    _write(output, draw, names, look.rows(result))


@command(of=inspect)
def memory(
    *,
    checkpoints: Annotated[
        list[str] | None,
        typer.Option("--checkpoint", "-c", help="A model; repeat it (default: all shipped)."),
    ] = None,
    corpus: Corpus = None,
    tokens: Annotated[
        Path | None, typer.Option("--tokens", help="Prepared token files instead of a corpus.")
    ] = None,
    places: Annotated[int, typer.Option(min=10, help="Number of tokens to predict.")] = 200,
    output: Annotated[Path, _picture("memory.png")] = Path("memory.png"),
    force: options.Force = False,
) -> None:
    """How bits per note (or other unit) fall with the length of context that a network may use."""
    _claim(output, force=force)
    from musicgen.corpus.tokenset import TokenSet
    from musicgen.evaluation.inspection import memory as look
    from musicgen.models.checkpoint import shipped
    from musicgen.tokens.melody.encoding import NAME

    models = {name: load_model(name) for name in checkpoints or shipped()}
    if not checkpoints:  # of the shipped ones, those that write melodies
        models = {name: model for name, model in models.items() if model.tokenizer == NAME}
    given = None if tokens is None else TokenSet.load(tokens)
    memories = [
        look.measure(name, model, given or _held_out(name, model, corpus), n_places=places)
        for name, model in models.items()
    ]
    units = " or ".join(dict.fromkeys(m.unit for m in memories))
    print_table(
        (f"bits per {units}, by tokens of context", *(str(n) for n in look.CONTEXTS)),
        [(m.name, *(f"{bits:.2f}" for bits in m.bits_per_note.values())) for m in memories],
    )
    names = ("network", "context", f"bits_per_{units}", "standard_error")
    _write(output, partial(look.draw, memories, output), names, look.rows(memories))


@cache
def _prepared(sources: tuple[str, ...], tokenizer: str, vocab: tuple[str, ...]) -> TokenSet:
    """The tokens of a corpus in the vocabulary of a model."""
    from musicgen.corpus.preparation import prepare
    from musicgen.tokens.vocabulary import Vocabulary

    vocabulary, workers = Vocabulary(vocab), available_cores()
    return prepare(sources, tokenizer=tokenizer, vocabulary=vocabulary, workers=workers).tokens


def _held_out(name: str, model: Checkpoint, corpus: Sequence[str] | None) -> TokenSet:
    """The tokens of a corpus as a model reads them: given, or that of its run, or celtic."""
    from musicgen.corpus.tokenset import TokenSet
    from musicgen.training import RunFolder

    if corpus is None:
        with suppress(TrainingError):  # a model without its run
            _, origin = RunFolder(Path(name)).settings()
            if origin.get("tokens"):
                return TokenSet.load(origin["tokens"])
            corpus = origin.get("corpus")
    return _prepared(tuple(corpus or ["celtic"]), model.tokenizer, model.vocab)


def _longest(tokens: TokenSet, model: Checkpoint) -> Tune | str:
    """The longest validation tune without an unknown token, or the longest text."""
    from musicgen.corpus.tokenset import UNK_ID
    from musicgen.tokens.languages import LANGUAGES
    from musicgen.tokens.vocabulary import Vocabulary

    language, split = LANGUAGES[model.tokenizer], tokens.splits["val"]
    tunes = sorted((split.tune(i)[0] for i in range(len(split))), key=len, reverse=True)
    known = [ids for ids in tunes if language.text or UNK_ID not in ids]
    if not known:
        raise CorpusError("the corpus has no such tune to validate with; name a FILE")
    texts = Vocabulary(tokens.vocab).decode(known[0].tolist())
    music = language.text.decode(texts) if language.text else language.decode(texts)
    assert music is not None
    return music


def _music(n_rows: int, length: int) -> tuple[Any, int]:
    """Real music as ids (n_rows, length), tunes end to end, and the size of their vocabulary."""
    import numpy as np

    from musicgen.tokens.vocabulary import BOS, Vocabulary

    tokens: list[str] = []
    for _, encoded in _melodies():
        tokens += [BOS, *encoded]
        if len(tokens) >= n_rows * length:
            break
    else:
        raise CorpusError("the bundled collections hold too little music; reinstall music21")
    vocabulary = Vocabulary.build([tokens])
    ids = np.array(vocabulary.encode(tokens[: n_rows * length]), np.int64)
    return ids.reshape(n_rows, length), len(vocabulary)


def _melodies() -> Iterator[tuple[Tune, list[str]]]:
    """The tunes of a bundled collection, each with its tokens."""
    from musicgen import formats
    from musicgen.corpus.sources import find_files
    from musicgen.errors import InvalidTuneError
    from musicgen.music.tune import Rejected
    from musicgen.tokens.melody.encoding import encode, melody

    for file in find_files(["ryansMammoth"]):
        for tune in formats.scan_each(file.path):
            if isinstance(tune, Rejected):
                continue
            try:
                yield tune, encode(melody(tune).tune)
            except InvalidTuneError:
                continue


def _given(file: Path, number: int, model: Checkpoint) -> Tune | str:
    """The input of a model: a tune of a file, or for a model of text a document, or the tune of a
    file that is music and no text."""
    from musicgen import formats
    from musicgen.corpus.texts import documents, read_text
    from musicgen.tokens.languages import LANGUAGES, text_code

    is_text = not formats.readable(file, tables=False) or file.suffix.lower() in _TEXTS
    if text_code(model.tokenizer) is None or not is_text:
        language = LANGUAGES.get(model.tokenizer)
        return read_tune(file, number, all_voices=language is not None and language.all_voices)
    texts = [text for _, text in documents(read_text(file))]
    if not 1 <= number <= len(texts):
        raise ControlError(f"{file}: has no text {number}; it holds {len(texts)}")
    if len(texts) > 1:
        say(f"{file}: text {number} of {len(texts)}; --tune chooses another")
    return texts[number - 1]


def _claim(picture: Path, *, force: bool) -> None:
    """See that all files can be written, before any work."""
    require_chart(picture)
    for path in (picture, picture.with_suffix(".csv")):
        require_output(path, force=force)


def _write_score(score: AnnotatedScore, path: Path) -> None:
    write_bytes(path, score.render(path.suffix.lower()))


def _write(
    picture: Path,
    draw: Callable[[], object],
    names: Sequence[str],
    rows: Iterable[Sequence[object]],
) -> None:
    """A picture, and a CSV file beside it; one of them if the other cannot be written."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    path = picture.with_suffix(".csv")
    with all_of() as attempt:
        attempt(draw)
        attempt(partial(write_bytes, path, text.getvalue().encode()))
    say(f"wrote {picture}, {path}")

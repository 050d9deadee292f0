"""How fast tunes are sampled, part by part, beside other ways to step the same networks.

    python scripts/benchmarks/sampling.py [--tunes 10000] [--rounds 3] [--only TABLE ...]

Prints Markdown tables: tokens per CPU-second of networks of the same shape, ours beside
torch.nn.LSTM and Hugging Face `generate` (pip install transformers), all drawing every token, on
one thread, interleaved, best of the rounds; where the time of the shipped model goes; tunes per
minute on all cores; a live step; a cold start; bits per note of the shipped model on the held-out
tunes of `celtic`, in numpy and in torch.
"""

from __future__ import annotations

import importlib.util
import platform
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import nn

import musicgen
from musicgen.cli.progress import available_cores
from musicgen.composer import FIRST, Composer, Selection
from musicgen.composer.controls import Controls
from musicgen.composer.sampling import SamplingConfig, loop, sample
from musicgen.composer.sampling.filters import log_softmax
from musicgen.composer.sampling.live import Live
from musicgen.corpus.tokenset import BOS_ID, EOS_ID, TokenSet
from musicgen.models import ModelConfig, build_model, weights_of
from musicgen.models import checkpoint as checkpoints
from musicgen.models.inference import ArrayStepper
from musicgen.models.inference.torch_stepper import TorchStepper
from musicgen.tokens.lookback.match import MatchTracker
from musicgen.tokens.melody.automaton import GrammarConstraint

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.measuring import Timer

VOCAB = 130
TABLES = ("steps", "live", "cold", "likelihood", "tunes", "parts")
BATCHES = (1, 16, 64)
SHAPES = {
    "lstm 3x512": ModelConfig(kind="lstm", vocab_size=VOCAB, d_model=512, n_layers=3),
    "lstm 1x384": ModelConfig(kind="lstm", vocab_size=VOCAB, d_model=384, n_layers=1),
    "rnn 3x512": ModelConfig(kind="rnn", vocab_size=VOCAB, d_model=512, n_layers=3),
    "transformer 4x192": ModelConfig(
        kind="transformer", vocab_size=VOCAB, d_model=192, n_layers=4, n_heads=4
    ),
}
# Tokens of a row by batch: enough to time, little enough to be patient.
LENGTHS = {1: 192, 16: 96, 64: 64}


# --- ways to step ---------------------------------------------------------------------------


def endless(config: ModelConfig) -> nn.Module:
    """A random network that never draws the end."""
    torch.manual_seed(0)
    network = build_model(config).eval()
    with torch.no_grad():
        network.readout.output.bias[EOS_ID] = -1e4
    return network


def ours(config: ModelConfig) -> Callable[[int, int], None]:
    """Our sampler with the numpy stepper."""
    return sampler(ArrayStepper(config, weights_of(endless(config))))


def ours_in_torch(config: ModelConfig) -> Callable[[int, int], None]:
    """Our sampler with the torch network, as on a GPU."""
    return sampler(TorchStepper(endless(config)))


def sampler(stepper: ArrayStepper | TorchStepper) -> Callable[[int, int], None]:
    """A run of `batch` rows of `length` tokens."""

    def run(batch: int, length: int) -> None:
        sample(stepper, [[BOS_ID]] * batch, None, SamplingConfig(max_tokens=length))

    return run


def torch_lstm(config: ModelConfig) -> Callable[[int, int], None]:
    """torch.nn.LSTM, a token at a time."""
    embedding = nn.Embedding(VOCAB, config.d_model)
    lstm = nn.LSTM(config.d_model, config.d_model, config.n_layers, batch_first=True)
    output = nn.Linear(config.d_model, VOCAB)

    @torch.inference_mode()
    def run(batch: int, length: int) -> None:
        ids, state = torch.full((batch, 1), BOS_ID), None
        for _ in range(length):
            hidden, state = lstm(embedding(ids), state)
            ids = torch.multinomial(output(hidden[:, 0]).softmax(1), 1)

    return run


def hugging_face(config: ModelConfig) -> Callable[[int, int], None]:
    """transformers' LLaMA of the same shape, with its cache."""
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = LlamaConfig(
        vocab_size=VOCAB, hidden_size=config.d_model, num_hidden_layers=config.n_layers,
        num_attention_heads=config.n_heads, intermediate_size=512, max_position_embeddings=2048,
        bos_token_id=BOS_ID, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    network = LlamaForCausalLM(shape).eval()

    def run(batch: int, length: int) -> None:
        ids = torch.full((batch, 1), BOS_ID)
        network.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=True, max_new_tokens=length
        )

    return run


def recomputing(config: ModelConfig) -> Callable[[int, int], None]:
    """Our torch network without a carried state: all tokens again at every step."""
    network = endless(config)

    @torch.inference_mode()
    def run(batch: int, length: int) -> None:
        ids = torch.full((batch, 1), BOS_ID)
        for _ in range(length):
            logits, _ = network(ids)
            ids = torch.cat([ids, torch.multinomial(logits[:, -1].softmax(1), 1)], dim=1)

    return run


# --- tables ---------------------------------------------------------------------------------


def steps_table(rounds: int) -> None:
    """Tokens per CPU-second of every way and shape."""
    print("\n| network | stepped by | batch 1 | batch 16 | batch 64 | ours at batch 1, times |")
    print("|---|---|---:|---:|---:|---:|")
    for name, config in SHAPES.items():
        ways = {"ours": ours(config), "our torch network": ours_in_torch(config)}
        if config.kind == "lstm":
            ways["torch.nn.LSTM"] = torch_lstm(config)
        if config.kind == "transformer":
            if importlib.util.find_spec("transformers"):
                ways["Hugging Face generate"] = hugging_face(config)
            ways["recomputing"] = recomputing(config)
        speeds = {way: [0.0] * len(BATCHES) for way in ways}
        for _ in range(rounds):
            for column, batch in enumerate(BATCHES):
                for way, run in ways.items():  # interleaved: all meet the same noise
                    run(batch, 4)
                    length = LENGTHS[batch]
                    begin = time.process_time()
                    run(batch, length)
                    speed = batch * length / (time.process_time() - begin)
                    speeds[way][column] = max(speeds[way][column], speed)
        for way, row in speeds.items():
            figures = " | ".join(f"{speed:,.0f}" for speed in row)
            print(f"| {name} | {way} | {figures} | {speeds['ours'][0] / row[0]:.1f} |", flush=True)


class Stopwatch:
    """CPU-seconds by part, by wrapping functions where they are."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def wrap(self, owner: object, name: str, part: str) -> None:
        """Count the time of `owner.name` as `part`."""
        inner = getattr(owner, name)

        def timed(*args: object, **options: object) -> object:
            begin = time.process_time()
            try:
                return inner(*args, **options)
            finally:
                self.seconds[part] += time.process_time() - begin

        setattr(owner, name, timed)


def parts_table(n: int) -> None:
    """Where the time of the shipped model goes, grammar tables new and met before."""
    watch = Stopwatch()
    composer = musicgen.load()
    watch.wrap(composer.engine.stepper.network, "step", "network")
    for name in ("advance", "mask", "features", "keep"):
        watch.wrap(GrammarConstraint, name, "grammar")
    for name in ("advance", "keep"):
        watch.wrap(MatchTracker, name, "matching")
    watch.wrap(loop, "draw_tokens", "drawing")
    watch.wrap(loop.RandomDraws, "next", "drawing")
    parts = ("network", "grammar", "matching", "drawing")
    print(f"\n| {n} tunes of the shipped model | CPU-s | {' | '.join(parts)} | rest |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for label in ("grammar tables empty", "grammar tables filled"):
        watch.seconds.clear()
        begin = time.process_time()
        for _ in composer.takes(n, Controls(), SamplingConfig(seed=1), FIRST):
            pass
        total = time.process_time() - begin
        shares = [watch.seconds[part] / total for part in parts]
        cells = " | ".join(f"{share:.0%}" for share in [*shares, 1 - sum(shares)])
        print(f"| {label} | {total:.1f} | {cells} |", flush=True)


def live_line() -> None:
    """Milliseconds a live note takes."""
    composer = musicgen.load()
    engine = composer.engine
    header, _ = engine.openings[0]
    tokens, notes, begin = 0, 0, time.process_time()
    for index in range(8):
        constraint = GrammarConstraint(engine.automaton, 1)
        live = Live(engine.stepper, constraint, SamplingConfig(seed=2), index=index)
        for token in (BOS_ID, *engine.vocabulary.encode(header)):
            live.read(token)
        token = BOS_ID
        while token != EOS_ID:
            token = live.draw()
            notes += bool(engine.automaton.is_pitch[token])
        tokens += live.n_steps
    ms = 1000 * (time.process_time() - begin)
    print(f"\nlive step: {ms / tokens:.2f} CPU-ms a token, {ms / notes:.2f} a note", flush=True)


_START = """
import time
marks = [("interpreter", time.process_time())]
def mark(name): marks.append((name, time.process_time()))
import numpy; mark("import numpy")
import musicgen; mark("import musicgen")
from musicgen import composer; from musicgen.models import checkpoint; mark("import the composer")
loaded = checkpoint.load(checkpoint.locate("celtic")); mark("read and check the model")
composer = composer.Composer(loaded); mark("make its tables")
tune = composer.generate(seed=1); mark("first tune")
last = 0.0
for name, at in marks:
    print(f"| {name} | {at - last:.2f} |"); last = at
print(f"| together | {last:.2f} |")
"""


def cold_table() -> None:
    """CPU-seconds from nothing to the first tune, and the whole command."""
    print("\n| cold start | CPU-s |\n|---|---:|")
    subprocess.run([sys.executable, "-c", _START], check=True)
    for label, command in (
        ("`musicgen generate`, everything", ["-m", "musicgen", "generate", "--seed", "1"]),
        ("`import torch`, which is not needed", ["-c", "import torch"]),
    ):
        with Timer() as timer:
            subprocess.run([sys.executable, *command], check=True, capture_output=True)
        print(f"| {label} | {timer.cpu_s:.2f} ({timer.wall_s:.1f} s by the clock) |", flush=True)


def tunes_lines(n: int) -> None:
    """Tunes per minute with the shipped model on all cores, as they come and chosen by its
    critic."""
    for label, selection in (("as they come", FIRST), ("the best of four", Selection())):
        _tunes_line(n, label, selection)


def _tunes_line(n: int, label: str, selection: Selection) -> None:
    composer: Composer = musicgen.load()
    workers = available_cores()
    with Timer() as timer:
        takes = composer.takes(n, Controls(), SamplingConfig(), selection, workers=workers)
        done = sum(1 for _ in takes)
    print(
        f"\n{done:,} tunes, {label}, by {workers} workers: {timer.wall_s:.0f} s by the clock, "
        f"{timer.cpu_s:.0f} CPU-seconds ({60 * done / timer.cpu_s:,.0f} tunes per CPU-minute)",
        flush=True,
    )


# --- likelihood -----------------------------------------------------------------------------


def likelihood_line() -> None:
    """Bits per note of the shipped model on held-out tunes, in numpy and in torch."""
    from musicgen.corpus.preparation import prepare
    from musicgen.models.scoring import score_tunes

    tokens: TokenSet = prepare(["celtic"]).tokens
    model = checkpoints.load(checkpoints.locate("celtic"))
    split = tokens.splits["test"]
    exact = np.array(score_tunes(model.network, split))
    found = np.array([score(ArrayStepper(model.model, model.weights), split)]).ravel()
    notes = float(split.notes.sum())
    differences = found - exact
    error = differences.std() * len(differences) ** 0.5 / notes
    print(
        f"\nbits per note on {len(exact)} held-out tunes: torch {exact.sum() / notes:.5f}, "
        f"numpy {found.sum() / notes:.5f}, difference {differences.sum() / notes:+.5f} "
        f"(standard error {error:.5f})"
    )


def score(stepper: ArrayStepper, split: object) -> np.ndarray:
    """Bits of every tune of a split, a batch of all of them at a time."""
    lengths = np.diff(split.offsets)
    order = np.argsort(-lengths, kind="stable")
    bits, rows = np.zeros(len(order)), stepper.begin(range(len(order)))
    for t in range(lengths.max() - 1):
        going = np.flatnonzero(lengths[order] > t + 1)
        rows.keep(going)
        order = order[going]
        at = split.offsets[order] + t
        logits = rows.read(split.ids[at].astype(int), split.features[at].astype(int))
        log_p = log_softmax(logits.astype(np.float64))
        bits[order] -= log_p[np.arange(len(order)), split.ids[at + 1]] / np.log(2)
    return bits


def main(
    *, tunes: int = 10_000, rounds: int = 3, only: Annotated[Sequence[str], TABLES] = TABLES
) -> None:
    """Measure and print."""
    tables: dict[str, Callable[[], None]] = {
        "steps": lambda: steps_table(rounds),
        "live": live_line,
        "cold": cold_table,
        "likelihood": likelihood_line,
        "tunes": lambda: tunes_lines(tunes),
        "parts": lambda: parts_table(1000),  # last: its stopwatch stays
    }
    torch.set_num_threads(1)
    print(f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {available_cores()} cores, ", end="")
    print(f"torch {torch.__version__}, numpy {np.__version__}")
    for name, table in tables.items():
        if name in only:
            table()


if __name__ == "__main__":
    command_line.run(main)

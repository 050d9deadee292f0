"""Speed of training and sampling on a GPU, and whether its losses are those of the CPU.

    musicgen prepare --corpus celtic --out tokens/celtic       # anywhere; carry the folder along
    python scripts/benchmarks/gpu.py tokens/celtic --out gpu.md
    pytest -m gpu

Networks train in bfloat16 with fused AdamW, clipping, flash attention and torch.compile, on packed
batches: the training tunes end to end, cut into rows of one length, all on the device. Attention
sees the tunes before in its row. Only token files are needed, no library of music and no Lightning.

MFU is the share of the device's peak: 6 operations a token for each weight of a matrix product, and
for attention 6 * layers * channels * length, as half of it is masked. The peak is the published one
of dense bfloat16, or where there is none the speed of a large matrix product measured here.

The plain LSTM is an embedding, torch's LSTM (cuDNN on a GPU) of the same shape, and an output, with
the same optimizer. Sampling is measured without a grammar: the network on all rows at once, and
musicgen's sampler, whose rows are the same in any batch. A goal in the last table that is missed is
no failure; losses that differ are, and the exit code is 1.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from musicgen.composer.sampling import SamplingConfig, sample
from musicgen.corpus.tokenset import BOS_ID, EOS_ID, TokenSet
from musicgen.models import ModelConfig, build_model
from musicgen.models.batches import Batch, BatchPlan, collate
from musicgen.models.cost import nats
from musicgen.models.flops import peak_flops, training_flops
from musicgen.models.inference.torch_stepper import TorchStepper
from musicgen.models.optimizers import build_optimizer
from musicgen.training.config import TrainConfig
from musicgen.training.presets import PRESETS

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

TOLERANCES = {"float32": 1e-4, "bfloat16": 2e-2}  # of a loss, relative to the CPU's in float32


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Sizes of a run: `rows` of `length` tokens a step, `seconds` for each speed, `same_steps` of
    which the losses are compared, `batch` of rows and `drawn` tokens of sampling."""

    networks: dict[str, ModelConfig]
    rows: int = 128
    length: int = 1024
    seconds: float = 12.0
    warm_steps: int = 5
    same_steps: int = 30
    batch: int = 4096
    drawn: int = 64


def transformer(d_model: int, n_layers: int, n_heads: int) -> ModelConfig:
    """A transformer without dropout."""
    return ModelConfig(
        kind="transformer", d_model=d_model, n_layers=n_layers, n_heads=n_heads,
        dropout=0.0, embedding_dropout=0.0,
    )  # fmt: skip


FULL = Scale(
    networks={
        "preset lstm": PRESETS["lstm"].model,
        "transformer, 10M": transformer(384, 6, 3),
        "transformer, 85M": transformer(768, 12, 6),
    }
)
TOY = Scale(
    networks={
        "preset lstm": replace(PRESETS["lstm"].model, d_model=16),
        "transformer, toy": transformer(16, 2, 2),
    },
    rows=4, length=32, seconds=0.1, warm_steps=1, same_steps=3, batch=32, drawn=4,
)  # fmt: skip


# --- one measurement ------------------------------------------------------------------------


def packed(tokens: TokenSet, length: int, device: torch.device) -> Batch:
    """All training tunes end to end, as rows of one length on the device."""
    split = tokens.splits["train"]
    starts = np.arange(0, len(split.ids) - length, length)
    if not len(starts):
        raise SystemExit(f"the training tunes have fewer than {length} tokens; prepare more")
    rows = collate(split, starts, np.full(len(starts), length))
    return Batch(*(part.to(device) for part in rows))


@contextmanager
def fast(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Autocast to `dtype`; attention by flash attention alone on a GPU, so that it cannot fall back
    unseen."""
    flash = device.type == "cuda" and dtype == torch.bfloat16
    kernel: Any = sdpa_kernel(SDPBackend.FLASH_ATTENTION) if flash else nullcontext()
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32), kernel:
        yield


def stepping(
    network: nn.Module, config: TrainConfig, dtype: torch.dtype, *, compiled: bool = False
) -> Callable[[Batch], Tensor]:
    """A training step: a batch to its mean loss in nats, before the step."""
    device = next(network.parameters()).device
    optimizer = build_optimizer(
        config.optimizer,
        network,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        beta2=config.beta2,
    )

    def mean_loss(batch: Batch) -> Tensor:
        logits, _ = network(batch.tokens, batch.features)
        return nats(logits, batch.targets).sum() / batch.n_targets

    loss_of = torch.compile(mean_loss) if compiled else mean_loss

    def step(batch: Batch) -> Tensor:
        with fast(device, dtype):
            loss: Tensor = loss_of(batch)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), config.clip)
        optimizer.step()
        return loss.detach()

    return step


def tokens_per_second(step: Callable[[Batch], Tensor], data: Batch, scale: Scale) -> float:
    """Of training steps on random rows, after some that compile and warm up."""
    device = data.tokens.device
    rows = min(scale.rows, len(data.tokens))
    total = torch.tensor(float(rows * scale.length), device=device)
    generator = torch.Generator(device).manual_seed(0)

    def run(n: int) -> float:
        """Seconds of n steps."""
        started = time.perf_counter()
        for _ in range(n):
            chosen = torch.randperm(len(data.tokens), generator=generator, device=device)[:rows]
            step(Batch(*(part[chosen] for part in data[:3]), total, data.notes[chosen]))
        synchronize(device)
        return time.perf_counter() - started

    run(scale.warm_steps)
    n = max(1, round(scale.seconds / run(1)))
    return n * rows * scale.length / run(n)


def synchronize(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_of(device: torch.device, size: int = 8192) -> tuple[float, str]:
    """Operations a second at most, and where the number is from."""
    if device.type == "cuda":
        if known := peak_flops(device):
            return known, "data sheet"
    else:
        size = 1024
    a = torch.ones(size, size, dtype=torch.bfloat16, device=device)
    times = []
    for _ in range(5):
        synchronize(device)
        started = time.perf_counter()
        a @ a
        synchronize(device)
        times.append(time.perf_counter() - started)
    return 2.0 * size**3 / min(times), f"a product of {size} x {size} matrices"


class PlainLSTM(nn.Module):
    """Embedding, torch's LSTM, output: what cuDNN does without features."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.lstm = nn.LSTM(config.d_model, config.d_model, config.n_layers, batch_first=True)
        self.readout = nn.Linear(config.d_model, config.vocab_size)

    def forward(self, tokens: Tensor, _features: Tensor) -> tuple[Tensor, None]:
        """Logits, and no state."""
        return self.readout(self.lstm(self.embedding(tokens))[0]), None


# --- the tables -----------------------------------------------------------------------------


def training_table(
    tokens: TokenSet, scale: Scale, device: torch.device, *, compiled: bool, ends: float
) -> tuple[list[list[str]], dict[str, float]]:
    """Rows of the table of training speeds, and the numbers that have goals."""
    data = packed(tokens, scale.length, device)
    peak, _ = peak_of(device)
    table, goals = [], {}
    for name, model in {**scale.networks, "plain LSTM": scale.networks["preset lstm"]}.items():
        if time.monotonic() > ends:
            table.append([name, *["no time left"] * 5])
            continue
        config = TrainConfig(model=model, steps=1).fitted(tokens)
        torch.manual_seed(0)
        plain = name == "plain LSTM"
        network = (PlainLSTM if plain else build_model)(config.model).to(device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        # torch's LSTM is one operation already.
        whole = compiled and model.kind == "transformer"
        step = stepping(network, config, torch.bfloat16, compiled=whole)
        rate, rows = tokens_per_second(step, data, scale), min(scale.rows, len(data.tokens))
        share = 0.0 if plain else rate * training_flops(network.config, scale.length) / peak
        memory = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else 0.0
        size = sum(p.numel() for p in network.parameters())
        table.append(
            [name, f"{size / 1e6:.2f}M", f"{rows} x {scale.length}", f"{rate:,.0f}",
             f"{share:.1%}" if share else "", f"{memory:.1f}" if memory else ""]
        )  # fmt: skip
        goals |= {f"{name}: tokens/s": rate, f"{name}: MFU": share}
    return table, goals


def losses(
    tokens: TokenSet, model: ModelConfig, steps: int, device: torch.device, dtype: torch.dtype
) -> list[float]:
    """The loss of each of the first steps of a run with padded batches, without dropout."""
    model = replace(model, dropout=0.0, embedding_dropout=0.0, weight_dropout=0.0)
    config = TrainConfig(model=model, steps=steps, learning_rate=1e-3).fitted(tokens)
    torch.manual_seed(0)
    network = build_model(config.model).to(device)  # drawn on the CPU, so the same everywhere
    plan = BatchPlan(tokens.splits["train"], batch_tokens=2048, max_len=512, seed=0)
    step = stepping(network, config, dtype)
    return [
        step(Batch(*(part.to(device) for part in plan.batch(number)))).item()
        for number in range(steps)
    ]


def loss_table(
    tokens: TokenSet, scale: Scale, device: torch.device
) -> tuple[list[list[str]], bool]:
    """Rows of the table of losses, and whether one differs by more than its tolerance."""
    table, failed = [], False
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    for name, model in list(scale.networks.items())[:2]:
        model = replace(model, n_layers=min(2, model.n_layers))
        cpu = losses(tokens, model, scale.same_steps, torch.device("cpu"), torch.float32)
        for dtype, tolerance in TOLERANCES.items():
            there = losses(tokens, model, scale.same_steps, device, getattr(torch, dtype))
            worst = max(abs(a - b) / b for a, b in zip(there, cpu, strict=True))
            failed |= not worst <= tolerance
            table.append(
                [name, dtype, f"{cpu[0]:.4f} to {cpu[-1]:.4f}", f"{worst:.1e}", f"{tolerance:.0e}"]
            )
    return table, failed


def endless(model: ModelConfig, device: torch.device) -> nn.Module:
    """A random network that never draws the end."""
    torch.manual_seed(0)
    network = build_model(model).eval()
    with torch.no_grad():
        network.readout.output.bias[EOS_ID] = -1e4  # type: ignore[index, union-attr]
    return network.to(device)


@torch.inference_mode()
def draw_at_once(network: nn.Module, batch: int, drawn: int) -> None:
    """Draw tokens with the network on all rows at once, its features 0."""
    device = next(network.parameters()).device
    config: Any = network.config
    features = torch.zeros(batch, 1, len(config.feature_sizes), dtype=torch.long, device=device)
    ids, state = torch.full((batch, 1), BOS_ID, device=device), None
    with torch.autocast(device.type, torch.bfloat16):
        for _ in range(drawn):
            logits, state = network(ids, features, state)
            ids = torch.multinomial(logits[:, 0].float().softmax(1), 1)
    synchronize(device)


def draw(network: nn.Module, batch: int, drawn: int) -> None:
    """Draw tokens with musicgen's sampler."""
    settings = SamplingConfig(max_tokens=drawn)
    sample(TorchStepper(network), [[BOS_ID]] * batch, None, settings)


def sampling_table(tokens: TokenSet, scale: Scale, device: torch.device) -> list[list[str]]:
    """Rows of the table of sampling speeds."""
    table = []
    for name, model in list(scale.networks.items())[:2]:
        model = TrainConfig(model=model, steps=1).fitted(tokens).model
        bare = ModelConfig(
            kind=model.kind, vocab_size=model.vocab_size, d_model=model.d_model,
            n_layers=model.n_layers, n_heads=model.n_heads,
        )  # fmt: skip
        for way, run, network in (
            ("the network on all rows", draw_at_once, endless(model, device)),
            ("musicgen's sampler, no features", draw, endless(bare, device)),
        ):
            run(network, scale.batch, 2)
            started = time.perf_counter()
            run(network, scale.batch, scale.drawn)
            rate = scale.batch * scale.drawn / (time.perf_counter() - started)
            table.append([name, way, str(scale.batch), f"{rate:,.0f}"])
    return table


def goal_table(numbers: dict[str, float]) -> list[list[str]]:
    """Rows of the table of goals, of those whose numbers were measured."""
    lstm, plain = (numbers.get(f"{name}: tokens/s", 0.0) for name in ("preset lstm", "plain LSTM"))
    goals = [
        ("transformer of 85M or more: MFU", numbers.get("transformer, 85M: MFU"), 0.5),
        ("transformer of 10M: tokens/s", numbers.get("transformer, 10M: tokens/s"), 3e6),
        (
            "preset lstm, of the plain LSTM's tokens/s",
            lstm / plain if lstm and plain else None,
            0.8,
        ),
    ]
    return [
        [name, f"{goal:,g}", f"{value:,.3g}", "reached" if value >= goal else "missed"]
        for name, value, goal in goals
        if value is not None
    ]


def as_markdown(title: str, columns: str, rows: list[list[str]]) -> str:
    """A table under its title; `columns` are separated by |."""
    lines = [f"| {columns} |", "|---" * (columns.count("|") + 1) + "|"]
    return "\n".join([f"## {title}", "", *lines, *(f"| {' | '.join(row)} |" for row in rows), ""])


def main(
    tokens: Annotated[Path, "a folder of token files, made by musicgen prepare"],
    *,
    out: Annotated[Path | None, "a Markdown file for the tables"] = None,
    device: Annotated[str, "cuda or cpu"] = "cuda",
    minutes: Annotated[float, "begin no further measurement after these"] = 6.5,
    toy: Annotated[bool, "tiny sizes, to try the script on a CPU"] = False,
    eager: Annotated[bool, "without torch.compile"] = False,
    rows: Annotated[int, "of a batch, at most; fewer where memory is short"] = FULL.rows,
) -> bool:
    """Measure, print and write the tables; whether losses differ."""
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("there is no CUDA device here; try --device cpu --toy")
    ends = time.monotonic() + 60 * minutes
    where, scale, token_set = (
        torch.device(device),
        TOY if toy else replace(FULL, rows=rows),
        TokenSet.load(tokens),
    )
    same, failed = loss_table(token_set, scale, where)
    speeds, numbers = training_table(token_set, scale, where, compiled=not eager, ends=ends)
    drawn = sampling_table(token_set, scale, where) if time.monotonic() < ends else []
    name = torch.cuda.get_device_name(where) if device == "cuda" else platform.machine()
    peak, source = peak_of(where)
    report = "\n".join(
        [
            f"{time.strftime('%Y-%m-%d')}, {name}, torch {torch.__version__}, CUDA "
            f"{torch.version.cuda}; peak {peak / 1e12:,.3g} TFLOPS ({source}); token files "
            f"`{token_set.fingerprint}`.\n",
            as_markdown(
                "Training, bfloat16",
                "network | parameters | rows x tokens | tokens/s | MFU | memory, GiB",
                speeds,
            ),
            as_markdown(
                f"Losses of {scale.same_steps} steps, against the CPU in float32",
                "network | type | loss | largest relative difference | tolerance",
                same,
            ),
            as_markdown("Sampling", "network | way | rows | tokens/s", drawn),
            as_markdown("Goals", "goal | wanted | measured | ", goal_table(numbers)),
        ]
    )
    print(report)
    if out is not None:
        out.write_text(report, "utf-8")
    return failed


if __name__ == "__main__":
    command_line.run(main)

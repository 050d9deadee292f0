"""Kinds of networks: one row in a table makes a network from outside train, save and compose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from musicgen.composer import Composer
from musicgen.composer.engine import fastest_stepper
from musicgen.corpus.tokenset import TokenRow, TokenSet, build_tokenset
from musicgen.errors import ConfigError
from musicgen.models import KINDS, Kind, ModelConfig, build_model, checkpoint, weight_shapes
from musicgen.models.inference import ArrayStepper
from musicgen.models.inference.torch_stepper import TorchStepper
from musicgen.models.networks.embedding import Embedding, Readout
from musicgen.music.validation import validate
from musicgen.tokens import melody
from musicgen.tokens.language import SEPARATOR
from musicgen.tokens.languages import LANGUAGES
from musicgen.tokens.vocabulary import Vocabulary
from musicgen.training import DataConfig, TrainConfig, train
from tests.melodies import notes


class LeakyAverage(nn.Module):
    """A toy network: an exponential moving average of embeddings. State: the average (1, B, C)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = Embedding(config)
        self.decay = nn.Parameter(torch.full((config.d_model,), 0.5))
        self.readout = Readout(config, self.embedding)

    def forward(
        self,
        tokens: Tensor,
        features: Tensor | None = None,
        state: tuple[Tensor, ...] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        x = self.embedding(tokens, features)  # (B, T, C)
        average = x.new_zeros(len(x), x.shape[2]) if state is None else state[0][0]
        steps = []
        for vector in x.unbind(dim=1):
            average = self.decay * average + (1 - self.decay) * vector
            steps.append(average)
        return self.readout(torch.stack(steps, dim=1), features), (average[None],)


@pytest.fixture
def toy() -> Iterator[str]:
    KINDS["toy"] = Kind(title="A moving average", network=LeakyAverage)
    yield "toy"
    del KINDS["toy"]


def tokens_of(n: int) -> TokenSet:
    """Reels of random notes as a token set: one to validate, one to test, the others to train."""
    language = LANGUAGES[melody.NAME]
    random = np.random.default_rng(0)
    bars = ["".join(random.choice([*"CDEFGABcde"], 8)) for _ in range(8 * n)]
    tunes = [notes(f"|:{'|'.join(bars[8 * i : 8 * i + 8])}:|") for i in range(n)]
    encoded = [e for e in map(language.encode, tunes) if not isinstance(e, str)]
    texts = [e.tokens.split(SEPARATOR) for e in encoded]
    vocabulary = Vocabulary.build(texts)

    def row(index: int) -> TokenRow:
        ids = np.array(vocabulary.encode(texts[index]))
        split = ("val", "test")[index] if index < 2 else "train"
        return split, f"tune {index}", ids, encoded[index].features, encoded[index].units

    return build_tokenset(
        [row(index) for index in range(len(texts))],
        vocab=vocabulary.tokens,
        feature_sizes=language.feature_sizes,
        tokenizer=language.name,
        n_header=language.n_header,
    )


def test_a_network_from_outside_trains_is_saved_and_composes(tmp_path: Path, toy: str) -> None:
    config = TrainConfig(
        steps=4,
        data=DataConfig(batch_tokens=256),
        model=ModelConfig(kind=toy, d_model=16),
        val_every=4,
        log_every=2,
    )
    train(config, tokens_of(12), tmp_path / "run")
    model = checkpoint.load(tmp_path / "run" / "model")
    assert model.model.kind == toy
    assert "\n# A moving average" in model.card
    assert isinstance(fastest_stepper(model), TorchStepper)
    tune = Composer(model).generate(seed=1)
    assert tune.n_notes > 8
    assert validate(tune) == ()


def test_its_shapes_are_those_of_the_network_itself(toy: str) -> None:
    config = ModelConfig(
        kind=toy, vocab_size=9, feature_sizes=(3, 9), token_columns=(1,), d_model=8
    )
    before = torch.get_rng_state()
    shapes = weight_shapes(config)
    assert torch.equal(torch.get_rng_state(), before)
    assert shapes == {n: tuple(p.shape) for n, p in build_model(config).named_parameters()}
    assert shapes["decay"] == (8,)


def test_a_network_without_a_step_in_numpy_says_so(toy: str) -> None:
    with pytest.raises(ConfigError, match="'toy' has no step in numpy; use torch"):
        ArrayStepper(ModelConfig(kind=toy), {})


def test_a_kind_that_is_not_registered_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        replace(ModelConfig(), kind="lsmt")
    assert str(caught.value) == "model.kind: unknown value 'lsmt'; did you mean 'lstm'?"

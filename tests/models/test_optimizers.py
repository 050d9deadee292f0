"""Optimizers: which parameters each has, and several as one."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from musicgen.models import KINDS, build_model
from musicgen.models.optimizers import Joint, build_optimizer
from tests.runs import SMALL, make_tokens

TABLES = ("embedding.token.weight", "embedding.table.weight")


def network_of(kind: str) -> nn.Module:
    model = dataclasses.replace(SMALL.model, kind=kind, tie_embeddings=False)
    config = dataclasses.replace(SMALL, model=model).fitted(make_tokens())
    torch.manual_seed(0)
    return build_model(config.model)


def optimizer_of(network: nn.Module, name: str) -> torch.optim.Optimizer:
    return build_optimizer(name, network, learning_rate=0.01, weight_decay=0.05, beta2=0.98)


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "adagrad", "sgd"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_parameter_has_one_optimizer(kind: str, optimizer: str) -> None:
    network = network_of(kind)
    built = optimizer_of(network, optimizer)
    held = [id(p) for group in built.param_groups for p in group["params"]]
    assert sorted(held) == sorted(map(id, network.parameters()))
    for p in network.parameters():
        p.data += 1  # none is 0
        p.grad = torch.zeros_like(p)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    built.step()
    now = dict(network.named_parameters())
    assert {name for name in now if torch.equal(now[name], before[name])} == {
        name for name, p in network.named_parameters()
        if p.ndim < 2 or name in (*TABLES, "readout.trust.weight")
    }  # fmt: skip


RATE, GRADIENTS = 0.1, (torch.tensor([[0.5, -1.0]]), torch.tensor([[2.0, 0.25]]))


def steps_of(name: str, decay: float | None) -> torch.Tensor:
    """A matrix after a step along each of `GRADIENTS`."""
    network = nn.Linear(2, 1, bias=False)
    network.weight.data = torch.tensor([[1.0, -2.0]])
    built = build_optimizer(name, network, learning_rate=RATE, weight_decay=decay, beta2=0.98)
    for gradient in GRADIENTS:
        network.weight.grad = gradient.clone()
        built.step()
    return network.weight.detach()


def torch_steps(name: str, decay: float) -> torch.Tensor:
    """The same by torch's own optimizer, which knows nothing of a decay, or AdamW's own."""
    weight = nn.Parameter(torch.tensor([[1.0, -2.0]]))
    kinds = {"adagrad": torch.optim.Adagrad, "sgd": torch.optim.SGD}
    alone = kinds[name]([weight], lr=RATE) if name in kinds else torch.optim.AdamW(
        [weight], lr=RATE, betas=(0.9, 0.98), weight_decay=decay
    )  # fmt: skip
    for gradient in GRADIENTS:
        if name in kinds:
            weight.data *= 1 - RATE * decay
        weight.grad = gradient.clone()
        alone.step()
    return weight.detach()


@pytest.mark.parametrize(
    ("name", "asked", "decay"),
    [("adagrad", None, 0.0), ("sgd", None, 0.0), ("adamw", None, 0.05)]
    + [(name, asked, asked) for name in ("adagrad", "sgd", "adamw") for asked in (0.0, 0.5)],
)
def test_decay_is_apart_from_the_gradient(name: str, asked: float | None, decay: float) -> None:
    assert torch.allclose(steps_of(name, asked), torch_steps(name, decay), atol=1e-7)


def test_a_closure_is_evaluated_before_the_decay() -> None:
    network = nn.Linear(2, 1, bias=False)
    built = build_optimizer("adagrad", network, learning_rate=RATE, weight_decay=0.5, beta2=0.98)
    before, seen = network.weight.detach().clone(), []

    def closure() -> float:
        seen.append(network.weight.detach().clone())
        network.weight.grad = torch.ones(1, 2)
        return 2.0

    assert built.step(closure) == 2.0
    assert torch.equal(seen[0], before)
    assert torch.allclose(network.weight, before * (1 - RATE * 0.5) - RATE)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_muon_has_the_hidden_matrices(kind: str) -> None:
    network = network_of(kind)
    built = optimizer_of(network, "muon")
    assert isinstance(built, Joint)
    muon = {id(p) for p in built.parts[0].param_groups[0]["params"]}
    found = {name for name, p in network.named_parameters() if id(p) in muon}
    inside = ("layers.", "blocks.", "embedding.map.")
    assert found == {
        name for name, p in network.named_parameters() if p.ndim == 2 and name.startswith(inside)
    }


def test_joint_optimizers_step_as_each_would_alone() -> None:
    def parameters() -> list[nn.Parameter]:
        return [nn.Parameter(torch.arange(6.0).view(2, 3) - 2), nn.Parameter(torch.ones(3))]

    def make(a: nn.Parameter, b: nn.Parameter) -> list[torch.optim.Optimizer]:
        return [torch.optim.SGD([a], lr=0.1, momentum=0.9), torch.optim.Adam([b], lr=0.2)]

    def loss_of(ps: list[nn.Parameter]) -> torch.Tensor:
        return (ps[0].square().sum() + ps[1].pow(4).sum()) / 2

    alone, together = parameters(), parameters()
    apart, joint = make(*alone), Joint(*make(*together))

    def closure() -> torch.Tensor:
        joint.zero_grad()
        loss = loss_of(together)
        loss.backward()
        return loss

    for step in range(6):
        if step == 3:  # as after a resume
            state = joint.state_dict()
            joint = Joint(*make(*together))
            joint.load_state_dict(state)
        for group in [*(g for o in apart for g in o.param_groups), *joint.param_groups]:
            group["lr"] = 0.1 / (1 + step)
        loss_of(alone).backward()
        for one in apart:
            one.step()
            one.zero_grad()
        assert joint.step(closure) > 0
        assert all(torch.equal(p, q) for p, q in zip(alone, together, strict=True))

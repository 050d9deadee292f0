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
    names = {id(p): name for name, p in network.named_parameters()}
    free = {names[id(p)] for g in built.param_groups if not g["weight_decay"] for p in g["params"]}
    assert free == {
        name for name, p in network.named_parameters()
        if p.ndim < 2 or name in (*TABLES, "readout.trust.weight")
    }  # fmt: skip


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

"""Optimizers by name: AdamW, Muon for hidden matrices, Adagrad, plain gradient descent.

Muon moves a matrix by its momentum made orthogonal (K. Jordan, "Muon: an optimizer for hidden
layers in neural networks", 2024), scaled to steps of AdamW's size (Liu et al., "Muon is scalable
for LLM training", 2025, section 2.2), so that one learning rate serves both.

Weight decay is decoupled from the gradient everywhere (Loshchilov and Hutter, "Decoupled weight
decay regularization", 2019): each step first multiplies a matrix by 1 - learning rate * decay. As
a part of the gradient (L2) Adagrad would rescale it like the rest, and freeze the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

# Weight decay where none is asked for. The learning rates of Adagrad and SGD are so large that
# what suits AdamW would pull their weights to 0.
DECAYS = {"adamw": 0.05, "muon": 0.05, "adagrad": 0.0, "sgd": 0.0}
WHOLE_NDIM = "whole_ndim"  # an attribute of weights of which a device holds a part


def build_optimizer(
    name: str, network: nn.Module, *, learning_rate: float, weight_decay: float | None, beta2: float
) -> Optimizer:
    """The optimizer of a name in `DECAYS`, which has the `weight_decay` for None; biases, gains and
    embedding tables are not decayed. `beta2` is the second decay rate of AdamW."""
    tables = {id(m.weight) for m in network.modules() if isinstance(m, nn.Embedding)}
    trained = [p for p in network.parameters() if p.requires_grad]
    matrices = {id(p) for p in trained if getattr(p, WHOLE_NDIM, p.ndim) >= 2} - tables
    decayed: list[Tensor] = [p for p in trained if id(p) in matrices]
    free = [p for p in trained if id(p) not in matrices]
    rate, decay = learning_rate, DECAYS[name] if weight_decay is None else weight_decay

    def groups(decayed: list[Tensor]) -> list[dict[str, Any]]:
        return [
            {"params": decayed, "weight_decay": decay},
            {"params": free, "weight_decay": 0.0},
        ]

    def adamw(decayed: list[Tensor]) -> Optimizer:
        return torch.optim.AdamW(groups(decayed), lr=rate, betas=(0.9, beta2), fused=True)

    match name:
        case "adagrad":
            return DecayedAdagrad(decayed, free, lr=rate, decay=decay)
        case "sgd":  # without momentum L2 is the same as decoupled decay
            return torch.optim.SGD(groups(decayed), lr=rate)
        case "muon":
            ends = {id(p) for p in network.get_submodule("readout").parameters()}
            hidden = [p for p in decayed if id(p) not in ends]
            muon = torch.optim.Muon(
                hidden, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"
            )
            return Joint(muon, adamw([p for p in decayed if id(p) in ends]))
        case _:
            return adamw(decayed)


class DecayedAdagrad(torch.optim.Adagrad):
    """Adagrad with decoupled `decay` of the parameters `decayed`."""

    def __init__(
        self, decayed: Iterable[Tensor], free: Iterable[Tensor], *, lr: float, decay: float
    ) -> None:
        groups = [{"params": list(decayed)}, {"params": list(free)}]
        on_cpu = all(each.device.type == "cpu" for group in groups for each in group["params"])
        super().__init__(groups, lr=lr, fused=on_cpu)  # elsewhere not every torch has it
        self.decay = decay

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Decay, then take a step; what the closure returns, if there is one."""
        with torch.enable_grad():
            loss = closure() if closure is not None else None
        group = self.param_groups[0]
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.mul_(1 - group["lr"] * self.decay)
        super().step()
        return loss


class Joint(Optimizer):
    """Optimizers of different parameters as one; groups (and learning rates) are theirs."""

    def __init__(self, *parts: Optimizer) -> None:
        self.parts = parts
        super().__init__([group for part in parts for group in part.param_groups], {})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of each; what the closure returns, if there is one."""
        with torch.enable_grad():
            loss = closure() if closure is not None else None
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Their states, in order."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]

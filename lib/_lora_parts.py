"""The parts of `lib.lora` that no exercise builds: layers by name, an adapter apart from its model,
arguments checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

LAYERS = ("query", "key", "value", "output", "gate", "up", "down")
"""The names of all linear layers in the blocks of a `Transformer`: attention's and the MLP's."""


@dataclass(frozen=True)
class LowRank:
    """What LoRA has learnt of one layer: the update (alpha / r) · B A of its weight.

    Attributes:
        A: (r in)
        B: (out r)
        alpha: how strong the update is; divided by the rank r.
    """

    A: Tensor
    B: Tensor
    alpha: float

    @property
    def rank(self) -> int:
        return self.A.size(0)

    def update(self) -> Tensor:
        """What is added to the layer's weight, (out in), in float32."""
        return self.alpha / self.rank * (self.B.float() @ self.A.float())


Adapter = dict[str, LowRank]
"""All that LoRA has learnt of a model, apart from the model: layer names to updates."""


def linear_layers(model: nn.Module) -> dict[str, nn.Linear]:
    """The linear layers of a model by their whole names, such as "blocks.0.attention.query".

    A layer that shares its weight with another module, as a tied head does with the embedding, is
    left out: whoever changes it changes the other one too.
    """
    owners: dict[int, int] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and owners[id(module.weight)] == 1
    }


def replace_module(model: nn.Module, name: str, new: nn.Module) -> None:
    """Put `new` in the place of the module called `name`, in the model itself.

    Args:
        model: whose module is replaced.
        name: whole, such as "blocks.0.attention.query".
        new: what is called so from now on.
    """
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, new)


def check_size(rank: int, alpha: float, dropout: float) -> None:
    """Raises `ValueError` unless these can be an adapter's."""
    if rank < 1:
        raise ValueError(f"expected a rank of at least 1, got {rank}")
    if not alpha > 0:
        raise ValueError(f"expected an alpha above 0, got {alpha}: with 0 nothing can be learnt")
    if not 0 <= dropout < 1:
        raise ValueError(f"expected a dropout from 0 to below 1, got {dropout}")


def combine_adapters(adapters: Sequence[Adapter], weights: Sequence[float]) -> Adapter:
    """One adapter whose update is the weighted sum of the others' updates, exactly.

    A sum of products of thin matrices is a product of thin matrices: the As stacked, the Bs side by
    side. So the ranks add up. With weights of 1 and −1 one skill is added and another taken away;
    Ilharco et al. 2022 (arXiv 2212.04089) do so with whole models.

    Args:
        adapters: they may be of different ranks and alphas, and of different layers.
        weights: one for each.

    Raises:
        ValueError: there are none, or not as many weights as adapters.
    """
    if not adapters or len(adapters) != len(weights):
        raise ValueError(
            f"expected one weight for each adapter, got {len(weights)} for {len(adapters)}"
        )
    combined: Adapter = {}
    for name in dict.fromkeys(name for adapter in adapters for name in adapter):
        parts = [(x[name], weight) for x, weight in zip(adapters, weights) if name in x]
        down = torch.cat([part.A for part, _ in parts])
        up = torch.cat([weight * part.alpha / part.rank * part.B for part, weight in parts], dim=1)
        combined[name] = LowRank(down, up, alpha=down.size(0))  # alpha / rank is 1
    return combined

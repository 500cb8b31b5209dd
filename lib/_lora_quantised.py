"""A frozen base in 8 bits, under LoRA in full precision (given).

Each row of a weight is stored as whole numbers from −127 to 127 and one scale, a quarter of the
bytes of float32. Adapters on top are trained as always: gradients flow through the base, not into
it. The idea is QLoRA's (Dettmers et al. 2023, arXiv 2305.14314), which goes down to 4 bits with
levels spaced for normal numbers (NF4), blocks of 64 instead of rows, and quantised scales. Eight
evenly spaced bits need none of that, and no kernel of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib._lora_parts import LAYERS, linear_layers, replace_module

N_LEVELS = 127
"""The largest number that is stored; −128 is left out, so that both sides are alike."""


@dataclass(frozen=True)
class Quantised:
    """What `quantise_base` has done.

    Attributes:
        layers: how many layers are quantised now.
        bytes_before: of the whole model.
        bytes_after: of the whole model.
        error: the length of all rounding errors together over the length of all weights, ‖Ŵ−W‖/‖W‖.
    """

    layers: int
    bytes_before: int
    bytes_after: int
    error: float


def quantise_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round each row to 8 bits, by its largest magnitude (absmax).

    Args:
        weight: (out in)

    Returns:
        Whole numbers (out in) in int8, and the scales (out 1) in float32: their product is the
        weight again, off by half a scale at most.

    >>> quantise_rows(torch.tensor([[0.5, -1.27, 0.004]]))[0].tolist()
    [[50, -127, 0]]
    """
    exact = weight.detach().float()
    scale = exact.abs().amax(dim=1, keepdim=True) / N_LEVELS
    rounded = (exact / scale.clamp(min=torch.finfo(torch.float32).tiny)).round()
    return rounded.to(torch.int8), scale


class QuantisedLinear(nn.Module):
    """A frozen linear layer whose weight is kept in 8 bits, and unpacked only while it is used."""

    unmerged = True  # its parameters are not those of a plain model: `lib.checkpoint` asks

    def __init__(self, layer: nn.Linear) -> None:
        """
        Args:
            layer: what is quantised; it stays as it is.
        """
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.dtype = layer.weight.dtype
        rounded, scale = quantise_rows(layer.weight)
        self.rounded = nn.Parameter(rounded, requires_grad=False)
        self.register_buffer("scale", scale)
        self.bias = layer.bias

    def unpacked(self, dtype: torch.dtype) -> Tensor:
        """The weight again, (out in), with the rounding in it."""
        scale = self.get_buffer("scale")
        return (self.rounded * scale).to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(... in) to (... out), in the precision of `x`, or of autocast where that is on."""
        return _FrozenProduct.apply(x, self)  # type: ignore[no-untyped-call]

    def linear(self) -> nn.Linear:
        """A plain, frozen linear layer with the rounded weight."""
        with torch.device("meta"):
            layer = nn.Linear(self.in_features, self.out_features, bias=False)
        layer.weight = nn.Parameter(self.unpacked(self.dtype), requires_grad=False)
        layer.bias = self.bias
        return layer


class _FrozenProduct(torch.autograd.Function):
    """x Wᵀ + b that remembers W in 8 bits: the way back unpacks it a second time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: QuantisedLinear) -> Tensor:
        ctx.layer, ctx.dtype = layer, x.dtype
        return F.linear(x, layer.unpacked(x.dtype), layer.bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return (gradient @ ctx.layer.unpacked(gradient.dtype)).to(ctx.dtype), None


def model_bytes(model: nn.Module) -> int:
    """The bytes of all parameters and buffers of a model, shared ones once."""
    tensors = {id(x): x for x in [*model.parameters(), *model.buffers()]}
    return sum(x.numel() * x.element_size() for x in tensors.values())


def quantise_base(model: nn.Module, where: Sequence[str] = LAYERS) -> Quantised:
    """Store the frozen linear layers of a model in 8 bits, in place; LoRA on top stays as it is.

    Embedding, norms and head stay too: they are few, or read too often to be rounded.

    Args:
        model: with LoRA, so that its base is frozen.
        where: names of layers to quantise, with LoRA on top or without.

    Raises:
        ValueError: there is no such layer, or one of them is still to be trained.
    """
    found = {}
    for name, layer in linear_layers(model).items():
        if name.removesuffix(".base").rpartition(".")[2] in where:
            found[name] = layer
    if not found:
        raise ValueError(f"the model has no linear layer called {' or '.join(where)} to quantise")
    if trained := [name for name, layer in found.items() if layer.weight.requires_grad]:
        raise ValueError(
            f"{trained[0]} is not frozen, and whole numbers cannot be trained: add_lora first"
        )
    before, errors, weights = model_bytes(model), 0.0, 0.0
    for name, layer in found.items():
        new = QuantisedLinear(layer).train(layer.training)
        errors += (new.unpacked(torch.float32) - layer.weight.float()).square().sum().item()
        weights += layer.weight.float().square().sum().item()
        replace_module(model, name, new)
    error = (errors / weights) ** 0.5 if weights else 0.0
    return Quantised(len(found), before, model_bytes(model), error)


def dequantise_base(model: nn.Module) -> None:
    """Make all quantised layers plain again, in place. The rounding stays in their weights.

    Raises:
        ValueError: there are none.
    """
    found = [(name, m) for name, m in model.named_modules() if isinstance(m, QuantisedLinear)]
    if not found:
        raise ValueError("the model has no quantised layers")
    for name, layer in found:
        replace_module(model, name, layer.linear().train(layer.training))

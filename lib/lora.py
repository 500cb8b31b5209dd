"""LoRA: adapting a model that one cannot afford to train (lesson "lora").

What fine-tuning changes in a weight matrix is nearly of low rank, so learn the change as a product
of two thin matrices, and leave the matrix itself alone:

    x (... in) ─┬─ base W (out in), frozen ──────────────────────┬─ + ─ y (... out)
                └─ A (r in) ─ r numbers ─ B (out r) ─ · alpha/r ─┘

B starts at zero, so that nothing changes at first. What was learnt is small: it can be saved by
itself, swapped for another, taken away to have the base back, or merged into the weights.

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models" (arXiv 2106.09685).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from lib import _hub_names as hub_names
from lib import _lora_files as files
from lib._hub_write import choose_architecture
from lib._lora_parts import (
    LAYERS,
    Adapter,
    LowRank,
    check_size,
    combine_adapters,
    linear_layers,
    replace_module,
)
from lib._lora_quantised import (
    Quantised,
    QuantisedLinear,
    dequantise_base,
    model_bytes,
    quantise_base,
    quantise_rows,
)
from lib.transformer import Transformer

__all__ = [
    "LAYERS",
    "Adapter",
    "LoRALinear",
    "LowRank",
    "Quantised",
    "QuantisedLinear",
    "adapter_weights",
    "add_lora",
    "combine_adapters",
    "dequantise_base",
    "linear_layers",
    "load_adapter",
    "load_adapter_weights",
    "lora_layers",
    "merge_lora",
    "model_bytes",
    "quantise_base",
    "quantise_rows",
    "replace_module",
    "save_adapter",
    "trainable_parameters",
    "without_lora",
]


class LoRALinear(nn.Module):
    """A frozen linear layer and, beside it, a change of low rank that is learnt.

    A and B have the precision of the base. One in half precision rounds small steps away: train in
    float32, with bfloat16 for the products (`lib.training.best_precision`).
    """

    unmerged = True  # its parameters are not those of a plain model: `lib.checkpoint` asks

    def __init__(
        self, base: nn.Linear | QuantisedLinear, rank: int, alpha: float, dropout: float = 0.0
    ) -> None:
        """
        Args:
            base: the layer that is adapted, with bias or without. It is frozen, and kept as it is.
            rank: r, the size of the bottleneck.
            alpha: how strong the update is, divided by the rank: so a learning rate that suits one
                rank suits others.
            dropout: the share of the numbers of `x` that A does not see, in training.

        Raises:
            ValueError: the rank is below 1, alpha is not above 0, or dropout is no share; or the
                base is no linear layer.
        """
        super().__init__()
        check_size(rank, alpha, dropout)
        if not isinstance(base, nn.Linear | QuantisedLinear):
            raise ValueError(f"LoRA adapts linear layers, got a {type(base).__name__}")
        self.base, self.alpha = base, alpha
        base.requires_grad_(False)
        like = next(base.parameters())
        dtype = like.dtype if isinstance(base, nn.Linear) else base.dtype
        self.A = nn.Parameter(like.new_empty(rank, base.in_features, dtype=dtype))
        self.B = nn.Parameter(like.new_zeros(base.out_features, rank, dtype=dtype))
        nn.init.normal_(self.A, std=1 / math.sqrt(base.in_features))
        self.dropout = nn.Dropout(dropout)
        self.train(base.training)

    @property
    def rank(self) -> int:
        """r, the rows of A and the columns of B."""
        return self.A.size(0)

    def forward(self, x: Tensor) -> Tensor:
        """base(x) + (alpha / r) · B A dropout(x), with B A never multiplied out.

        Through the bottleneck it costs r · (in + out) products for each vector; the matrix B A
        alone would cost r · in · out. arXiv 2106.09685, equation 3.

        Args:
            x: (... in). The base reads it whole; `self.dropout` is for A alone.

        Returns:
            (... out), in the dtype of the base's output.
        """
        narrow = self.dropout(x) @ self.A.T  # (... r)
        return self.base(x) + (self.alpha / self.rank) * (narrow @ self.B.T)

    def extra_repr(self) -> str:
        """What `print(model)` says of it."""
        return f"rank={self.rank}, alpha={self.alpha}"


def lora_layers(model: nn.Module) -> dict[str, LoRALinear]:
    """The layers of a model that have LoRA, by their whole names; empty if there are none."""
    return {name: m for name, m in model.named_modules() if isinstance(m, LoRALinear)}


def add_lora(
    model: nn.Module,
    rank: int,
    alpha: float,
    where: Sequence[str] = LAYERS,
    dropout: float = 0.0,
) -> list[str]:
    """Freeze a model, and give its linear layers of certain names an update that is learnt.

    The model is changed in place. It computes what it did before until it is trained. From now on
    only the As and Bs require gradients: no embedding, no norm, no bias.

    Args:
        model: any; its layers are found by `linear_layers`, which leaves a tied head out.
        rank: r of each update.
        alpha: how strong the updates are, divided by r.
        where: the last part of the names of the layers to adapt: "query" for
            "blocks.0.attention.query", in every block.
        dropout: the share of its input that A does not see, in training.

    Returns:
        The whole names of the layers that were adapted, in the order of the model.

    Raises:
        ValueError: no linear layer has one of the names, or there is LoRA in the model already; the
            model is unchanged.
    """
    if lora_layers(model):
        raise ValueError("the model has LoRA already: merge_lora(model) first")
    linear = linear_layers(model)
    last = {name: name.rpartition(".")[2] for name in linear}
    if missing := [name for name in where if name not in last.values()]:
        raise ValueError(
            f"no linear layer of the model is called {missing[0]!r}; there are: "
            f"{', '.join(dict.fromkeys(last.values()))}"
        )
    check_size(rank, alpha, dropout)
    model.requires_grad_(False)
    found = [name for name in linear if last[name] in where]
    for name in found:
        replace_module(model, name, LoRALinear(linear[name], rank, alpha, dropout))
    return found


def merge_lora(model: nn.Module) -> None:
    """Add each update to its weight, once and for all: plain linear layers that compute the same.

    The model is changed in place. Weights are added up in float32 and go back to the precision that
    they had. Afterwards the model is as any other: nothing of LoRA is left, and every parameter
    requires gradients again.

    Args:
        model: with LoRA.

    Raises:
        ValueError: there is no LoRA in the model (it was merged before?), or its base is quantised,
            so that it would be rounded a second time; the model is unchanged.
    """
    layers = lora_layers(model)
    if not layers:
        raise ValueError("the model has no LoRA to merge: was it merged already?")
    if any(isinstance(module, QuantisedLinear) for module in model.modules()):
        raise ValueError("the base is quantised: dequantise_base(model) first, then merge")
    for name, layer in layers.items():
        weight = layer.base.get_parameter("weight")
        with torch.no_grad():
            update = layer.alpha / layer.rank * (layer.B.float() @ layer.A.float())
            weight.copy_(weight.float() + update)
        replace_module(model, name, layer.base)
    model.requires_grad_(True)


def trainable_parameters(model: nn.Module) -> tuple[int, int]:
    """How many numbers of a model are trained, and how many it has.

    Args:
        model: any. A parameter that stands in two places, as in a tied head, counts once.

    Returns:
        Numbers in parameters that require gradients; numbers in all parameters.

    >>> layer = nn.Linear(100, 80)
    >>> trainable_parameters(LoRALinear(layer, rank=2, alpha=4))
    (360, 8440)
    """
    params = list(model.parameters())  # torch lists a shared one once
    trainable = sum(p.numel() for p in params if p.requires_grad)
    return trainable, sum(p.numel() for p in params)


# --- several adapters on one base -----------------------------------------------------------------


@contextmanager
def without_lora(model: nn.Module) -> Iterator[None]:
    """Within, the model is its base: as if LoRA had never been added. Nothing is copied.

    So a model that is trained by LoRA carries the model it came from with it: the reference of PPO
    and DPO, for instance, without a second copy.

    Raises:
        ValueError: there is no LoRA in the model, so that it would be compared with itself.
    """
    layers = lora_layers(model)
    if not layers:
        raise ValueError("the model has no LoRA to leave out")
    for name, layer in layers.items():
        layer.base.train(layer.training)
        replace_module(model, name, layer.base)
    try:
        yield
    finally:
        for name, layer in layers.items():
            layer.train(layer.base.training)
            replace_module(model, name, layer)


def adapter_weights(model: nn.Module) -> Adapter:
    """A copy of what LoRA has learnt, apart from the model: small enough to keep many of.

    Raises:
        ValueError: there is no LoRA in the model.
    """
    layers = lora_layers(model)
    if not layers:
        raise ValueError("the model has no LoRA: add_lora(model, rank, alpha) first")
    return {
        name: LowRank(layer.A.detach().clone(), layer.B.detach().clone(), layer.alpha)
        for name, layer in layers.items()
    }


def load_adapter_weights(model: nn.Module, adapter: Adapter, dropout: float = 0.0) -> None:
    """Give a model this adapter, in place of the one it has, if any. The base is not touched.

    So one base serves many tasks: keep an `Adapter` for each, and load the one that is asked for.
    Where the model has LoRA of the same shape, the numbers are copied into it, and an optimizer
    goes on with the same tensors. Everything else is frozen.

    Args:
        model: with LoRA or without.
        adapter: from `adapter_weights`, `load_adapter` or `combine_adapters`.
        dropout: of layers that have no LoRA yet.

    Raises:
        ValueError: the model has no such layers, or they are of other sizes, or the adapter is
            empty; the model is unchanged.
    """
    old, linear = lora_layers(model), linear_layers(model)
    bases: dict[str, nn.Linear | QuantisedLinear] = {
        **linear,
        **{n: x.base for n, x in old.items()},
    }
    if not adapter:
        raise ValueError("the adapter is empty: without_lora(model) gives the base")
    for name, part in adapter.items():
        check_size(part.rank, part.alpha, dropout)
        if name not in bases:
            raise ValueError(f"the adapter is for {name}, and the model has no such linear layer")
        wanted = (bases[name].out_features, bases[name].in_features)
        if (part.B.size(0), part.A.size(1)) != wanted or part.A.size(0) != part.B.size(1):
            raise ValueError(
                f"{name} is {wanted[0]} × {wanted[1]}, the adapter's B is "
                f"{tuple(part.B.shape)} and its A {tuple(part.A.shape)}"
            )
    model.requires_grad_(False)
    for name in old.keys() - adapter.keys():
        replace_module(model, name, old[name].base)
    for name, part in adapter.items():
        layer = old.get(name)
        if layer is None or layer.rank != part.rank:
            rate = dropout if layer is None else layer.dropout.p
            layer = LoRALinear(bases[name], part.rank, part.alpha, rate)
            replace_module(model, name, layer)
        layer.alpha = part.alpha
        with torch.no_grad():
            layer.A.copy_(part.A)
            layer.B.copy_(part.B)
        layer.A.requires_grad_(True)
        layer.B.requires_grad_(True)


# --- PEFT's files ---------------------------------------------------------------------------------


def _adaptable(model: Transformer) -> list[str]:
    """Every linear layer that an adapter may be for, with LoRA or without, quantised or not."""
    kinds = (nn.Linear, LoRALinear, QuantisedLinear)
    names = [name for name, m in model.named_modules() if isinstance(m, kinds)]
    untied = () if model.config.tied else ("head",)
    return [
        name
        for name in names
        if name in untied or (name.startswith("blocks.") and not name.endswith(".base"))
    ]


def save_adapter(
    model: Transformer,
    folder: str | Path,
    base: str | None = None,
    architecture: str | None = None,
) -> None:
    """Write what LoRA has learnt as an adapter that PEFT reads, whole or not at all.

    It fits the model that `lib.hub.save` writes without LoRA. Of Qwen3's kind, as all models of
    this course are by default, it can be read by whatever reads PEFT.

    Args:
        model: with LoRA.
        folder: a new one, or one that an earlier call wrote.
        base: where the base is, a folder or a name on the hub, for readers who look for it.
        architecture: as in `lib.hub.save`.

    Raises:
        ValueError: there is no LoRA; or no architecture that others know fits; or the folder holds
            a model, or what was not written here.
    """
    adapter = adapter_weights(model)
    theirs = files.their_layers(_adaptable(model), model.config, architecture)
    files.write_adapter(folder, adapter, theirs, base)


def load_adapter(
    model: Transformer, source: str | Path, architecture: str | None = None, dropout: float = 0.0
) -> Adapter:
    """Read an adapter of PEFT's and give it to a model, in place of the one it has, if any.

    Args:
        model: the base it was trained on, with LoRA or without.
        source: a folder, or a name on the hub.
        architecture: as in `lib.hub.save`; left out, the first that has the model's settings.
        dropout: the share of its input that A does not see, if training goes on.

    Returns:
        What was read, to be loaded again after another.

    Raises:
        ValueError: it is no plain LoRA adapter, or is for another model, or is damaged; one line
            says which, and the model is unchanged.
    """
    architecture = choose_architecture(model.config, architecture)
    theirs = files.their_layers(_adaptable(model), model.config, architecture)
    prefixes = hub_names.PREFIXES.get(architecture, ("model.", ""))
    adapter = files.read_adapter(source, theirs, prefixes)
    load_adapter_weights(model, adapter, dropout)
    return adapter

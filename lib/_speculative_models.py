"""Models as drafters, for `lib.speculative` (given): a small model, the target in 8 bits, its first
layers."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from lib._lora_parts import replace_module
from lib._lora_quantised import QuantisedLinear, quantise_rows
from lib._speculative_parts import Draft, Drafter, Reader, Rule
from lib.ngram import sample
from lib.transformer import Transformer


class ModelDrafter(Drafter):
    """A smaller model guesses: a distilled one, the first layers, the target itself in 8 bits.

    Attributes:
        model: what guesses.
        reader: the model with its cache, once a text has begun.
    """

    def __init__(self, model: Transformer) -> None:
        """
        Args:
            model: of the same vocabulary as the target.
        """
        self.model, self.models = model, (model,)
        self.reader = Reader(model, Rule())

    def start(self, rule: Rule, model: Transformer, n_tokens: int) -> None:
        """As `Drafter.start`.

        Raises:
            ValueError: the model knows other tokens than the target, or fewer positions.
        """
        own, other = self.model.config, model.config
        if own.vocab_size != other.vocab_size:
            raise ValueError(
                f"the drafter has {own.vocab_size} tokens, the target {other.vocab_size}: both "
                "need the same tokenizer"
            )
        if own.position == "learned" and own.n_context < other.n_context:
            raise ValueError(
                f"the drafter has learned {own.n_context} positions, the target writes up to "
                f"{other.n_context}"
            )
        self.reader = Reader(self.model, rule, n_tokens)

    def draft(self, tokens: Tensor, n: int) -> Draft:
        """Write `n` tokens after each text, by the rule, and say what each was drawn from."""
        probs = tokens.new_zeros(len(tokens), n, self.model.config.vocab_size, dtype=torch.float32)
        start = tokens.size(1)
        for i in range(n):
            probs[:, i] = self.reader.probabilities(tokens)[:, 0]
            drawn = sample(probs[:, i].log(), generator=self.reader.rule.generator)
            tokens = torch.cat([tokens, drawn[:, None]], dim=1)
        return tokens[:, start:], probs

    def roll_back(self, n_tokens: int, accepted: Tensor) -> None:
        """As `Reader.roll_back`."""
        self.reader.roll_back(n_tokens, accepted)

    def select(self, rows: Sequence[int]) -> None:
        """As `Reader.select`."""
        self.reader.select(rows)


@functools.cache
def multiplies_eight_bits() -> bool:
    """Whether torch has a product of bfloat16 with whole numbers of 8 bits on this processor."""
    try:
        numbers = torch.ones(16, 32, dtype=torch.int8)
        x, scale = torch.ones(1, 32, dtype=torch.bfloat16), torch.ones(16, dtype=torch.bfloat16)
        return bool((torch._weight_int8pack_mm(x, numbers, scale) == 32).all())
    except (AttributeError, NotImplementedError, RuntimeError):
        return False


class EightBitLinear(nn.Module):
    """A linear layer, for reading only, that moves a quarter of the bytes: where there is little to
    multiply, moving the weights is what takes the time."""

    def __init__(self, layer: nn.Linear) -> None:
        """
        Args:
            layer: what is rounded; it stays as it is.
        """
        super().__init__()
        numbers, scale = quantise_rows(layer.weight)
        self.register_buffer("numbers", numbers)
        self.register_buffer("scale", scale[:, 0].to(torch.bfloat16))
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        """(... in) to (... out)."""
        flat = x.reshape(-1, x.size(-1)).to(torch.bfloat16)
        y = torch._weight_int8pack_mm(flat, self.get_buffer("numbers"), self.get_buffer("scale"))
        y = y.view(*x.shape[:-1], y.size(-1)).to(x.dtype)
        return y if self.bias is None else y + self.bias


def in_eight_bits(model: Transformer) -> Transformer:
    """A copy of the model with its linear layers in 8 bits: a drafter that is nearly the target.

    On processors for which torch has such products, a token takes about two thirds of the time;
    elsewhere the weights are unpacked at every call, which saves memory but no time.
    """
    copied = copy.deepcopy(model).requires_grad_(False).eval()
    quick = multiplies_eight_bits() and copied.embedding.weight.device.type == "cpu"
    layers = {name: m for name, m in copied.named_modules() if isinstance(m, nn.Linear)}
    for name, layer in layers.items():
        replace_module(copied, name, EightBitLinear(layer) if quick else QuantisedLinear(layer))
    return copied


def first_layers(model: Transformer, n_layer: int) -> Transformer:
    """The model without its upper layers, of the same weights: quick, but untaught to speak early.

    Raises:
        ValueError: it has not so many layers.
    """
    if not 1 <= n_layer <= model.config.n_layer:
        raise ValueError(f"expected 1 to {model.config.n_layer} layers, got {n_layer}")
    shallow = copy.copy(model)
    shallow._modules = dict(model._modules)  # its own list of parts; the parts are shared
    shallow.blocks = nn.ModuleList(list(model.blocks)[:n_layer])
    shallow.config = replace(model.config, n_layer=n_layer)
    return shallow

"""The transformer: everything around attention (lesson "transformer").

Every token carries a vector through the model, the residual stream. Each block reads from it and
adds to it twice: attention brings news from other tokens, the MLP lets each token think about them
on its own. Shapes are told by one letter each: b batch, h heads, g key-value heads, t tokens,
d numbers, v vocabulary.

    tokens (b t) ─ embedding ─ Block ─ … ─ Block ─ norm ─ head ─ logits (b t v)
    Block:  x + attention(norm(x)), then x + mlp(norm(x))

One `Config` covers GPT-2, Llama, Qwen3, SmolLM2 and Gemma; left alone, it is Qwen3's architecture.
Vaswani et al. 2017 (arXiv 1706.03762); Radford et al. 2019 (GPT-2); Touvron et al. 2023 (arXiv
2302.13971, Llama).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib._transformer_config import Config, RopeScaling
from lib.attention import Cache, MultiHeadAttention, causal_mask

__all__ = [
    "Block",
    "Config",
    "GatedMLP",
    "LayerCache",
    "PlainMLP",
    "RMSNorm",
    "RopeScaling",
    "Rotate",
    "Transformer",
    "apply_rotary",
    "count_parameters",
    "flops_per_token",
    "kv_cache_bytes",
    "rotary_angles",
]

Rotate = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Turns queries and keys by their positions: what attention takes as `rotate`."""


class LayerCache(Cache, Protocol):
    """What a layer remembers of earlier tokens, and how many they are."""

    def __len__(self) -> int: ...


class RMSNorm(nn.Module):
    """Scale each vector to a mean square of 1, then each of its numbers by a learnt weight.

    Zhang and Sennrich 2019 (arXiv 1910.07467), equation 4.
    """

    def __init__(self, d: int, eps: float = 1e-6, offset: float = 0.0) -> None:
        """
        Args:
            d: size of the vectors.
            eps: added to the mean square, under the root.
            offset: added to the weights; Gemma has 1, and weights that start at 0.
        """
        super().__init__()
        self.eps, self.offset = eps, offset
        self.weight = nn.Parameter(torch.full((d,), 1.0 - offset))

    def forward(self, x: Tensor) -> Tensor:
        """x / √(mean x² + ε) · (offset + weight), the mean over the last axis.

        The root and the division are in float32, whatever the precision of `x`: in half precision
        squares overflow. `x` itself stays as it is, others still read it.

        Args:
            x: (... d)

        Returns:
            (... d), in the dtype of `x`.
        """
        exact = x.float()
        scaled = exact * (exact.square().mean(dim=-1, keepdim=True) + self.eps).rsqrt()
        return (scaled * (self.offset + self.weight.float())).to(x.dtype)


def rotary_angles(
    positions: Tensor,
    d_head: int,
    base: float = 10_000.0,
    stretch: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """By which angle each pair of numbers of a query or key turns at each position.

    Pair i turns by positions · base^(−2i/d_head): the first ones fast, the last ones slowly, as the
    hands of a clock. Su et al. 2021 (arXiv 2104.09864), section 3.2.2.

    Args:
        positions: where the tokens stand in the text, (... t) whole numbers; with a cache they do
            not start at 0.
        d_head: numbers in a head, even.
        base: θ; the larger, the slower the last pairs turn.
        stretch: changes the frequencies (d_head/2) before they meet the positions.

    Returns:
        (... t d_head/2) angles in radians, float32.

    >>> rotary_angles(torch.tensor([0, 1, 2]), d_head=4, base=100.0)
    tensor([[0.0000, 0.0000],
            [1.0000, 0.1000],
            [2.0000, 0.2000]])
    """
    pairs = torch.arange(0, d_head, 2, device=positions.device, dtype=torch.float32)
    frequencies = base ** (-pairs / d_head)
    if stretch is not None:
        frequencies = stretch(frequencies)
    return positions[..., None].float() * frequencies


def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair of numbers of queries or keys by its angle.

    Pair i is (x[i], x[i + d/2]): one half of the vector holds the first numbers of all pairs, the
    other the second ones, as in published weights. Each pair becomes (x₁ cos − x₂ sin, x₂ cos +
    x₁ sin): a rotation, so lengths stay, and the dot product of a query and a key depends only on
    how far apart they stand. arXiv 2104.09864, equation 34, in another order of the numbers.

    Args:
        x: (... t d)
        cos: cosines of the angles, broadcasting to (... t d/2).
        sin: their sines.

    Returns:
        (... t d), in the dtype of `x`.
    """
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    swapped = x.roll(x.size(-1) // 2, dims=-1)  # (x₂, x₁)
    return x * torch.cat([cos, cos], dim=-1) + swapped * torch.cat([-sin, sin], dim=-1)


def stretch_frequencies(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    """Slow rotary frequencies down as `scaling` says, for texts longer than the training's.

    Args:
        frequencies: (d_head/2) radians per token.
        scaling: how, and by how much.

    Returns:
        (d_head/2)
    """
    slowed = frequencies / scaling.factor
    if scaling.kind == "linear":
        return slowed
    turns = scaling.original_n_context * frequencies / (2 * math.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    blend = ((turns - low) / (high - low)).clamp(0, 1)
    return blend * frequencies + (1 - blend) * slowed


def activate(x: Tensor, activation: str) -> Tensor:
    """The bend in an MLP: "silu", "gelu", "gelu_tanh" (Gemma, GPT-2) or "relu_squared"."""
    if activation == "silu":
        return F.silu(x)
    if activation == "relu_squared":
        return F.relu(x).square()
    return F.gelu(x, approximate="tanh" if activation == "gelu_tanh" else "none")


class GatedMLP(nn.Module):
    """Every token thinks on its own: wide, with a gate that says how much of each idea passes.

    With "silu" it is SwiGLU, with "gelu_tanh" Gemma's GeGLU. Shazeer 2020 (arXiv 2002.05202),
    equation 6.
    """

    def __init__(
        self, d_model: int, d_hidden: int, activation: str = "silu", bias: bool = False
    ) -> None:
        super().__init__()
        self.activation = activation
        self.gate = nn.Linear(d_model, d_hidden, bias=bias)
        self.up = nn.Linear(d_model, d_hidden, bias=bias)
        self.down = nn.Linear(d_hidden, d_model, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """down(activate(gate(x)) · up(x)); the activation is on the gate alone.

        Args:
            x: (... d_model)

        Returns:
            (... d_model)
        """
        return self.down(activate(self.gate(x), self.activation) * self.up(x))


class PlainMLP(nn.Module):
    """The MLP without a gate, as in GPT-2: down(activate(up(x)))."""

    def __init__(
        self, d_model: int, d_hidden: int, activation: str = "gelu_tanh", bias: bool = True
    ) -> None:
        super().__init__()
        self.activation = activation
        self.up = nn.Linear(d_model, d_hidden, bias=bias)
        self.down = nn.Linear(d_hidden, d_model, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(... d_model) to (... d_model)."""
        return self.down(activate(self.up(x), self.activation))


def make_norm(config: Config, d: int | None = None) -> nn.Module:
    """The kind of norm the config asks for, over vectors of `d` numbers (left out: d_model)."""
    d = config.d_model if d is None else d
    if config.norm == "layer":
        return nn.LayerNorm(d, eps=config.norm_eps)
    return RMSNorm(d, config.norm_eps, offset=1.0 if config.norm == "rms_plus_one" else 0.0)


class Block(nn.Module):
    """One layer: attention brings news from other tokens, the MLP thinks about it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        d_model, d_head = config.d_model, config.head_size
        self.attention_norm, self.mlp_norm = make_norm(config), make_norm(config)
        self.attention = MultiHeadAttention(
            d_model, config.n_head, config.kv_heads, d_head, bias=config.bias
        )
        mlp = GatedMLP if config.gated else PlainMLP
        self.mlp = mlp(d_model, config.hidden, config.activation, bias=config.bias)
        self.query_norm = make_norm(config, d_head) if config.qk_norm else nn.Identity()
        self.key_norm = make_norm(config, d_head) if config.qk_norm else nn.Identity()
        self.attention_post_norm = make_norm(config) if config.post_norm else nn.Identity()
        self.mlp_post_norm = make_norm(config) if config.post_norm else nn.Identity()
        # Attention divides scores by √d_head; this makes it √query_scale.
        self.query_factor = math.sqrt(d_head / (config.query_scale or d_head))

    def attend(
        self, x: Tensor, mask: Tensor | None, rotate: Rotate | None, cache: LayerCache | None
    ) -> Tensor:
        """Attention, with queries and keys normalised before they are turned.

        Args:
            x: (b t d_model)
            mask: as in `MultiHeadAttention.forward`, and so are the others.
            rotate: turns queries and keys by their positions.
            cache: what this layer remembers of earlier tokens.

        Returns:
            (b t d_model)
        """

        def norm_and_rotate(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
            query, key = self.query_norm(query), self.key_norm(key)
            if self.query_factor != 1:
                query = query * self.query_factor
            return (query, key) if rotate is None else rotate(query, key)

        return self.attention(x, mask=mask, rotate=norm_and_rotate, cache=cache)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        rotate: Rotate | None = None,
        cache: LayerCache | None = None,
    ) -> Tensor:
        """Read from the residual stream and add to it: first attention, then the MLP.

        Each reads a normalised copy (`attention_norm`, `mlp_norm`); what comes back goes through
        its `..._post_norm`, which does nothing in most models, and is added to the stream itself.

        Args:
            x: the residual stream, (b t d_model).
            mask: for `attend`, and so are the others.
            rotate: turns queries and keys by their positions.
            cache: what this layer remembers of earlier tokens.

        Returns:
            (b t d_model)
        """
        news = self.attend(self.attention_norm(x), mask, rotate, cache)
        x = x + self.attention_post_norm(news)
        return x + self.mlp_post_norm(self.mlp(self.mlp_norm(x)))


class Transformer(nn.Module):
    """The language model: token ids in, a score for every possible next token out."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        if config.position == "learned":
            self.position = nn.Embedding(config.n_context, config.d_model)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.norm = make_norm(config)
        self.head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.initialise()

    @torch.no_grad()
    def initialise(self) -> None:
        """Small random weights; what writes to the residual stream smaller still, by the number
        of writers, so that the stream's size does not depend on depth (GPT-2, section 2.3)."""
        writers = 2 * self.config.n_layer
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            elif parameter.ndim == 2:
                writes = name.endswith(("attention.output.weight", "mlp.down.weight"))
                parameter.normal_(std=0.02 / math.sqrt(writers) if writes else 0.02)

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        cache: Sequence[LayerCache] | None = None,
        head: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Score every possible next token, after each token of the text.

        Args:
            tokens: (b t) whole numbers; with a cache, the new tokens only.
            positions: where they stand, (t) or (b t); left out, they follow what the cache holds,
                or start at 0.
            mask: booleans that broadcast to (b h t s), s counting cached tokens too, True where a
                query may look; left out, the causal mask.
            cache: what each layer remembers of earlier tokens, one for each block.
            head: reads the last vectors (b t d_model) in place of the model's own head.

        Returns:
            (b t v) logits, or whatever `head` makes.
        """
        n_cached = 0 if cache is None else len(cache[0])
        n_tokens = tokens.size(-1)
        if positions is None:
            positions = torch.arange(n_cached, n_cached + n_tokens, device=tokens.device)
        x = self.embed(tokens, positions)
        sights = self.sights(positions, n_cached + n_tokens, mask)
        for layer, block in enumerate(self.blocks):
            layer_mask, rotate = sights[layer]
            x = block(x, layer_mask, rotate, None if cache is None else cache[layer])
        x = self.norm(x)
        return (self.head if head is None else head)(x)

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """The vectors that enter the first block, (b t d_model).

        Raises:
            ValueError: a learned position is asked for that was never learned.
        """
        x = self.embedding(tokens)
        if torch.is_autocast_enabled(x.device.type):
            # The stream, too, in the precision of the products: half as much to move.
            x = x.to(torch.get_autocast_dtype(x.device.type))
        if self.config.scale_embedding:
            x = x * torch.tensor(math.sqrt(self.config.d_model), dtype=x.dtype)
        if self.config.position == "learned":
            if tokens.numel() and not torch.compiler.is_compiling():
                last = int(positions.max())
                if last >= self.config.n_context:
                    raise ValueError(
                        f"position {last} was never learned, the last one is "
                        f"{self.config.n_context - 1}: give a shorter text"
                    )
            x = x + self.position(positions)
        return x

    def sights(
        self, positions: Tensor, n_key: int, mask: Tensor | None = None
    ) -> list[tuple[Tensor | None, Rotate | None]]:
        """For each layer: which keys its queries may see (None: all), and how both are turned.

        Args:
            positions: of the queries, (t) or (b t).
            n_key: how many keys there are, cached ones included.
            mask: in place of the causal mask.
        """
        config, n_query = self.config, positions.size(-1)
        if mask is None and n_query > 1:
            mask = causal_mask(n_query, n_key, device=positions.device)
        rotate = None
        if config.position == "rotary":
            scaling = config.rope_scaling
            stretch = None if scaling is None else lambda f: stretch_frequencies(f, scaling)
            rotate = rotation(rotary_angles(positions, config.head_size, config.rope_base, stretch))
        far = (mask, rotate)
        if not config.local_layers or config.window is None:
            return [far] * config.n_layer
        near = causal_mask(n_query, n_key, device=positions.device).triu(
            diagonal=n_key - n_query - config.window + 1
        )
        if mask is not None:
            near = near & mask
        turned = rotation(rotary_angles(positions, config.head_size, config.rope_base_local))
        local = (near, turned if config.position == "rotary" else None)
        return [local if i in config.local_layers else far for i in range(config.n_layer)]


def rotation(angles: Tensor) -> Rotate:
    """What attention takes as `rotate`, from the angles (t d/2) or (b t d/2)."""
    cos, sin = angles.cos(), angles.sin()
    if angles.ndim == 3:  # one position for each text and token: the same for all heads
        cos, sin = cos[:, None], sin[:, None]
    return lambda query, key: (apply_rotary(query, cos, sin), apply_rotary(key, cos, sin))


def count_parameters(config: Config) -> int:
    """How many numbers a model of this shape learns, from its description alone.

    >>> count_parameters(Config.of_size("nano", vocab_size=2048))
    1049984
    """
    d, kv = config.d_model, config.kv_heads * config.head_size
    attention = 2 * d * config.n_head * config.head_size + 2 * d * kv
    mlp = (3 if config.gated else 2) * d * config.hidden
    norm = d * (2 if config.norm == "layer" else 1)
    norms = norm * (4 if config.post_norm else 2)
    if config.qk_norm:
        norms += 2 * config.head_size * (2 if config.norm == "layer" else 1)
    biases = 0
    if config.bias:
        biases = config.n_head * config.head_size + 2 * kv + d  # attention
        biases += config.hidden * (2 if config.gated else 1) + d  # MLP
    tables = config.vocab_size * d * (1 if config.tied else 2)
    if config.position == "learned":
        tables += config.n_context * d
    return tables + config.n_layer * (attention + mlp + norms + biases) + norm


def flops_per_token(config: Config, n_context: int) -> int:
    """Multiplications and additions that training costs for each token.

    A matrix product with N weights takes 2N operations forward and 4N backward. Attention's own
    products, scores and averages, have no weights: 12 · n_layer · n_head · d_head · n_context,
    the masked half counted too. Looking up an embedding is no product; the head is one.
    Chowdhery et al. 2022 (arXiv 2204.02311), appendix B.

    Args:
        config: the model's shape.
        n_context: tokens in each training text.
    """
    d, kv = config.d_model, config.kv_heads * config.head_size
    attention = 2 * d * config.n_head * config.head_size + 2 * d * kv
    mlp = (3 if config.gated else 2) * d * config.hidden
    weights = config.n_layer * (attention + mlp) + config.vocab_size * d
    return 6 * weights + 12 * config.n_layer * config.n_head * config.head_size * n_context


def kv_cache_bytes(config: Config, n_tokens: int, bytes_per_number: int = 2) -> int:
    """Memory that the keys and values of `n_tokens` tokens take while a model writes.

    Local layers keep no more than their window.
    """
    row = 2 * config.kv_heads * config.head_size * bytes_per_number
    n_local = len(config.local_layers)
    near = min(n_tokens, config.window or n_tokens)
    return row * ((config.n_layer - n_local) * n_tokens + n_local * near)

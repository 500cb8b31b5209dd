"""Checks of the floor `lib.transformer`. Oracles: torch's own norms and attention, rotation by
complex numbers, a small GPT written out as one function, tables of shapes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.course.bank import Case, Exercise, with_method
from lib.course.checks.attention import ListCache, randn, turn, visible
from lib.transformer import Block, Config, GatedMLP, RMSNorm, RopeScaling, Transformer


def fill(module: nn.Module, std: float = 0.3) -> Any:
    """Fixed weights that hide nothing: norms away from 1, biases away from 0."""
    generator = torch.Generator().manual_seed(7)
    for name, parameter in module.named_parameters():
        scale = 0.5 if name.endswith("embedding.weight") else std
        around = 0.0 if parameter.ndim > 1 or name.endswith("bias") else parameter.detach()
        noise = torch.randn(parameter.shape, generator=generator) * scale
        parameter.data.copy_(around + noise)
    return module


def _shape(x: Tensor) -> str:
    return f"x: {tuple(x.shape)}, {str(x.dtype).removeprefix('torch.')}"


# --- GatedMLP.forward -----------------------------------------------------------------------------


def bend(x: Tensor, activation: str) -> Tensor:
    """The activations, from their formulas."""
    if activation == "silu":
        return x / (1 + (-x).exp())
    if activation == "relu_squared":
        return x.clamp(min=0) ** 2
    if activation == "gelu_tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        return 0.5 * x * (1 + inner.tanh())
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def written_out_mlp(self: Any, x: Tensor) -> Tensor:
    """As products of matrices."""

    def linear(layer: nn.Linear, x: Tensor) -> Tensor:
        y = x @ layer.weight.T
        return y if layer.bias is None else y + layer.bias

    up = linear(self.up, x)
    gate = getattr(self, "gate", None)
    if gate is None:
        return linear(self.down, bend(up, self.activation))
    return linear(self.down, bend(linear(gate, x), self.activation) * up)


def run_mlp(activation: str = "silu", bias: bool = False) -> Any:
    def run(forward: Any, x: Tensor) -> Tensor:
        mlp = with_method(GatedMLP, "forward", forward)(x.size(-1), 9, activation, bias)
        return fill(mlp, std=0.6)(x)

    return run


def mlp_case(
    title: str, inputs: Any, activation: str = "silu", bias: bool = False, **more: Any
) -> Case:
    run = run_mlp(activation, bias)
    settings = f', "{activation}"' * (activation != "silu") + ", bias=True" * bias
    return Case(
        title,
        inputs,
        run=run,
        expected=lambda x: run(written_out_mlp, x),
        call=f"GatedMLP({inputs()[0].size(-1)}, 9{settings})(x)        # {_shape(inputs()[0])}",
        **more,
    )


GATED_MLP = Exercise(
    "lib.transformer.GatedMLP.forward",
    cases=[
        mlp_case("SwiGLU; 2 texts of 3 tokens", lambda: (randn(2, 3, 5),), gradient=True),
        mlp_case("GeGLU, as in Gemma", lambda: (randn(2, 3, 5),), "gelu_tanh", gradient=True),
        mlp_case("GeGLU with the exact GELU", lambda: (randn(4, 5),), "gelu"),
        mlp_case("square ReLU, with biases", lambda: (randn(4, 5),), "relu_squared", bias=True),
        mlp_case("a single vector", lambda: (randn(6, scale=3.0),)),
    ],
    speed=lambda: (randn(8, 128, 64),),
    speed_run=run_mlp(),
    hints=(
        "Three matrices, three letters in the formula. Two of them read x and make it wider; the "
        "third brings it back. Which of the three is bent?",
        "Make gate(x) and up(x), bend the gate with the function `activate` from above, and "
        "multiply number by number, with *.",
        "activate(…, self.activation) takes the gate's vector. The product goes through "
        "self.down, and nothing is added: the block does that.",
    ),
)

# --- RMSNorm.forward ------------------------------------------------------------------------------


def torch_rms_norm(self: RMSNorm, x: Tensor) -> Tensor:
    """PyTorch's own, in float32."""
    weight = self.weight.float() + self.offset
    return F.rms_norm(x.float(), (x.size(-1),), weight, self.eps).to(x.dtype)


def run_norm(eps: float = 1e-6, offset: float = 0.0) -> Any:
    def run(forward: Any, x: Tensor, weight: Tensor) -> Tensor:
        norm = with_method(RMSNorm, "forward", forward)(x.size(-1), eps=eps, offset=offset)
        del norm.weight  # a plain tensor in its place, so that gradients reach it
        norm.weight = weight
        return norm(x)

    return run


def norm_case(title: str, inputs: Any, eps: float = 1e-6, offset: float = 0.0, **more: Any) -> Case:
    run = run_norm(eps, offset)
    settings = f", eps={eps:g}" * (eps != 1e-6) + f", offset={offset:g}" * (offset != 0)
    return Case(
        title,
        inputs,
        run=run,
        expected=lambda x, weight: run(torch_rms_norm, x, weight),
        call=f"RMSNorm({inputs()[0].size(-1)}{settings})(x)        # {_shape(inputs()[0])}",
        **more,
    )


RMS_NORM = Exercise(
    "lib.transformer.RMSNorm.forward",
    cases=[
        norm_case(
            "2 texts of 3 tokens of 5 numbers",
            lambda: (randn(2, 3, 5) + 1, randn(5, seed=1) + 1),
            gradient=True,
        ),
        norm_case("ε as large as the numbers", lambda: (randn(2, 4), randn(4, seed=1)), eps=0.5),
        norm_case("Gemma's: 1 + weight", lambda: (randn(3, 6), randn(6, seed=1) * 0.3), offset=1.0),
        norm_case("a token of zeros only", lambda: (torch.zeros(1, 4), torch.ones(4))),
        norm_case("a single vector", lambda: (randn(7) * 3, randn(7, seed=1))),
        norm_case(
            "float16, numbers in the hundreds",
            lambda: (
                randn(2, 8, scale=300.0, dtype=torch.float16),
                randn(8, seed=1, dtype=torch.float16),
            ),
            rtol=5e-3,
            atol=5e-3,
        ),
        norm_case(
            "bfloat16 vectors, float32 weights",
            lambda: (randn(2, 8, dtype=torch.bfloat16), randn(8, seed=1)),
            rtol=2e-2,
            atol=2e-2,
        ),
    ],
    speed=lambda: (randn(8, 128, 256), torch.ones(256)),
    speed_run=run_norm(),
    hints=(
        "One number for each vector says how large it is: the mean of its squares. What happens "
        "to the vector with it? Work on the last axis only, and keep it there.",
        "x.float() first. Then .square(), .mean(dim=-1, keepdim=True), + self.eps, and under the "
        "root: .rsqrt() is one over the root, so that you can multiply.",
        "Multiply the scaled vector by (self.offset + self.weight.float()), and last go back to "
        "the dtype that x came in: .to(x.dtype). Nothing with an underscore at its end, such as "
        "mul_, as that would change the caller's x.",
    ),
)

# --- rotary positions -----------------------------------------------------------------------------


def angles_one_by_one(
    positions: Tensor,
    d_head: int,
    base: float = 10_000.0,
    stretch: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Plain Python numbers, one after the other."""
    speeds = torch.tensor([base ** (-2 * i / d_head) for i in range(d_head // 2)])
    if stretch is not None:
        speeds = stretch(speeds)
    if positions.device.type == "meta":
        return torch.empty(*positions.shape, d_head // 2, device="meta")
    rows = [[p * s for s in speeds.tolist()] for p in positions.flatten().tolist()]
    return torch.tensor(rows).view(*positions.shape, d_head // 2)


def slow_half(frequencies: Tensor) -> Tensor:
    """A stretch for checks: only what turns slower than a radian in twenty tokens is slowed."""
    return torch.where(frequencies < 0.05, frequencies / 4, frequencies)


ROTARY_ANGLES = Exercise(
    "lib.transformer.rotary_angles",
    oracle=angles_one_by_one,
    cases=[
        Case("3 tokens, heads of 4, base 100", lambda: (torch.arange(3), 4, 100.0)),
        Case("2 new tokens after 7 old ones", lambda: (torch.arange(7, 9), 8)),
        Case(
            "2 texts, each with positions of its own",
            lambda: (torch.tensor([[0, 1, 2], [5, 6, 9]]), 6, 10_000.0),
        ),
        Case("far out, base 1,000,000", lambda: (torch.tensor([4_000, 131_071]), 8, 1e6)),
        Case(
            "slow pairs slowed further",
            lambda: (torch.arange(20, 24), 8, 10_000.0, slow_half),
            call="rotary_angles(positions, 8, stretch=...)        # positions: 20 to 23",
        ),
        Case("heads of 2: a single pair", lambda: (torch.arange(4), 2)),
        Case(
            "made where the positions are",
            lambda: (torch.arange(3, device="meta"), 4),
            call='rotary_angles(torch.arange(3, device="meta"), 4)',
        ),
    ],
    speed=lambda: (torch.arange(4096), 64),
    hints=(
        "A table: a row for each position, a column for each pair. First make the row of position "
        "1; every other row is a multiple of it.",
        "The exponents are 0, −2/d, −4/d …: torch.arange(0, d_head, 2) counts the twos. Make them "
        "where the positions are, device=positions.device, as float32. base to these powers are "
        "the frequencies; stretch, if given, changes them.",
        "positions[..., None] puts an axis of size 1 behind the positions; multiplied by the "
        "frequencies (d_head/2) it broadcasts to (... t d_head/2).",
    ),
)


def complex_rotation(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Pairs as complex numbers, in float64: a rotation is a multiplication."""
    half = x.size(-1) // 2
    pairs = torch.complex(x[..., :half].double(), x[..., half:].double())
    turned = pairs * torch.complex(cos.double(), sin.double())
    return torch.cat([turned.real, turned.imag], dim=-1).to(x.dtype)


def waves(*shape: int, seed: int = 5) -> tuple[Tensor, Tensor]:
    angles = randn(*shape, seed=seed, scale=2.0)
    return angles.cos(), angles.sin()


APPLY_ROTARY = Exercise(
    "lib.transformer.apply_rotary",
    oracle=complex_rotation,
    cases=[
        Case("3 tokens of 4 numbers", lambda: (randn(3, 4), *waves(3, 2))),
        Case(
            "2 texts, 3 heads, 5 tokens, 8 numbers",
            lambda: (randn(2, 3, 5, 8), *waves(5, 4)),
            gradient=True,
        ),
        Case(
            "each text with angles of its own",
            lambda: (randn(2, 3, 5, 4), *waves(2, 1, 5, 2)),
        ),
        Case(
            "a single pair, a quarter turn",
            lambda: (torch.tensor([[1.0, 2.0]]), torch.zeros(1, 1), torch.ones(1, 1)),
        ),
        Case(
            "bfloat16 keys, float32 angles",
            lambda: (randn(2, 2, 3, 6, dtype=torch.bfloat16), *waves(3, 3)),
            rtol=2e-2,
            atol=4e-2,
        ),
    ],
    speed=lambda: (randn(4, 8, 128, 64), *waves(128, 32)),
    hints=(
        "Split the last axis into its first and its second half: pair i is one number of each. "
        "Then school geometry: how do x and y change when a point turns about the origin?",
        "x.chunk(2, dim=-1) gives both halves. The new first half is first·cos − second·sin, and "
        "the new second half mixes the *old* ones too.",
        "torch.cat([new_first, new_second], dim=-1), with cos and sin brought to the dtype of x "
        "before: cos.to(x.dtype).",
    ),
)

# --- a GPT, written out ---------------------------------------------------------------------------


class LayerListCache(ListCache):
    """A list cache that says how many tokens it holds."""

    def __len__(self) -> int:
        return 0 if self.key is None else self.key.size(2)


def written_out_norm(norm: nn.Module, x: Tensor) -> Tensor:
    if isinstance(norm, nn.Identity):
        return x
    if isinstance(norm, nn.LayerNorm):
        return F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    return torch_rms_norm(norm, x)  # type: ignore[arg-type]


def written_out_attention(
    block: Any, x: Tensor, mask: Tensor | None, rotate: Any, cache: Any
) -> Tensor:
    """Head by head with PyTorch's own attention."""
    layer = block.attention
    size, group = layer.d_head, layer.n_head // layer.n_kv_head
    query, key, value = (
        torch.stack(part(x).split(size, dim=-1), dim=1)
        for part in (layer.query, layer.key, layer.value)
    )
    query, key = written_out_norm(block.query_norm, query), written_out_norm(block.key_norm, key)
    query = query * block.query_factor
    if rotate is not None:
        query, key = rotate(query, key)
    if cache is not None:
        key, value = cache.append(key, value)
    if mask is None:
        mask = visible(query.size(2), key.size(2))
    heads = [
        F.scaled_dot_product_attention(
            query[:, h : h + 1], key[:, h // group, None], value[:, h // group, None], mask
        )[:, 0]
        for h in range(layer.n_head)
    ]
    return layer.output(torch.cat(heads, dim=-1))


def written_out_block(
    self: Any, x: Tensor, mask: Tensor | None = None, rotate: Any = None, cache: Any = None
) -> Tensor:
    norm = written_out_norm
    news = written_out_attention(self, norm(self.attention_norm, x), mask, rotate, cache)
    middle = x + norm(self.attention_post_norm, news)
    thought = written_out_mlp(self.mlp, norm(self.mlp_norm, middle))
    return middle + norm(self.mlp_post_norm, thought)


def written_out_gpt(
    self: Any,
    tokens: Tensor,
    positions: Tensor | None = None,
    mask: Tensor | None = None,
    cache: Any = None,
    head: Any = None,
) -> Tensor:
    """A transformer in one function: for every kind of model that the checks use."""
    config = self.config
    old = 0 if cache is None else len(cache[0])
    new = tokens.size(1)
    if positions is None:
        positions = torch.arange(old, old + new)
    x = F.one_hot(tokens, config.vocab_size).float() @ self.embedding.weight
    if config.scale_embedding:
        x = x * math.sqrt(config.d_model)
    if config.position == "learned":
        x = x + self.position.weight[positions]
    for i, block in enumerate(self.blocks):
        local = i in config.local_layers
        factor = config.rope_scaling.factor if config.rope_scaling and not local else 1.0
        angles = angles_one_by_one(
            positions,
            config.head_size,
            config.rope_base_local if local else config.rope_base,
            lambda speeds, factor=factor: speeds / factor,  # type: ignore[misc]
        )
        angles = angles if angles.ndim == 2 else angles[:, None]

        def rotate(query: Tensor, key: Tensor, angles: Tensor = angles) -> tuple[Tensor, Tensor]:
            cos, sin = angles.cos(), angles.sin()
            return complex_rotation(query, cos, sin), complex_rotation(key, cos, sin)

        seen = visible(new, old + new) if mask is None else mask
        if local:
            ago = torch.arange(old, old + new)[:, None] - torch.arange(old + new)
            seen = seen & (ago < config.window)
        turned = rotate if config.position == "rotary" else None
        x = written_out_block(block, x, seen, turned, None if cache is None else cache[i])
    x = written_out_norm(self.norm, x)
    return x @ self.head.weight.T if head is None else head(x)


# --- Block.forward --------------------------------------------------------------------------------


def config_of(**changes: Any) -> Config:
    """A small model in which no two sizes are alike: 6 heads of 4 read 2 key-value heads."""
    sizes = {"d_model": 20, "n_layer": 2, "n_head": 6, "n_kv_head": 2, "d_head": 4, "d_hidden": 9}
    return Config(**{"vocab_size": 13, **sizes, "n_context": 16, **changes})


GPT_2: dict[str, Any] = {
    "norm": "layer",
    "qk_norm": False,
    "gated": False,
    "activation": "gelu_tanh",
    "bias": True,
    "position": "learned",
}
GEMMA_3: dict[str, Any] = {
    "norm": "rms_plus_one",
    "post_norm": True,
    "activation": "gelu_tanh",
    "scale_embedding": True,
    "window": 3,
    "local_layers": (0,),
    "query_scale": 9.0,
    "rope_base_local": 100.0,
}


def block_of(forward: Any, **changes: Any) -> Any:
    return fill(with_method(Block, "forward", forward)(config_of(**changes)))


def run_block(**changes: Any) -> Any:
    return lambda forward, x: block_of(forward, **changes)(x)


def run_block_masked(forward: Any, x: Tensor) -> Tensor:
    everything = torch.ones(x.size(1), x.size(1), dtype=torch.bool)
    return block_of(forward)(x, mask=everything)


def run_block_rotated(forward: Any, x: Tensor) -> Tensor:
    return block_of(forward, qk_norm=False)(x, rotate=turn)


def run_block_cached(forward: Any, x: Tensor) -> tuple[Tensor, ...]:
    block, cache = block_of(forward), LayerListCache()
    pieces = [block(part, rotate=turn, cache=cache) for part in torch.split(x, [3, 2, 1], dim=1)]
    return torch.cat(pieces, dim=1), torch.tensor(len(cache))


def block_case(title: str, run: Any, call: str, t: int = 5, **more: Any) -> Case:
    return Case(
        title,
        lambda: (randn(2, t, 20, scale=2.0),),
        run=run,
        expected=lambda x: run(written_out_block, x),
        call=call,
        **more,
    )


BLOCK = Exercise(
    "lib.transformer.Block.forward",
    cases=[
        block_case(
            "2 texts of 5 tokens",
            run_block(),
            "Block(config)(x)        # x: (2, 5, 20)",
            gradient=True,
        ),
        block_case(
            "as in Gemma 3: what comes back is normalised too",
            run_block(**GEMMA_3),
            "Block(config)(x)        # config.post_norm is True",
            gradient=True,
        ),
        block_case(
            "as in GPT-2: LayerNorm, biases, no gate",
            run_block(**GPT_2),
            "Block(config)(x)        # config.norm is 'layer'",
        ),
        block_case(
            "a mask of the caller's: all may see all",
            run_block_masked,
            "Block(config)(x, mask=torch.ones(5, 5, dtype=torch.bool))",
        ),
        block_case("queries and keys turned", run_block_rotated, "Block(config)(x, rotate=...)"),
        block_case(
            "with a cache: 3 tokens, then 2, then 1",
            run_block_cached,
            "block(x[:, :3], rotate=..., cache=cache), then x[:, 3:5], then x[:, 5:]",
            t=6,
        ),
    ],
    speed=lambda: (randn(4, 64, 20),),
    speed_run=run_block(),
    hints=(
        "Two sentences of the same form: the stream is what it was, plus what a part says about a "
        "normalised copy of it. Write the one for attention first.",
        "self.attend(self.attention_norm(x), mask, rotate, cache) is what attention says; it goes "
        "through self.attention_post_norm and is added to x. The norm is for the reader; the "
        "stream itself stays unnormalised.",
        "x = x + …; then the same with self.mlp_norm, self.mlp and self.mlp_post_norm, reading the "
        "new x. Write x = x + …, not x += …, which would change the caller's x.",
    ),
)

# --- Transformer.forward --------------------------------------------------------------------------


def model_of(forward: Any, **changes: Any) -> Any:
    return fill(with_method(Transformer, "forward", forward)(config_of(**changes)))


def some_tokens(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(13, shape, generator=generator)


def run_model(**changes: Any) -> Any:
    return lambda forward, tokens: model_of(forward, **changes)(tokens)


def run_model_cached(**changes: Any) -> Any:
    """The text in three pieces, as when a model reads what it writes."""

    def run(forward: Any, tokens: Tensor) -> tuple[Tensor, ...]:
        model = model_of(forward, **changes)
        cache = [LayerListCache() for _ in model.blocks]
        pieces = [model(part, cache=cache) for part in torch.split(tokens, [4, 2, 1], dim=1)]
        return torch.cat(pieces, dim=1), torch.tensor([len(layer) for layer in cache])

    return run


def run_model_placed(forward: Any, tokens: Tensor, positions: Tensor) -> Tensor:
    return model_of(forward, qk_norm=False)(tokens, positions)


def run_model_placed_cached(forward: Any, tokens: Tensor, positions: Tensor) -> Tensor:
    model = model_of(forward, qk_norm=False)
    cache = [LayerListCache() for _ in model.blocks]
    model(tokens[:, :4], positions[:, :4], cache=cache)
    return model(tokens[:, 4:], positions[:, 4:], cache=cache)


def run_model_masked(forward: Any, tokens: Tensor) -> Tensor:
    t = tokens.size(1)
    mask = visible(t, t).repeat(2, 1, 1, 1)
    mask[1, :, 2:, :2] = False  # in the second text the first two tokens are padding
    return model_of(forward, **GEMMA_3)(tokens, mask=mask)


def run_model_head(forward: Any, tokens: Tensor) -> Tensor:
    return model_of(forward)(tokens, head=lambda x: x[..., :3] * 2)


def model_case(title: str, run: Any, call: str, inputs: Any = None) -> Case:
    return Case(
        title,
        inputs or (lambda: (some_tokens(2, 7),)),
        run=run,
        expected=lambda *inputs: run(written_out_gpt, *inputs),
        call=call,
        rtol=1e-3,
        atol=1e-4,
    )


TRANSFORMER = Exercise(
    "lib.transformer.Transformer.forward",
    cases=[
        model_case(
            "as in Qwen3; 2 texts of 7 tokens",
            run_model(),
            "Transformer(config)(tokens)        # tokens: (2, 7)",
        ),
        model_case(
            "as in Llama 3, with a head of its own",
            run_model(qk_norm=False, tied=False, rope_scaling=RopeScaling("linear", 4.0)),
            "Transformer(config)(tokens)        # config.tied is False",
        ),
        model_case(
            "as in GPT-2: learned positions",
            run_model(**GPT_2),
            "Transformer(config)(tokens)        # config.position is 'learned'",
        ),
        model_case(
            "as in Gemma 3: scaled embeddings, layers that look near and far",
            run_model(**GEMMA_3),
            "Transformer(config)(tokens)        # config.local_layers is (0,)",
        ),
        model_case(
            "with a cache: 4 tokens, then 2, then 1",
            run_model_cached(),
            "model(tokens[:, :4], cache=cache), then tokens[:, 4:6], then tokens[:, 6:]",
        ),
        model_case(
            "as in GPT-2, with a cache",
            run_model_cached(**GPT_2),
            "model(tokens[:, :4], cache=cache), then tokens[:, 4:6], then tokens[:, 6:]",
        ),
        model_case(
            "positions of the caller's, for each text its own",
            run_model_placed,
            "model(tokens, positions)        # positions: (2, 7)",
            lambda: (some_tokens(2, 7), torch.tensor([range(7), [0, 0, 0, 1, 2, 5, 9]])),
        ),
        model_case(
            "positions of the caller's, with a cache",
            run_model_placed_cached,
            "model(tokens[:, 4:], positions[:, 4:], cache=cache)",
            lambda: (some_tokens(2, 7), torch.tensor([range(7), [0, 0, 0, 1, 2, 5, 9]])),
        ),
        model_case(
            "a mask of the caller's",
            run_model_masked,
            "model(tokens, mask=mask)        # mask: (2, 1, 7, 7)",
        ),
        model_case(
            "another head than the model's",
            run_model_head,
            "model(tokens, head=lambda x: x[..., :3] * 2)",
        ),
    ],
    speed=lambda: (some_tokens(4, 64),),
    speed_run=run_model(),
    hints=(
        "Follow the drawing at the top of the section from left to right. Everything in it exists: "
        "self.embed, self.sights, self.blocks, self.norm, self.head.",
        "With a cache the new tokens stand behind the old ones: they start at len(cache[0]), and "
        "there are that many keys more. Find out both before the first block, which lengthens it.",
        "self.sights(positions, n_key, mask) gives a pair (mask, rotate) for each layer. Loop over "
        "self.blocks with enumerate, and give each block its own pair and its own cache[layer], or "
        "None. Then the last norm, and the head: the caller's, if there is one.",
    ),
)

# --- counting -------------------------------------------------------------------------------------


def shapes_of(config: Config) -> list[tuple[int, ...]]:
    """The shape of every tensor that the model learns, one after the other."""
    d, size, hidden = config.d_model, config.head_size, config.hidden
    queries, keys = config.n_head * size, config.kv_heads * size
    norm = [(d,), (d,)] if config.norm == "layer" else [(d,)]
    small = [(size,), (size,)] if config.norm == "layer" else [(size,)]
    shapes: list[tuple[int, ...]] = [(config.vocab_size, d)]
    if not config.tied:
        shapes.append((config.vocab_size, d))
    if config.position == "learned":
        shapes.append((config.n_context, d))
    for _ in range(config.n_layer):
        matrices = [(queries, d), (keys, d), (keys, d), (d, queries)]
        matrices += [(hidden, d)] * (2 if config.gated else 1) + [(d, hidden)]
        shapes += matrices
        if config.bias:
            shapes += [(rows,) for rows, _ in matrices]
        shapes += norm * (4 if config.post_norm else 2)
        if config.qk_norm:
            shapes += small * 2
    return shapes + norm


def add_up_shapes(config: Config) -> int:
    return sum(math.prod(shape) for shape in shapes_of(config))


LLAMA_3_8B: dict[str, Any] = {
    "vocab_size": 128_256,
    "d_model": 4096,
    "n_layer": 32,
    "n_head": 32,
    "n_kv_head": 8,
    "d_hidden": 14_336,
    "qk_norm": False,
    "tied": False,
}
QWEN_3_0_6B: dict[str, Any] = {
    "vocab_size": 151_936,
    "d_model": 1024,
    "n_layer": 28,
    "n_head": 16,
    "n_kv_head": 8,
    "d_head": 128,
    "d_hidden": 3072,
}
GPT_2_124M: dict[str, Any] = {
    "vocab_size": 50_257,
    "d_model": 768,
    "n_layer": 12,
    "n_head": 12,
    "n_context": 1024,
    **GPT_2,
}


def counted(title: str, changes: dict[str, Any], published: int | None = None) -> Case:
    return Case(
        title,
        lambda: (Config(**changes) if "d_model" in changes else config_of(**changes),),
        expected=add_up_shapes if published is None else (lambda config: published),
        call=f"count_parameters(config)        # {title}",
    )


COUNT_PARAMETERS = Exercise(
    "lib.transformer.count_parameters",
    oracle=add_up_shapes,
    cases=[
        counted("Llama 3 8B", LLAMA_3_8B, 8_030_261_248),
        counted("Qwen3 0.6B", QWEN_3_0_6B, 596_049_920),
        counted("GPT-2, 124M", GPT_2_124M, 124_439_808),
        counted("a small model with a tied head", {}),
        counted("a small model with a head of its own", {"tied": False}),
        counted("small, as in Gemma 3, with four norms a block", GEMMA_3),
        counted("small, with a gate and biases", {"bias": True, "qk_norm": False}),
        counted("small, LayerNorm for queries and keys too", {"norm": "layer"}),
    ],
    speed=lambda: (Config(**GPT_2_124M),),
    slowest=1000.0,  # counting shape by shape is right too, and nobody waits for it
    hints=(
        "A matrix from a numbers to b numbers learns a · b of them. List what one block holds, "
        "multiply by the number of blocks, and add what stands outside.",
        "Queries and output have n_head · head_size on one side, keys and values kv_heads · "
        "head_size, and d_model on the other. The MLP has 3 matrices if gated, else 2. Norms: 2 a "
        "block (4 with post_norm), 1 at the end, and 2 of head_size with qk_norm.",
        "The embedding table is vocab_size · d_model, twice if not tied. Then the options: learned "
        "positions (n_context · d_model), biases (one for each output of each projection), and a "
        "LayerNorm has two vectors where an RMSNorm has one.",
    ),
)


def add_up_products(config: Config, n_context: int) -> int:
    """Every matrix product of a training text, counted one by one: 2·a·b·c for (a b) times (b c),
    once forward and twice backward."""
    queries, keys = config.n_head * config.head_size, config.kv_heads * config.head_size
    d, t = config.d_model, n_context
    products = []
    for _ in range(config.n_layer):
        products += [(t, d, queries), (t, d, keys), (t, d, keys), (t, queries, d)]
        products += [(t, config.head_size, t), (t, t, config.head_size)] * config.n_head
        products += [(t, d, config.hidden)] * (2 if config.gated else 1) + [(t, config.hidden, d)]
    products.append((t, d, config.vocab_size))
    return sum(3 * 2 * a * b * c for a, b, c in products) // t


def operations(title: str, changes: dict[str, Any], n_context: int) -> Case:
    return Case(
        title,
        lambda: (Config(**changes) if "d_model" in changes else config_of(**changes), n_context),
        call=f"flops_per_token(config, {n_context})        # {title}",
    )


FLOPS_PER_TOKEN = Exercise(
    "lib.transformer.flops_per_token",
    oracle=add_up_products,
    cases=[
        operations("a small model with a tied head", {}, 7),
        operations("a small model with a head of its own", {"tied": False}, 7),
        operations("small, as in GPT-2: no gate", GPT_2, 16),
        operations("Llama 3 8B, texts of 8,192", LLAMA_3_8B, 8192),
        operations("Qwen3 0.6B, texts of 4,096", QWEN_3_0_6B, 4096),
    ],
    speed=lambda: (Config(**QWEN_3_0_6B), 4096),
    slowest=1000.0,
    hints=(
        "Only matrix products count. Each weight of a matrix is used once for each token: how many "
        "operations is that forward, and how many with the way back?",
        "6 operations for each weight: 2 forward, 4 backward. The weights are those of the "
        "projections, the MLPs and the head (tied or not: it multiplies). Norms, biases and the "
        "embedding table, which is only looked up, stay out.",
        "Attention itself: a token's queries meet n_context keys, n_head · head_size numbers each, "
        "and as much again for the average of the values. Times 2 for multiply and add, times 3 "
        "for the way back, for each layer.",
    ),
)

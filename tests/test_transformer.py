"""The transformer's floor against torch's own parts, published counts and a second way round."""

from __future__ import annotations

import json
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib.attention import MultiHeadAttention, causal_mask
from lib.course.checks.transformer import (
    GEMMA_3,
    GPT_2,
    LayerListCache,
    add_up_shapes,
    complex_rotation,
    config_of,
    fill,
    shapes_of,
)
from lib.transformer import (
    Block,
    Config,
    GatedMLP,
    RMSNorm,
    RopeScaling,
    Transformer,
    apply_rotary,
    count_parameters,
    flops_per_token,
    kv_cache_bytes,
    rotary_angles,
    stretch_frequencies,
)

KINDS = {
    "Qwen3": {},
    "Llama": {"qk_norm": False, "tied": False, "rope_scaling": RopeScaling("llama3", 8.0)},
    "GPT-2": GPT_2,
    "Gemma": {"norm": "rms_plus_one", "qk_norm": False, "activation": "gelu_tanh",
              "scale_embedding": True},
    "Gemma 3": GEMMA_3,
}  # fmt: skip
kinds = pytest.mark.parametrize("kind", list(KINDS))


def model_of(kind: str, **changes: object) -> Transformer:
    return fill(Transformer(config_of(**{**KINDS[kind], **changes})))


def some_tokens(b: int, t: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(13, (b, t), generator=torch.Generator().manual_seed(seed))


# --- parts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0.0, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_norm_equals_torchs(dtype: torch.dtype, offset: float) -> None:
    torch.manual_seed(0)
    norm = RMSNorm(32, eps=0.1, offset=offset)
    nn.init.normal_(norm.weight)
    x = (torch.randn(2, 3, 32) * 300).to(dtype)
    expected = F.rms_norm(x.float(), (32,), norm.weight + offset, 0.1).to(dtype)
    assert norm(x).dtype == dtype and norm(x).isfinite().all()
    torch.testing.assert_close(norm(x), expected)


def test_fresh_norm_scales_to_one() -> None:
    for offset in (0.0, 1.0):
        y = RMSNorm(64, offset=offset)(torch.randn(5, 64) * 7)
        torch.testing.assert_close(y.square().mean(-1), torch.ones(5), atol=1e-4, rtol=0)


def test_rotation_keeps_lengths_and_depends_on_distance_alone() -> None:
    torch.manual_seed(0)
    query, key = torch.randn(2, 200, 64)
    angles = rotary_angles(torch.arange(600), 64)
    cos, sin = angles.cos(), angles.sin()
    turned = apply_rotary(query, cos[:200], sin[:200])
    torch.testing.assert_close(turned.norm(dim=-1), query.norm(dim=-1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(turned, complex_rotation(query, cos[:200], sin[:200]))
    tables = []
    for start in (0, 37, 400):
        at = slice(start, start + 200)
        q, k = apply_rotary(query, cos[at], sin[at]), apply_rotary(key, cos[at], sin[at])
        tables.append(q @ k.mT)
    for table in tables[1:]:
        # Angles of some hundred radians in float32 are off by some 1e-5; scores have size 8.
        torch.testing.assert_close(table, tables[0], atol=2e-3, rtol=0)
    assert not torch.allclose(tables[0], query @ key.mT, atol=1.0)


def test_llama3_stretch_leaves_fast_pairs_and_slows_slow_ones() -> None:
    scaling = RopeScaling("llama3", 8.0, 1.0, 4.0, 8192)
    frequencies = 500_000.0 ** (-torch.arange(64) / 64)
    stretched = stretch_frequencies(frequencies, scaling)
    turns = 8192 * frequencies / (2 * math.pi)
    assert torch.equal(stretched[turns > 4], frequencies[turns > 4])
    torch.testing.assert_close(stretched[turns < 1], frequencies[turns < 1] / 8)
    between = (turns > 1) & (turns < 4)
    assert between.any()
    assert (stretched[between] < frequencies[between]).all()
    assert (stretched[between] > frequencies[between] / 8).all()
    linear = stretch_frequencies(frequencies, RopeScaling("linear", 2.0))
    torch.testing.assert_close(linear, frequencies / 2)


def test_two_hidden_units_multiply_exactly() -> None:
    """silu(a)·b + silu(−a)·(−b) = a·b: what the lesson says of a gate."""
    mlp = GatedMLP(2, 2)
    with torch.no_grad():
        mlp.gate.weight.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
        mlp.up.weight.copy_(torch.tensor([[0.0, 1.0], [0.0, -1.0]]))
        mlp.down.weight.copy_(torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
    x = torch.randn(100, 2) * 3
    torch.testing.assert_close(mlp(x)[:, 0], x[:, 0] * x[:, 1], atol=1e-5, rtol=1e-5)


def test_block_is_torchs_block() -> None:
    """GPT-2's block is torch's encoder layer with the norm first and a causal mask."""
    torch.manual_seed(0)
    ours = fill(Block(config_of(**{**GPT_2, "activation": "gelu"}, n_kv_head=6, d_head=None,
                                d_model=24, d_hidden=40)))  # fmt: skip
    theirs = nn.TransformerEncoderLayer(24, 6, 40, 0.0, "gelu", batch_first=True, norm_first=True)
    parts = [ours.attention.query, ours.attention.key, ours.attention.value]
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.self_attn.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
    theirs.self_attn.out_proj.load_state_dict(ours.attention.output.state_dict())
    theirs.linear1.load_state_dict(ours.mlp.up.state_dict())
    theirs.linear2.load_state_dict(ours.mlp.down.state_dict())
    theirs.norm1.load_state_dict(ours.attention_norm.state_dict())
    theirs.norm2.load_state_dict(ours.mlp_norm.state_dict())
    x = torch.randn(2, 7, 24)
    torch.testing.assert_close(ours(x), theirs(x, src_mask=~causal_mask(7)), atol=1e-4, rtol=1e-4)


# --- the model ------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("pieces", [[1] * 9, [4, 5], [8, 1]])
def test_cached_equals_uncached(kind: str, pieces: list[int]) -> None:
    model, tokens = model_of(kind), some_tokens(2, 9)
    cache = [LayerListCache() for _ in model.blocks]
    with torch.no_grad():
        parts = [model(part, cache=cache) for part in torch.split(tokens, pieces, dim=1)]
        torch.testing.assert_close(torch.cat(parts, dim=1), model(tokens), atol=1e-4, rtol=1e-4)


@kinds
def test_nothing_flows_back_in_time(kind: str) -> None:
    model, tokens = model_of(kind), some_tokens(1, 8)
    with torch.no_grad():
        for position in range(8):
            changed = tokens.clone()
            changed[:, position] = (changed[:, position] + 1) % 13
            moved = (model(tokens) - model(changed)).abs().amax(dim=-1)[0] > 1e-6
            assert not moved[:position].any() and moved[position]


@pytest.mark.parametrize("kind", ["Qwen3", "Llama", "Gemma", "Gemma 3"])
def test_rotary_models_do_not_care_where_a_text_stands(kind: str) -> None:
    model, tokens = model_of(kind), some_tokens(2, 9)
    with torch.no_grad():
        moved = model(tokens, torch.arange(300, 309))
        torch.testing.assert_close(moved, model(tokens), atol=2e-3, rtol=1e-3)


def test_learned_positions_end() -> None:
    model = model_of("GPT-2")  # n_context is 16
    assert model(some_tokens(1, 16)).shape == (1, 16, 13)
    with pytest.raises(ValueError, match="position 16 was never learned, the last one is 15"):
        model(some_tokens(1, 17))


def test_padding_on_the_left_changes_nothing() -> None:
    """With a mask and positions of their own, texts of unequal length share a batch."""
    model, long, short = model_of("Gemma 3"), some_tokens(1, 8), some_tokens(1, 5, seed=1)
    padded = torch.cat([torch.zeros(1, 3, dtype=torch.long), short], dim=1)
    positions = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 7], [0, 0, 0, 0, 1, 2, 3, 4]])
    mask = causal_mask(8).repeat(2, 1, 1, 1)
    mask[1, :, 3:, :3] = False
    with torch.no_grad():
        together = model(torch.cat([long, padded]), positions, mask)
        torch.testing.assert_close(together[:1], model(long), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(together[1:, 3:], model(short), atol=1e-4, rtol=1e-4)


def test_a_local_layer_looks_no_further_than_its_window() -> None:
    model = model_of("Gemma 3", n_layer=1, local_layers=(0,), window=3)
    tokens = some_tokens(1, 8)
    changed = tokens.clone()
    changed[0, 2] = (changed[0, 2] + 1) % 13
    with torch.no_grad():
        moved = (model(tokens) - model(changed)).abs().amax(dim=-1)[0] > 1e-6
    assert moved.tolist() == [False, False, True, True, True, False, False, False]


def test_the_query_scale_replaces_the_root_of_the_head_size() -> None:
    block = fill(Block(config_of(query_scale=9.0, qk_norm=False)))
    plain = fill(MultiHeadAttention(20, 6, 2, 4))
    plain.load_state_dict(block.attention.state_dict())
    x = torch.randn(1, 5, 20)
    factor = math.sqrt(4 / 9)
    expected = plain(x, rotate=lambda query, key: (query * factor, key))
    torch.testing.assert_close(block.attend(x, None, None, None), expected)


def test_gradients_reach_every_parameter() -> None:
    for kind in KINDS:
        model = model_of(kind)
        logits = model(some_tokens(2, 9))
        F.cross_entropy(logits.flatten(0, 1), some_tokens(2, 9, seed=1).flatten()).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, (kind, name)


def test_tied_head_is_the_embedding() -> None:
    model = model_of("Qwen3")
    assert model.head.weight is model.embedding.weight
    assert model_of("Llama").head.weight is not model_of("Llama").embedding.weight


@pytest.mark.parametrize("seed", range(3))
def test_untrained_model_knows_nothing(seed: int) -> None:
    """Over eight seeds it was 0.008 to 0.046 nats above ln V."""
    torch.manual_seed(seed)
    model = Transformer(Config.of_size("nano", vocab_size=2048, n_context=128))
    tokens = torch.randint(2048, (4, 129))
    with torch.no_grad():
        logits = model(tokens[:, :-1])
    loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).item()
    assert abs(loss - math.log(2048)) < 0.05


def test_initial_sizes() -> None:
    torch.manual_seed(0)
    model = Transformer(Config.of_size("mini", vocab_size=512, bias=True))
    for name, parameter in model.named_parameters():
        writes = name.endswith(("output.weight", "down.weight"))
        wanted = 0.02 / math.sqrt(2 * 6) if writes else 0.02
        if parameter.ndim == 2:
            assert parameter.std().item() == pytest.approx(wanted, rel=0.02), name
        elif name.endswith("bias"):
            assert (parameter == 0).all()
        else:
            assert (parameter == 1).all()


# --- counting -------------------------------------------------------------------------------------

PUBLISHED = {
    124_439_808: Config(50_257, 768, 12, 12, n_context=1024, **GPT_2),
    8_030_261_248: Config(128_256, 4096, 32, 32, 8, d_hidden=14_336, qk_norm=False, tied=False),
    596_049_920: Config(151_936, 1024, 28, 16, 8, 128, 3072),
    134_515_008: Config(49_152, 576, 30, 9, 3, d_hidden=1536, qk_norm=False),
    2_506_172_416: Config(256_000, 2048, 18, 8, 1, 256, 16_384, qk_norm=False),
    124_635_456: Config(32_000, 576, 30, 9, 3, d_hidden=1536, qk_norm=False),
}
"""GPT-2, Llama 3 8B, Qwen3-0.6B, SmolLM2-135M, Gemma 2B, MobileLLM-125M: as published."""


@pytest.mark.parametrize("published", list(PUBLISHED))
def test_published_counts(published: int) -> None:
    assert count_parameters(PUBLISHED[published]) == published
    assert add_up_shapes(PUBLISHED[published]) == published


@kinds
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_counts_are_those_of_a_built_model(kind: str, tied: bool, bias: bool) -> None:
    model = model_of(kind, tied=tied, bias=bias)
    assert count_parameters(model.config) == sum(p.numel() for p in model.parameters())
    built = sorted(tuple(p.shape) for p in model.parameters())
    assert sorted(shapes_of(model.config)) == built


@kinds
def test_operations_are_those_that_torch_counts(kind: str) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    # Twelve local tokens are computed as far ones are, and masked: the count says so.
    model, tokens = model_of(kind), some_tokens(3, 12)
    with FlopCounterMode(display=False) as counter:
        model(tokens).sum().backward()
    assert flops_per_token(model.config, 12) == counter.get_total_flops() / tokens.numel()


@kinds
def test_cache_bytes_are_those_of_a_cache(kind: str) -> None:
    model, tokens = model_of(kind, window=None, local_layers=()), some_tokens(1, 11)
    cache = [LayerListCache() for _ in model.blocks]
    model(tokens, cache=cache)
    held = sum(layer.key.nbytes + layer.value.nbytes for layer in cache)
    assert kv_cache_bytes(model.config, 11, bytes_per_number=4) == held


def test_local_layers_keep_their_window() -> None:
    config = config_of(n_layer=3, local_layers=(0, 2), window=4)
    row = 2 * 2 * 4 * 2  # key and value, 2 heads of 4 numbers, 2 bytes
    assert kv_cache_bytes(config, 10) == row * (10 + 4 + 4)
    assert kv_cache_bytes(config, 3) == row * 9


# --- the config -----------------------------------------------------------------------------------


@kinds
def test_config_there_and_back(kind: str) -> None:
    config = config_of(**KINDS[kind])
    values = json.loads(json.dumps(config.to_dict()))
    assert Config.from_dict(values) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d_model": 21, "d_head": None}, "d_model=21 does not divide into n_head=6 heads"),
        ({"n_kv_head": 4}, "n_head=6 does not divide by n_kv_head=4"),
        ({"d_head": 5}, "d_head=5 should be even"),
        ({"norm": "batch"}, "norm is one of rms, rms_plus_one, layer, got 'batch'"),
        ({"activation": "swish"}, "activation is one of silu"),
        ({"position": "sinus"}, "position is one of rotary, learned"),
        ({"n_layer": 0}, "expected n_layer of at least 1, got 0"),
        ({"local_layers": (0,)}, "local_layers needs a window"),
        ({"local_layers": (2,), "window": 3}, "are not all below 2"),
    ],
)
def test_impossible_shapes_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config_of(**changes)


def test_impossible_descriptions_are_refused() -> None:
    with pytest.raises(ValueError, match="has no setting heads"):
        Config.from_dict({**config_of().to_dict(), "heads": 3})
    with pytest.raises(ValueError, match="description of the model is incomplete"):
        Config.from_dict({"vocab_size": 13})
    with pytest.raises(ValueError, match="there is no size 'huge'"):
        Config.of_size("huge", vocab_size=10)
    with pytest.raises(ValueError, match="rope scaling is 'linear' or 'llama3'"):
        RopeScaling("yarn", 2.0)
    with pytest.raises(ValueError, match="factor of at least 1"):
        RopeScaling("linear", 0.5)


@pytest.mark.parametrize(
    ("size", "vocabulary", "millions"),
    [("nano", 2048, 1.0), ("mini", 4096, 6.0), ("small", 8192, 30.0), ("base", 16_384, 125.0)],
)
def test_sizes_are_about_what_they_say(size: str, vocabulary: int, millions: float) -> None:
    count = count_parameters(Config.of_size(size, vocabulary)) / 1e6
    assert 0.8 < count / millions < 1.25

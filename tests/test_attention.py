"""The attention floor against torch's own, at sizes and precisions that hide nothing."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lib.attention import (
    MultiHeadAttention,
    attention_map,
    causal_mask,
    merge_heads,
    repeat_kv,
    scaled_dot_product_attention,
    split_heads,
)
from lib.course.checks.attention import ListCache


@pytest.mark.parametrize("t", [1, 2, 7])
@pytest.mark.parametrize("s", [7, 12])
def test_equals_torch_and_its_gradients(t: int, s: int) -> None:
    torch.manual_seed(t * s)
    inputs = [torch.randn(2, 3, n, d, requires_grad=True) for n, d in [(t, 8), (s, 8), (s, 5)]]
    mask = causal_mask(t, s)
    ours = scaled_dot_product_attention(*inputs, mask)
    theirs = F.scaled_dot_product_attention(*inputs, attn_mask=mask)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    weights = torch.randn_like(ours)
    for a, b in zip(
        torch.autograd.grad((ours * weights).sum(), inputs),
        torch.autograd.grad((theirs * weights).sum(), inputs),
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_finite_in_half_precision(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(3, 2, 64, 64) * 15).to(dtype)
    answer = scaled_dot_product_attention(query, key, value, causal_mask(64))
    assert answer.dtype == dtype
    assert answer.isfinite().all()


def test_mask_of_the_last_queries() -> None:
    for n_key in range(1, 8):
        whole = causal_mask(n_key)
        for n_query in range(1, n_key + 1):
            assert causal_mask(n_query, n_key).tolist() == whole[-n_query:].tolist()
    with pytest.raises(ValueError, match="3 queries need at least as many keys, got 2"):
        causal_mask(3, 2)


def test_heads_there_and_back() -> None:
    x = torch.randn(2, 5, 12)
    for n_head in (1, 3, 12):
        assert torch.equal(merge_heads(split_heads(x, n_head)), x)


@pytest.mark.parametrize("n_kv_head", [1, 2, 3, 6])
def test_grouped_queries_equal_torch(n_kv_head: int) -> None:
    torch.manual_seed(n_kv_head)
    query = torch.randn(2, 6, 5, 4)
    key, value = torch.randn(2, 2, n_kv_head, 5, 4).unbind(0)
    n_repeat = 6 // n_kv_head
    ours = scaled_dot_product_attention(
        query, repeat_kv(key, n_repeat), repeat_kv(value, n_repeat), causal_mask(5)
    )
    theirs = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("bias", [False, True])
def test_layer_equals_torchs_layer(bias: bool) -> None:
    torch.manual_seed(1)
    ours = MultiHeadAttention(24, n_head=3, bias=bias)
    theirs = nn.MultiheadAttention(24, 3, bias=bias, batch_first=True)
    parts = [ours.query, ours.key, ours.value]
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.out_proj.weight.copy_(ours.output.weight)
        if bias:
            theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
            theirs.out_proj.bias.copy_(ours.output.bias)
    x = torch.randn(2, 7, 24)
    expected, maps = theirs(x, x, x, attn_mask=~causal_mask(7), average_attn_weights=False)
    torch.testing.assert_close(ours(x), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(attention_map(ours, x), maps, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pieces", [[1] * 9, [4, 5], [8, 1], [2, 3, 4]])
def test_cached_equals_uncached(pieces: list[int]) -> None:
    torch.manual_seed(2)
    attention = MultiHeadAttention(16, n_head=4, n_kv_head=2)
    x = torch.randn(3, 9, 16)
    cache = ListCache()
    answers = [attention(part, cache=cache) for part in torch.split(x, pieces, dim=1)]
    torch.testing.assert_close(torch.cat(answers, dim=1), attention(x), atol=1e-5, rtol=1e-5)


def test_nothing_flows_back_in_time() -> None:
    attention = MultiHeadAttention(16, n_head=4, n_kv_head=1)
    x = torch.randn(1, 6, 16)
    for position in range(6):
        changed = x.clone()
        changed[:, position] += 1
        moved = (attention(x) - attention(changed)).abs().amax(dim=-1)[0] > 1e-6
        assert moved.tolist() == [t >= position for t in range(6)]


def test_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="d_model=10 does not divide into n_head=3"):
        MultiHeadAttention(10, 3)
    with pytest.raises(ValueError, match="n_head=4 does not divide by n_kv_head=3"):
        MultiHeadAttention(8, 4, n_kv_head=3)
    assert MultiHeadAttention(10, 3, d_head=5)(torch.randn(1, 2, 10)).shape == (1, 2, 10)

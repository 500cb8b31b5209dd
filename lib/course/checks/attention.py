"""Checks of the floor `lib.attention`. Oracles: torch's own attention, and brute force."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.attention import MultiHeadAttention
from lib.course.bank import Case, Exercise, with_method


def randn(*shape: int, seed: int = 0, scale: float = 1.0, dtype: Any = torch.float32) -> Tensor:
    """Seeded normal numbers, made in float32 and then converted."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(*shape, generator=generator) * scale).to(dtype)


# --- causal_mask ----------------------------------------------------------------------------------


def visible(n_query: int, n_key: int | None = None, device: str | None = None) -> Tensor:
    """Query i stands at position n_key − n_query + i, and sees all keys up to there."""
    n_key = n_query if n_key is None else n_key
    rows = [[j <= n_key - n_query + i for j in range(n_key)] for i in range(n_query)]
    return torch.tensor(rows, dtype=torch.bool).view(n_query, n_key).to(device or "cpu")


CAUSAL_MASK = Exercise(
    "lib.attention.causal_mask",
    oracle=visible,
    cases=[
        Case("4 queries, as many keys", lambda: (4,)),
        Case("1 query, 1 key", lambda: (1, 1)),
        Case("2 new queries, 5 keys", lambda: (2, 5)),
        Case("1 new query, 7 keys", lambda: (1, 7)),
        Case("fewer keys than queries", lambda: (3, 2), raises=ValueError),
        Case("made on the device that was asked for", lambda: (2, 3, "meta")),
    ],
    speed=lambda: (512, 1024),
    hints=(
        "Write the mask for 4 tokens on paper first: row = who asks, column = who is looked at. "
        "Then ask which row a single new token would be, if four tokens came before it.",
        "A matrix of True with everything above a diagonal removed is `.tril(diagonal=k)`. For a "
        "square mask k is 0. The last query must always see the last key: what is k then?",
        "torch.ones(n_query, n_key, dtype=torch.bool, device=device) has the right size. Take its "
        "lower triangle with the diagonal moved to the right by as many keys as there are more "
        "than queries; before that, n_key needs its default and the impossible case its error.",
    ),
)

# --- scaled_dot_product_attention -----------------------------------------------------------------


def torch_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> Tensor:
    """PyTorch's own attention, in float64 when the inputs are in half precision."""
    if query.dtype in (torch.float16, torch.bfloat16):
        exact = F.scaled_dot_product_attention(
            query.double(), key.double(), value.double(), attn_mask=mask
        )
        return exact.to(query.dtype)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def qkv(
    n_query: int,
    n_key: int,
    d_key: int,
    d_value: int,
    lead: tuple[int, ...] = (2, 3),
    **options: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        randn(*lead, n_query, d_key, seed=1, **options),
        randn(*lead, n_key, d_key, seed=2, **options),
        randn(*lead, n_key, d_value, seed=3, **options),
    )


SCALED_DOT_PRODUCT_ATTENTION = Exercise(
    "lib.attention.scaled_dot_product_attention",
    oracle=torch_attention,
    cases=[
        Case(
            "no mask; 4 queries, 6 keys, d_k=8, d_v=5",
            lambda: qkv(4, 6, 8, 5),
            gradient=True,
        ),
        Case(
            "causal mask; 5 queries, 5 keys",
            lambda: (*qkv(5, 5, 8, 5), visible(5)),
            gradient=True,
        ),
        Case("causal mask; 2 queries, 6 keys", lambda: (*qkv(2, 6, 8, 5), visible(2, 6))),
        Case(
            "a mask for each batch and head",
            lambda: (
                *qkv(4, 6, 8, 5),
                (randn(2, 3, 4, 6, seed=4) > 0) | (torch.arange(6) == 0),
            ),
        ),
        Case("no batch, no heads", lambda: (*qkv(3, 3, 4, 4, lead=()), visible(3))),
        Case(
            "scores in the hundreds",
            lambda: (*qkv(4, 4, 16, 3, scale=15.0), visible(4)),
        ),
        Case(
            "bfloat16, causal mask",
            lambda: (*qkv(4, 4, 8, 8, dtype=torch.bfloat16), visible(4)),
            rtol=2e-2,
            atol=2e-2,
        ),
        Case(
            "float16, causal mask",
            lambda: (*qkv(4, 4, 8, 8, dtype=torch.float16), visible(4)),
            rtol=5e-3,
            atol=5e-3,
        ),
    ],
    speed=lambda: (*qkv(128, 128, 32, 32, lead=(4, 4)), visible(128)),
    hints=(
        "Three lines, one for each step. The first gives a score for every pair of a query and a "
        "key: what shape must it have?",
        "Scores: query @ key.mT, divided by the square root of the length of one query. Where the "
        "mask is False, write -inf into the scores: e to the minus infinity is exactly 0.",
        "scores.masked_fill(~mask, float('-inf')), then .softmax(dim=-1) so that each query's "
        "weights sum to 1 over the keys, then weights @ value. mask may be None.",
    ),
)

# --- heads ----------------------------------------------------------------------------------------


def brute_split(x: Tensor, n_head: int) -> Tensor:
    d = x.size(-1) // n_head
    return torch.stack([x[:, :, h * d : (h + 1) * d] for h in range(n_head)], dim=1)


def brute_merge(x: Tensor) -> Tensor:
    return torch.cat([x[:, h] for h in range(x.size(1))], dim=-1)


SPLIT_HEADS = Exercise(
    "lib.attention.split_heads",
    oracle=brute_split,
    cases=[
        Case("2 texts of 3 tokens, 4 heads of 5", lambda: (randn(2, 3, 20), 4), gradient=True),
        Case("as many heads as tokens", lambda: (randn(2, 4, 8), 4)),
        Case("a single head", lambda: (randn(1, 5, 6), 1)),
        Case("whole numbers", lambda: (torch.arange(24).view(1, 4, 6), 2)),
    ],
    speed=lambda: (randn(8, 128, 256), 8),
    hints=(
        "Only the last axis is cut: the numbers of one token that belong to head 0, then those of "
        "head 1. Then the heads move in front of the tokens.",
        "einops says both at once. On the left name what is there, (h d) being one axis made of two; "
        "on the right say the order you want.",
        "rearrange(x, 'b t (h d) -> ...', h=n_head): finish the right-hand side.",
    ),
)

MERGE_HEADS = Exercise(
    "lib.attention.merge_heads",
    oracle=brute_merge,
    cases=[
        Case("2 texts, 4 heads, 3 tokens, 5 numbers", lambda: (randn(2, 4, 3, 5),), gradient=True),
        Case("as many heads as tokens", lambda: (randn(2, 4, 4, 2),)),
        Case("whole numbers", lambda: (torch.arange(24).view(1, 2, 4, 3),)),
        Case(
            "a tensor whose axes were swapped before",
            lambda: (randn(2, 3, 4, 5).transpose(1, 2),),
        ),
    ],
    speed=lambda: (randn(8, 8, 128, 32),),
    hints=(
        "It undoes split_heads: whatever that did, in reverse.",
        "In einops, read your split_heads pattern from right to left.",
        "rearrange(x, 'b h t d -> ...') with the heads and their numbers in one pair of brackets: "
        "which of the two comes first in there?",
    ),
)

REPEAT_KV = Exercise(
    "lib.attention.repeat_kv",
    oracle=lambda x, n_repeat: x.repeat_interleave(n_repeat, dim=1),
    cases=[
        Case(
            "2 key-value heads, 3 query heads each", lambda: (randn(2, 2, 4, 5), 3), gradient=True
        ),
        Case("3 key-value heads, 2 query heads each", lambda: (randn(1, 3, 2, 4), 2)),
        Case("one key-value head for all", lambda: (randn(2, 1, 3, 4), 4)),
        Case("one query head each: nothing to do", lambda: (randn(2, 3, 4, 5), 1)),
    ],
    speed=lambda: (randn(8, 2, 128, 32), 4),
    hints=(
        "With 2 key-value heads A, B and 4 query heads the order must be A A B B: neighbours share.",
        "Which axis counts the heads? Repeat along that one, each entry in place, not the whole row "
        "again and again.",
        "einops: repeat(x, 'b g t d -> b (g r) t d', r=n_repeat). In the brackets, the slow axis "
        "comes first.",
    ),
)

# --- MultiHeadAttention.forward -------------------------------------------------------------------


class ListCache:
    """The simplest cache: it appends along the axis of the tokens."""

    def __init__(self) -> None:
        self.key: Tensor | None = None
        self.value: Tensor | None = None

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        self.key = key if self.key is None else torch.cat([self.key, key], dim=2)
        self.value = value if self.value is None else torch.cat([self.value, value], dim=2)
        return self.key, self.value


def layer(forward: Any, d_model: int, n_head: int, **options: Any) -> Any:
    """A layer with fixed weights whose forward is the learner's."""
    cls = with_method(MultiHeadAttention, "forward", forward)
    attention = cls(d_model, n_head, **options)
    generator = torch.Generator().manual_seed(7)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    return attention


def torch_multi_head(
    self: MultiHeadAttention,
    x: Tensor,
    mask: Tensor | None = None,
    rotate: Any = None,
    cache: ListCache | None = None,
) -> Tensor:
    """Head by head with PyTorch's own attention: an oracle that shares nothing with lib."""
    size, group = self.d_head, self.n_head // self.n_kv_head
    query, key, value = self.query(x), self.key(x), self.value(x)
    query = torch.stack(query.split(size, dim=-1), dim=1)
    key = torch.stack(key.split(size, dim=-1), dim=1)
    value = torch.stack(value.split(size, dim=-1), dim=1)
    if rotate is not None:
        query, key = rotate(query, key)
    if cache is not None:
        key, value = cache.append(key, value)
    if mask is None:
        mask = visible(query.size(2), key.size(2))
    heads = [
        F.scaled_dot_product_attention(
            query[:, h : h + 1],
            key[:, h // group : h // group + 1],
            value[:, h // group : h // group + 1],
            attn_mask=mask if mask.ndim < 4 or mask.size(1) == 1 else mask[:, h : h + 1],
        )[:, 0]
        for h in range(self.n_head)
    ]
    return self.output(torch.cat(heads, dim=-1))


def run_plain(forward: Any, x: Tensor) -> Tensor:
    return layer(forward, 12, 4)(x)


def run_grouped(forward: Any, x: Tensor) -> Tensor:
    return layer(forward, 12, 6, n_kv_head=2, d_head=4, bias=True)(x)


def run_masked(forward: Any, x: Tensor) -> Tensor:
    everything = torch.ones(x.size(1), x.size(1), dtype=torch.bool)
    return layer(forward, 12, 4)(x, mask=everything)


def turn(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    """A stand-in for rotary positions: it treats queries and keys differently."""
    return query.flip(-1) * 1.5, key.roll(1, dims=-1)


def run_rotated(forward: Any, x: Tensor) -> Tensor:
    return layer(forward, 12, 4, n_kv_head=2)(x, rotate=turn)


def run_cached(forward: Any, x: Tensor) -> tuple[Tensor, ...]:
    """The text in three pieces, the way a model reads its own words: 3 tokens, 2, then 1."""
    attention, cache = layer(forward, 12, 4, n_kv_head=2), ListCache()
    pieces = [
        attention(part, rotate=turn, cache=cache) for part in torch.split(x, [3, 2, 1], dim=1)
    ]
    nothing = torch.zeros(0)  # what was never appended
    key, value = cache.key, cache.value
    whole = torch.cat(pieces, dim=1)
    return whole, nothing if key is None else key, nothing if value is None else value


def from_oracle(run: Any) -> Any:
    return lambda *inputs: run(torch_multi_head, *inputs)


FORWARD = Exercise(
    "lib.attention.MultiHeadAttention.forward",
    cases=[
        Case(
            "2 texts of 5 tokens, 4 heads",
            lambda: (randn(2, 5, 12),),
            run=run_plain,
            expected=from_oracle(run_plain),
            gradient=True,
            call="MultiHeadAttention(12, n_head=4)(x)        # x: (2, 5, 12)",
        ),
        Case(
            "6 heads share 2 key-value heads",
            lambda: (randn(2, 5, 12),),
            run=run_grouped,
            expected=from_oracle(run_grouped),
            gradient=True,
            call="MultiHeadAttention(12, n_head=6, n_kv_head=2, d_head=4, bias=True)(x)",
        ),
        Case(
            "a mask of the caller's: all may see all",
            lambda: (randn(2, 5, 12),),
            run=run_masked,
            expected=from_oracle(run_masked),
            call="MultiHeadAttention(12, n_head=4)(x, mask=torch.ones(5, 5, dtype=torch.bool))",
        ),
        Case(
            "queries and keys rotated, values not",
            lambda: (randn(2, 5, 12),),
            run=run_rotated,
            expected=from_oracle(run_rotated),
            call="MultiHeadAttention(12, n_head=4, n_kv_head=2)(x, rotate=...)",
        ),
        Case(
            "with a cache: 3 tokens, then 2, then 1",
            lambda: (randn(2, 6, 12),),
            run=run_cached,
            expected=from_oracle(run_cached),
            call="attention(x[:, :3], rotate=..., cache=cache), then x[:, 3:5], then x[:, 5:]",
        ),
    ],
    speed=lambda: (randn(4, 128, 64),),
    speed_run=lambda forward, x: layer(forward, 64, 4)(x),
    hints=(
        "You have every piece already. Say the path of one token aloud: projected, cut into heads, "
        "(rotated), (remembered), compared, averaged, put together, projected.",
        "query, key = rotate(query, key), if there is a rotate; key, value = cache.append(key, "
        "value), if there is a cache. Keys and values have n_kv_head heads until then, and are "
        "repeated only after that.",
        "The mask is made last, when you know how many keys there are: "
        "causal_mask(query.size(-2), key.size(-2)) unless the caller gave one. Then self.output("
        "merge_heads(...)).",
    ),
)

"""Attention: how a token looks back (lesson "attention").

Every position asks a question (query), offers a label (key) and a message (value). It reads the
messages of the positions whose labels answer its question, as a weighted average. Shapes are told
by one letter each: b batch, h heads, g key-value heads, t queries, s keys, d numbers a head.

    x (b t d_model) ─ query, key, value ─ split_heads ─ scaled_dot_product_attention ─ merge_heads

Vaswani et al. 2017, "Attention Is All You Need" (arXiv 1706.03762), sections 3.2.1 and 3.2.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch
from einops import rearrange, repeat
from torch import Tensor, nn


class Cache(Protocol):
    """What a layer remembers of earlier tokens: one such object a layer."""

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Take in new keys and values, each (b g t d); give back all so far, each (b g s d)."""
        ...


def causal_mask(
    n_query: int, n_key: int | None = None, device: torch.device | str | None = None
) -> Tensor:
    """Which keys each query may see: its own position and everything before it.

    The queries are the *last* `n_query` of the `n_key` positions, as when the keys of earlier
    tokens were kept and only the new tokens ask.

    Args:
        n_query: number of queries, t.
        n_key: number of keys, s; left out, as many as queries.
        device: where the mask is made.

    Returns:
        Booleans (t s): True where the query may look.

    Raises:
        ValueError: there are fewer keys than queries.

    >>> causal_mask(2, 4).int().tolist()
    [[1, 1, 1, 0], [1, 1, 1, 1]]
    """
    if n_key is None:
        n_key = n_query
    if n_key < n_query:
        raise ValueError(f"{n_query} queries need at least as many keys, got {n_key}")
    everything = torch.ones(n_query, n_key, dtype=torch.bool, device=device)
    return everything.tril(diagonal=n_key - n_query)


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Average the values by how well their keys answer each query: softmax(QKᵀ/√d_k + M) V.

    Args:
        query: (... t d_k)
        key: (... s d_k)
        value: (... s d_v); d_v may differ from d_k.
        mask: booleans that broadcast to (... t s), True where the query may look. Each query must
            be allowed at least one key: an average over nothing is nan.

    Returns:
        (... t d_v), in the dtype of the inputs. arXiv 1706.03762, equation 1; M is 0 where one
        may look and -inf where not (section 3.2.3).
    """
    # Scaling the queries costs t·d products, scaling the scores would cost t·s.
    scores = (query / math.sqrt(query.size(-1))) @ key.mT
    if mask is not None:
        # Added in place: no second copy of the scores, and nothing to do on the way back.
        scores += torch.zeros_like(mask, dtype=scores.dtype).masked_fill(~mask, float("-inf"))
    # With its dtype said, the softmax stays in half precision where the scores are.
    weights = scores.softmax(dim=-1, dtype=scores.dtype)
    return weights @ value


def split_heads(x: Tensor, n_head: int) -> Tensor:
    """Cut each position's vector into heads: (b t h·d) to (b h t d).

    >>> split_heads(torch.arange(4).view(1, 1, 4), n_head=2).tolist()
    [[[[0, 1]], [[2, 3]]]]
    """
    return rearrange(x, "b t (h d) -> b h t d", h=n_head)


def merge_heads(x: Tensor) -> Tensor:
    """Put the heads of each position side by side again: (b h t d) to (b t h·d).

    >>> merge_heads(torch.tensor([[[[0, 1]], [[2, 3]]]])).tolist()
    [[[0, 1, 2, 3]]]
    """
    return rearrange(x, "b h t d -> b t (h d)")


def repeat_kv(x: Tensor, n_repeat: int) -> Tensor:
    """Give each key-value head to `n_repeat` query heads in a row: (b g t d) to (b g·r t d).

    Query head h reads key-value head h // n_repeat. Ainslie et al. 2023 (arXiv 2305.13245).
    """
    if n_repeat == 1:
        return x
    return repeat(x, "b g t d -> b (g r) t d", r=n_repeat)


class MultiHeadAttention(nn.Module):
    """Attention in several heads at once, each with queries, keys and values of its own.

    With fewer key-value heads than heads it is grouped-query attention; with one, multi-query.
    arXiv 1706.03762, section 3.2.2; arXiv 2305.13245.
    """

    def __init__(
        self,
        d_model: int,
        n_head: int,
        n_kv_head: int | None = None,
        d_head: int | None = None,
        bias: bool = False,
    ) -> None:
        """
        Args:
            d_model: size of the vectors that come in and go out.
            n_head: query heads.
            n_kv_head: key-value heads; left out, one for each query head.
            d_head: size of one head; left out, d_model / n_head.
            bias: whether the four projections have one.

        Raises:
            ValueError: the heads do not divide.
        """
        super().__init__()
        n_kv_head = n_head if n_kv_head is None else n_kv_head
        if n_head < 1 or n_kv_head < 1 or n_head % n_kv_head:
            raise ValueError(f"n_head={n_head} does not divide by n_kv_head={n_kv_head}")
        if d_head is None and d_model % n_head:
            raise ValueError(f"d_model={d_model} does not divide into n_head={n_head} heads")
        d_head = d_model // n_head if d_head is None else d_head
        self.n_head, self.n_kv_head, self.d_head = n_head, n_kv_head, d_head
        self.query = nn.Linear(d_model, n_head * d_head, bias=bias)
        self.key = nn.Linear(d_model, n_kv_head * d_head, bias=bias)
        self.value = nn.Linear(d_model, n_kv_head * d_head, bias=bias)
        self.output = nn.Linear(n_head * d_head, d_model, bias=bias)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        rotate: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Let every position of `x` read from the positions it may see.

        Args:
            x: (b t d_model)
            mask: booleans that broadcast to (b h t s), s counting cached keys too; left out, the
                causal mask.
            rotate: turns queries (b h t d) and keys (b g t d) of the new tokens according to their
                positions, which it knows.
            cache: `append` takes the new keys and values, after rotation, and gives back all.

        Returns:
            (b t d_model)
        """
        query = split_heads(self.query(x), self.n_head)
        key = split_heads(self.key(x), self.n_kv_head)
        value = split_heads(self.value(x), self.n_kv_head)
        if rotate is not None:
            query, key = rotate(query, key)
        if cache is not None:
            key, value = cache.append(key, value)
        if mask is None and query.size(-2) > 1:  # a single query, the newest, may see everything
            mask = causal_mask(query.size(-2), key.size(-2), device=x.device)
        n_repeat = self.n_head // self.n_kv_head
        key, value = repeat_kv(key, n_repeat), repeat_kv(value, n_repeat)
        return self.output(merge_heads(scaled_dot_product_attention(query, key, value, mask)))


def attention_map(
    attention: MultiHeadAttention,
    x: Tensor,
    mask: Tensor | None = None,
    rotate: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
) -> Tensor:
    """Where each position of `x` looks, head by head.

    Averaging the rows of an identity matrix gives back the weights of the average.

    Args:
        attention: the layer.
        x: what the layer reads, (b t d_model).
        mask: as in `MultiHeadAttention.forward`.
        rotate: as in `MultiHeadAttention.forward`.

    Returns:
        (b h t t): row t sums to 1 over the positions it looks at.
    """
    query = split_heads(attention.query(x), attention.n_head)
    key = split_heads(attention.key(x), attention.n_kv_head)
    if rotate is not None:
        query, key = rotate(query, key)
    key = repeat_kv(key, attention.n_head // attention.n_kv_head)
    if mask is None:
        mask = causal_mask(x.size(-2), device=x.device)
    identity = torch.eye(x.size(-2), dtype=x.dtype, device=x.device)
    return scaled_dot_product_attention(query, key, identity, mask)

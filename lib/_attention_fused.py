"""Attention as one kernel of torch, for large models on a GPU (given; no lesson builds it).

The numbers are those of `lib.attention.scaled_dot_product_attention`, but the scores (b h t s) are
never all in memory at once: Dao et al. 2022 (arXiv 2205.14135) and Rabe and Staats 2021 (arXiv
2112.05682).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor

from lib import attention


def _fused(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


@contextlib.contextmanager
def fused_attention(on: bool = True) -> Iterator[None]:
    """Within, every `MultiHeadAttention` attends by torch's kernel, whoever wrote the function."""
    own = attention.scaled_dot_product_attention
    if on:
        attention.scaled_dot_product_attention = _fused
    try:
        yield
    finally:
        attention.scaled_dot_product_attention = own

"""The parts of `lib.sft` that no exercise builds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def check_conversations(
    conversations: Sequence[Sequence[int]], masks: Sequence[Sequence[bool]]
) -> None:
    """Raises `ValueError` unless every conversation has a mask as long as it is."""
    if len(conversations) != len(masks):
        raise ValueError(
            f"expected a mask for each conversation, got {len(conversations)} conversations and "
            f"{len(masks)} masks"
        )
    for number, (tokens, mask) in enumerate(zip(conversations, masks)):
        if len(tokens) != len(mask):
            raise ValueError(
                f"conversation {number} has {len(tokens)} tokens, its mask {len(mask)}: expected "
                "one for each"
            )
        if len(tokens) < 2:
            raise ValueError(
                f"conversation {number} has {len(tokens)} tokens: there is nothing to predict in "
                "fewer than 2"
            )


def pad_rows(rows: Sequence[Sequence[int]], n_context: int, value: int) -> Tensor:
    """Lists of whole numbers as one tensor (b t): each is filled up with `value` on the right.

    >>> pad_rows([[5, 6], [7]], n_context=3, value=-1).tolist()
    [[5, 6, -1], [7, -1, -1]]
    """
    padded = [[*row, *[value] * (n_context - len(row))] for row in rows]
    return torch.tensor(padded, dtype=torch.int64).view(len(rows), n_context)

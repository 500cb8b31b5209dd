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


def cut_to_fit(n_tokens: int, n_context: int | None, cut: bool, number: int) -> int:
    """How many tokens of a conversation fit into a row: all, or those that `cut` leaves.

    Raises:
        ValueError: not all of them fit, and it should not be cut.
    """
    if n_context is None or n_tokens <= n_context + 1:
        return n_tokens
    if not cut:
        raise ValueError(
            f"conversation {number} has {n_tokens} tokens, a row of {n_context} takes "
            f"{n_context + 1}: give a larger n_context, or cut=True to cut its end off"
        )
    return n_context + 1

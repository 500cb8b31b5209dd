"""Pairs of answers as batches (given)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from lib._reward_parts import Pair, encode_pair, is_encoded
from lib.sft import pad_conversations
from lib.tokenizer import Tokenizer


def preference_batch(
    pairs: Sequence[Pair], tokenizer: Tokenizer | None = None
) -> dict[str, Tensor]:
    """Pairs as one batch, the chosen answer before the rejected one.

    Along the first axis there are pairs, so that cutting a batch up never parts two answers.

    Args:
        pairs: see `Pair`.
        tokenizer: encodes them; not needed for pairs that are encoded.

    Returns:
        "inputs" (b 2 t), prompt and answer, padded on the right; "targets" (b 2 t), the token after
        each, IGNORED in the prompt and in the padding. t is what the longest needs.

    Raises:
        ValueError: there are no pairs, they are not encoded and there is no tokenizer, or an answer
            has no tokens.
    """
    if not pairs:
        raise ValueError("a batch needs at least one pair, got none")
    conversations: list[list[int]] = []
    masks: list[list[bool]] = []
    for pair in pairs:
        if not is_encoded(pair):
            if tokenizer is None:
                raise ValueError("these pairs are not encoded: give a tokenizer as well")
            pair = encode_pair(pair, tokenizer)
        prompt = list(pair["prompt"])
        for answer in (list(pair["chosen"]), list(pair["rejected"])):
            if not answer:
                raise ValueError("an answer has no tokens: it needs at least the one that ends it")
            conversations.append(prompt + answer)
            masks.append([False] * len(prompt) + [True] * len(answer))
    rows = pad_conversations(conversations, masks)
    return {key: rearrange(rows[key], "(b two) t -> b two t", two=2)
            for key in ("inputs", "targets")}  # fmt: skip


def preference_batches(
    pairs: Sequence[Pair], tokenizer: Tokenizer | None = None, batch_size: int = 16, seed: int = 0
) -> list[dict[str, Tensor]]:
    """All pairs, shuffled, in batches of `batch_size`; the last may hold fewer."""
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed)).tolist()
    return [
        preference_batch([pairs[i] for i in order[first : first + batch_size]], tokenizer)
        for first in range(0, len(pairs), batch_size)
    ]


def in_turn(batches: Sequence[Any], seed: int = 0) -> Callable[[int, torch.Generator], Any]:
    """What `lib.training.train` draws from: batch after batch, each round in another order.

    Which one comes depends on the step alone, so a run can be gone on with.
    """
    if not batches:
        raise ValueError("there are no batches to take in turn")

    def draw(step: int, generator: torch.Generator) -> Any:
        turn, place = divmod(step, len(batches))
        own = torch.Generator().manual_seed(seed * 1_000_003 + turn)
        return batches[int(torch.randperm(len(batches), generator=own)[place])]

    return draw

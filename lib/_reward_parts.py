"""The parts of `lib.reward` that no exercise builds: pairs as ids, and ids as batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lib.chat import encode_chat, end_token
from lib.tokenizer import Tokenizer

Pair = Mapping[str, Any]
"""A prompt and two answers to it: "prompt", a list of messages, "chosen" and "rejected", each a
text or an assistant's message. Or the same encoded: three lists of ids, answers with their end."""


def encode_pair(pair: Pair, tokenizer: Tokenizer) -> dict[str, list[int]]:
    """A pair as three lists of ids: the prompt up to where the answer begins, and both answers.

    Answers end with the token that ends a turn: when to stop is part of what is preferred. Entries
    of the pair other than "prompt", "chosen" and "rejected" are left out.

    Raises:
        ValueError: an entry is missing, an answer is no assistant's, or both answers are the same.
    """
    missing = [key for key in ("prompt", "chosen", "rejected") if key not in pair]
    if missing:
        raise ValueError(
            f"a pair has the entries prompt, chosen and rejected, got one without "
            f"{' and '.join(missing)}; it has {', '.join(map(str, pair)) or 'none'}"
        )
    messages, end = list(pair["prompt"]), end_token(tokenizer)
    prompt = encode_chat(messages, tokenizer, generate=True)
    encoded = {"prompt": prompt}
    for side in ("chosen", "rejected"):
        answer = pair[side]
        message = {"role": "assistant", "content": answer} if isinstance(answer, str) else answer
        if message.get("role") != "assistant":
            raise ValueError(
                f"the {side} answer should be an assistant's, got one by {message.get('role')!r}"
            )
        ids = encode_chat([*messages, message], tokenizer)[len(prompt) :]
        # Behind the end of a turn the format writes a line end: no model ever does.
        encoded[side] = ids[: len(ids) - ids[::-1].index(end)]
    if encoded["chosen"] == encoded["rejected"]:
        raise ValueError(f"both answers of a pair are the same, {pair['chosen']!r}: leave it out")
    return encoded


def is_encoded(pair: Pair) -> bool:
    """Whether the entries of a pair are ids already."""
    prompt = pair.get("prompt", ())
    return len(prompt) > 0 and isinstance(prompt[0], int)


def right_pad(texts: Sequence[Sequence[int]], device: torch.device | str | None = None) -> Tensor:
    """Texts of unequal length as one tensor (b t); −1 stands behind the shorter ones.

    >>> right_pad([[5, 6, 7], [8]]).tolist()
    [[5, 6, 7], [8, -1, -1]]
    """
    width = max((len(text) for text in texts), default=0)
    rows = [[*text, *[-1] * (width - len(text))] for text in texts]
    return torch.tensor(rows, dtype=torch.int64, device=device).view(len(rows), width)


def reward_batch(pairs: Sequence[Pair], tokenizer: Tokenizer | None = None) -> dict[str, Tensor]:
    """Pairs as a batch for `reward_loss`.

    Args:
        pairs: see `Pair`.
        tokenizer: encodes them; not needed for pairs that are encoded.

    Returns:
        "chosen" and "rejected", (b t) each: prompt and answer, −1 behind the shorter ones.

    Raises:
        ValueError: there are no pairs, or they are not encoded and there is no tokenizer.
    """
    if not pairs:
        raise ValueError("a batch needs at least one pair, got none")
    texts: dict[str, list[list[int]]] = {"chosen": [], "rejected": []}
    for pair in pairs:
        if not is_encoded(pair):
            if tokenizer is None:
                raise ValueError("these pairs are not encoded: give a tokenizer as well")
            pair = encode_pair(pair, tokenizer)
        for side, rows in texts.items():
            rows.append([*pair["prompt"], *pair[side]])
    return {side: right_pad(rows) for side, rows in texts.items()}


def draw_pairs(
    pairs: Sequence[Pair],
    tokenizer: Tokenizer | None = None,
    batch_size: int = 16,
    seed: int = 0,
) -> Callable[[int, torch.Generator], dict[str, Tensor]]:
    """What `lib.training.train` draws from: round after round, each in another order. A round takes
    every pair once, but for those that do not fill a batch.

    Args:
        pairs: see `Pair`. They are encoded once, here.
        tokenizer: as for `reward_batch`.
        batch_size: pairs in a batch; no more than there are.
        seed: of the orders. A step's batch depends on nothing else, so a run can be gone on with.

    Raises:
        ValueError: there are too few pairs, or they are not encoded and there is no tokenizer.
    """
    encoded: list[Pair] = []
    for pair in pairs:
        if is_encoded(pair):
            encoded.append(pair)
        elif tokenizer is None:
            raise ValueError("these pairs are not encoded: give a tokenizer as well")
        else:
            encoded.append(encode_pair(pair, tokenizer))
    if not 1 <= batch_size <= len(encoded):
        raise ValueError(f"expected a batch of 1 to {len(encoded)} pairs, got {batch_size}")
    a_round = len(encoded) // batch_size

    def draw(step: int, generator: torch.Generator) -> dict[str, Tensor]:
        number, place = divmod(step, a_round)
        own = torch.Generator().manual_seed(1_000_003 * seed + number)
        order = torch.randperm(len(encoded), generator=own)
        chosen = order[place * batch_size : (place + 1) * batch_size].tolist()
        return reward_batch([encoded[i] for i in chosen])

    return draw

"""Supervised fine-tuning: how a text continuer becomes an assistant (lesson
"supervised_fine_tuning").

The model reads whole conversations and learns to say what the assistant said in them. What users
say is read, but not learnt: only the tokens that the assistant wrote count in the loss, and among
them the one that ends a turn. Conversations are short, a context is long: several are packed into a
row, and do not see each other.

    python -m lib.sft --config FILE                  a long run, outside of notebooks
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from lib import _training_data as data
from lib._sft_parts import check_conversations, cut_to_fit, pad_rows
from lib.attention import causal_mask
from lib.chat import Message, answer_header, encode_chat, end_token
from lib.tokenizer import Tokenizer
from lib.training import IGNORED

__all__ = [
    "answer_mask",
    "check_conversations",
    "conversation_tokens",
    "draw_rows",
    "encode_conversations",
    "evaluate_sft",
    "pack_conversations",
    "pack_rows",
    "pad_conversations",
    "pad_rows",
    "sft_loss",
    "token_log_probs",
]


def answer_mask(tokens: Tensor, header: Sequence[int], end: int) -> Tensor:
    """Which tokens the assistant has written: what a model should learn to write.

    An answer begins right after a header and ends with the next token `end`, which belongs to it:
    only who learns to write it ever stops. An answer without one goes on to the end of the text.

    Args:
        tokens: conversations, (b t); −1 where there is no token, before or behind.
        header: the ids with which each turn of the assistant begins.
        end: the id that ends a turn, whoever speaks.

    Returns:
        Booleans (b t).

    >>> answer_mask(torch.tensor([[5, 6, 0, 7, 8, 9, 0, 5]]), header=[7, 8], end=0).int()
    tensor([[0, 0, 0, 0, 0, 1, 1, 0]], dtype=torch.int32)
    """
    n_header, n_tokens = len(header), tokens.size(1)
    begins = torch.zeros_like(tokens, dtype=torch.bool)  # an answer begins at this place
    if n_tokens > n_header:
        windows = tokens.unfold(1, n_header, 1)[:, :-1]  # (b t−h h)
        begins[:, n_header:] = (windows == torch.tensor(header, device=tokens.device)).all(dim=-1)
    ended = F.pad(tokens == end, (1, -1))  # a turn has ended just before this place
    place = torch.arange(1, n_tokens + 1, device=tokens.device)
    last_begin = (begins * place).cummax(dim=1).values
    last_end = (ended * place).cummax(dim=1).values
    written = (last_begin > 0) & (last_begin >= last_end)
    return written & (tokens >= 0)


def pack_conversations(
    conversations: Sequence[Sequence[int]], masks: Sequence[Sequence[bool]], n_context: int
) -> dict[str, Tensor]:
    """Conversations side by side in rows of `n_context` places, shifted for training.

    A conversation of n tokens takes n − 1 places: each holds a token and, as its target, the next
    one of the same conversation. It goes into the first row that has room for it, behind those that
    are there already; if none has, it opens a new row at the end.

    Args:
        conversations: each as its tokens.
        masks: for each token, whether the assistant wrote it.
        n_context: places in a row, t.

    Returns:
        Four tensors (b t), int64:
        "inputs": tokens, 0 where there is none;
        "targets": the next token if the assistant wrote it, else −100;
        "positions": from 0 in each conversation, 0 where there is no token;
        "conversation": which one of its row a place belongs to, from 0; −1 for none.

    Raises:
        ValueError: a conversation has more than n_context + 1 tokens, or does not fit its mask.
    """
    check_conversations(conversations, masks)
    fill = {"inputs": 0, "targets": IGNORED, "positions": 0, "conversation": -1}
    rows: list[dict[str, list[int]]] = []
    for number, (tokens, mask) in enumerate(zip(conversations, masks)):
        n = len(tokens) - 1
        if n > n_context:
            raise ValueError(
                f"conversation {number} has {len(tokens)} tokens, a row takes {n_context + 1} at "
                "most: cut it, leave it out, or give a larger n_context"
            )
        with_room = (row for row in rows if len(row["inputs"]) + n <= n_context)
        row = next(with_room, None)
        if row is None:
            row = {name: [] for name in fill}
            rows.append(row)
        which = row["conversation"][-1] + 1 if row["conversation"] else 0
        row["inputs"] += tokens[:-1]
        row["targets"] += [t if m else IGNORED for t, m in zip(tokens[1:], mask[1:])]
        row["positions"] += range(n)
        row["conversation"] += [which] * n
    return {
        name: pad_rows([row[name] for row in rows], n_context, value)
        for name, value in fill.items()
    }


def pad_conversations(
    conversations: Sequence[Sequence[int]], masks: Sequence[Sequence[bool]]
) -> dict[str, Tensor]:
    """One conversation a row, shifted for training, padded on the right to the longest.

    The tensors are those of `pack_conversations`, with a single conversation in each row.
    """
    check_conversations(conversations, masks)
    width = max((len(tokens) - 1 for tokens in conversations), default=0)
    targets = [
        [t if m else IGNORED for t, m in zip(tokens[1:], mask[1:])]
        for tokens, mask in zip(conversations, masks)
    ]
    return {
        "inputs": pad_rows([tokens[:-1] for tokens in conversations], width, 0),
        "targets": pad_rows(targets, width, IGNORED),
        "positions": pad_rows([range(len(tokens) - 1) for tokens in conversations], width, 0),
        "conversation": pad_rows([[0] * (len(tokens) - 1) for tokens in conversations], width, -1),
    }


def token_log_probs(logits: Tensor, targets: Tensor) -> Tensor:
    """How likely the model held each target: its log-probability.

    Args:
        logits: (b t v), in any precision.
        targets: (b t); −100 where none counts.

    Returns:
        (b t) float32, 0 where no target counts.
    """
    counted = targets != IGNORED
    index = targets.masked_fill(~counted, 0)[..., None]
    log_probs = logits.float().log_softmax(dim=-1).gather(-1, index)[..., 0]
    return log_probs.masked_fill(~counted, 0.0)


def sft_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
    """The loss of fine-tuning: how surprised the model is by what the assistant wrote.

    Each token looks back within its own conversation alone, and stands where its position says: the
    loss is what it would be with every conversation in a row by itself.

    Args:
        model: a transformer: model(inputs, positions, mask), the mask (b 1 t t), True where a token
            may look.
        batch: as of `pack_conversations`.

    Returns:
        The sum over all targets that count, in nats, and their number.
    """
    conversation, targets = batch["conversation"], batch["targets"]
    same = conversation[:, :, None] == conversation[:, None, :]
    mask = same & causal_mask(conversation.size(1), device=conversation.device)
    logits = model(batch["inputs"], batch["positions"], mask[:, None])
    return -token_log_probs(logits, targets).sum(), int((targets != IGNORED).sum())


def conversation_tokens(
    messages: Sequence[Message], tokenizer: Tokenizer, family: str | None = None
) -> tuple[list[int], list[bool]]:
    """A conversation as tokens, and for each whether the assistant wrote it.

    Args:
        messages: as for `lib.chat.encode_chat`, and so are the others.
        tokenizer: has the control texts among its special tokens.
        family: the chat format of a published model.

    Raises:
        ValueError: as `lib.chat.encode_chat`.
    """
    ids = encode_chat(messages, tokenizer, family=family)
    header, end = answer_header(tokenizer, family), end_token(tokenizer, family)
    return ids, answer_mask(torch.tensor([ids]), header, end)[0].tolist()


def encode_conversations(
    conversations: Iterable[Sequence[Message]],
    tokenizer: Tokenizer,
    n_context: int | None = None,
    *,
    cut: bool = False,
    family: str | None = None,
    progress: bool = False,
) -> tuple[list[list[int]], list[list[bool]]]:
    """Many conversations as tokens, and the masks that say what the assistant wrote.

    Args:
        conversations: lists of messages.
        tokenizer: as for `conversation_tokens`.
        n_context: what fits into a row; left out, anything.
        cut: cut the ends off those that do not fit.
        family: as for `conversation_tokens`.
        progress: show a bar.

    Returns:
        Tokens and masks, a list of each conversation's.

    Raises:
        ValueError: a conversation is none, or does not fit and should not be cut.
    """
    tokens, masks = [], []
    bar = tqdm(conversations, unit="conversation", desc="encoding", disable=not progress)
    for number, messages in enumerate(bar):
        ids, mask = conversation_tokens(messages, tokenizer, family)
        n = cut_to_fit(len(ids), n_context, cut, number)
        tokens.append(ids[:n])
        masks.append(mask[:n])
    return tokens, masks


def pack_rows(
    conversations: Sequence[Sequence[int]],
    masks: Sequence[Sequence[bool]],
    n_context: int,
    seed: int = 0,
) -> dict[str, Tensor]:
    """A whole training set, packed once: shuffled, then `pack_conversations` by the thousand.

    Args:
        conversations: as for `pack_conversations`.
        masks: as for `pack_conversations`.
        n_context: places in a row.
        seed: of the shuffling.

    Returns:
        As `pack_conversations`, in int32: what `draw_rows` draws from.

    Raises:
        ValueError: there are none, or as `pack_conversations`.
    """
    check_conversations(conversations, masks)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(conversations), generator=generator).tolist()
    if not order:
        raise ValueError("there are no conversations to pack")
    parts = []
    for first in range(0, len(order), 1000):
        numbers = order[first : first + 1000]
        parts.append(
            pack_conversations(
                [conversations[i] for i in numbers], [masks[i] for i in numbers], n_context
            )
        )
    return {name: torch.cat([part[name] for part in parts]).int() for name in parts[0]}


def draw_rows(
    packed: dict[str, Tensor], batch_size: int, seed: int = 0
) -> Callable[[int, torch.Generator], dict[str, Tensor]]:
    """What `lib.training.train` takes as `draw`: every row comes once before one comes again.

    Args:
        packed: rows, as of `pack_rows` or `pack_conversations`.
        batch_size: rows in a batch.
        seed: of the order of the rows, which is another one each time round.
    """
    n = len(packed["inputs"])

    @lru_cache(maxsize=2)
    def order(epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        return torch.randperm(n, generator=generator)

    def draw(step: int, generator: torch.Generator) -> dict[str, Tensor]:
        places = range(step * batch_size, (step + 1) * batch_size)
        rows = torch.stack([order(place // n)[place % n] for place in places])
        return {name: x[rows].long() for name, x in packed.items()}

    return draw


@torch.no_grad()
def evaluate_sft(model: nn.Module, packed: dict[str, Tensor], batch_size: int = 16) -> float:
    """The mean loss over all answers in `packed`, in nats per token."""
    device = next(model.parameters()).device
    total, count = 0.0, 0
    for first in range(0, len(packed["inputs"]), batch_size):
        rows = {name: x[first : first + batch_size].long() for name, x in packed.items()}
        part, n = sft_loss(model, data.to_device(rows, device))
        total, count = total + part.item(), count + n
    return total / count


if __name__ == "__main__":
    from lib._sft_cli import main

    main()

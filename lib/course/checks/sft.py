"""Checks of the floor `lib.sft`. Oracles: a walk through each conversation, token by token; rows
filled with plain lists; and for the loss, every conversation alone, with torch's cross-entropy.

Conversations are of unequal length throughout, the first token of some counts as written by the
assistant, and one model has learned positions: rotary ones hide where a conversation begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.course.bank import Case, Exercise
from lib.course.checks.attention import randn
from lib.course.checks.ngram import came_back, generator
from lib.transformer import Config, Transformer

IGNORED = -100

# --- answer_mask ----------------------------------------------------------------------------------


def walk(tokens: Tensor, header: Sequence[int], end: int) -> Tensor:
    """Token by token: a header opens an answer, `end` closes it."""
    rows = []
    for row in tokens.tolist():
        found, writing = [], False
        for place, token in enumerate(row):
            if not writing and row[max(0, place - len(header)) : place] == list(header):
                writing = True
            found.append(writing and token >= 0)
            if token == end:
                writing = False
        rows.append(found)
    return torch.tensor(rows, dtype=torch.bool).view(tokens.shape)


def rows(*conversations: Sequence[int], left: bool = False) -> Tensor:
    """Conversations as one tensor, −1 where there is no token."""
    width = max(map(len, conversations))
    padded = []
    for ids in conversations:
        padding = [-1] * (width - len(ids))
        padded.append([*padding, *ids] if left else [*ids, *padding])
    return torch.tensor(padded)


# A turn is [1, role, …, 2, 3]: 1 begins it, role is 8 for the assistant, 9 for the user, 2 ends it.
ONE = [1, 9, 11, 12, 2, 3, 1, 8, 13, 14, 2, 3]
TWO = [1, 7, 15, 2, 3, 1, 9, 11, 2, 3, 1, 8, 13, 2, 3, 1, 9, 12, 16, 2, 3, 1, 8, 17, 14, 14, 2, 3]


def many(n: int) -> Tensor:
    """Conversations at random, padded."""
    chance, made = generator(1), []
    for _ in range(n):
        ids: list[int] = []
        for role in (9, 8) * 3:
            length = int(torch.randint(0, 6, (1,), generator=chance))
            ids += [1, role, *torch.randint(4, 20, (length,), generator=chance).tolist(), 2, 3]
        made.append(ids[: len(ids) - int(torch.randint(0, 9, (1,), generator=chance))])
    return rows(*made)


ANSWER_MASK = Exercise(
    "lib.sft.answer_mask",
    oracle=walk,
    cases=[
        Case("one question, one answer", lambda: (rows(ONE), [1, 8], 2)),
        Case("two answers, and a system turn", lambda: (rows(TWO), [1, 8], 2)),
        Case("two conversations, the shorter one padded", lambda: (rows(TWO, ONE), [1, 8], 2)),
        Case(
            "an answer that was cut off, and padding behind it",
            lambda: (rows(TWO, [*ONE[:6], 1, 8, 13, 14, 15]), [1, 8], 2),
        ),
        Case("it ends with the header", lambda: (rows([*ONE, 1, 8]), [1, 8], 2)),
        Case("no answer at all", lambda: (rows(ONE[:6], ONE[:5]), [1, 8], 2)),
        Case("shorter than the header", lambda: (rows([1, 9], [1]), [1, 8, 3], 2)),
        Case("an answer of the end alone", lambda: (rows([*ONE[:6], 1, 8, 2, 3]), [1, 8], 2)),
        Case(
            "a header of three tokens, parts of which stand elsewhere",
            lambda: (
                rows([1, 9, 4, 8, 4, 5, 1, 4, 2, 3, 1, 8, 4, 8, 4, 1, 8, 6, 2, 3, 1, 9, 8, 4, 2]),
                [1, 8, 4],
                2,
            ),
        ),
        Case(
            "the end is token 0, and the assistant's token comes in its answer",
            lambda: (rows([1, 9, 8, 0, 3, 1, 8, 9, 8, 8, 0, 3, 1, 9, 5, 0, 3]), [1, 8], 0),
        ),
        Case("a header of one token", lambda: (rows([6, 5, 2, 8, 5, 2, 6, 2], [8, 6]), [8], 2)),
        Case("padding before the shorter one", lambda: (rows(TWO, ONE, left=True), [1, 8], 2)),
        Case("20 conversations", lambda: (many(20), [1, 8], 2)),
    ],
    speed=lambda: (many(64), [1, 8], 2),
    slowest=300.0,
    hints=(
        "Walk through the two examples with a pencil: at which token does writing begin, at which "
        "does it end? Is <|im_end|> itself inside? If the model never learns it, it never stops.",
        "Keep a switch for each row. It goes on when the tokens just before this place are the "
        "header, and off behind the next token `end`. A loop over places is quick enough; padding, "
        "which is below 0, is never written.",
        "Without a loop: tokens.unfold(1, len(header), 1) are all windows; those equal to the "
        "header tell where answers begin, (tokens == end) shifted by one where turns have ended. "
        "Multiply both by the place and take .cummax(dim=1): the later of the two decides.",
    ),
)

# --- pack_conversations ---------------------------------------------------------------------------

Packed = dict[str, Tensor]


def fill(conversations: Sequence[Any], masks: Sequence[Any], n_context: int) -> Packed:
    """Decide first who goes where, then write each place."""
    for tokens, mask in zip(conversations, masks, strict=True):
        if len(tokens) - 1 > n_context or len(tokens) != len(mask):
            raise ValueError("it does not fit")
    where: list[list[int]] = [[] for _ in conversations]  # never more rows than conversations
    for number, tokens in enumerate(conversations):
        for members in where:
            taken = sum(len(conversations[i]) - 1 for i in members)
            if taken + len(tokens) - 1 <= n_context:
                members.append(number)
                break
    where = [members for members in where if members]
    shape = (len(where), n_context)
    packed = {
        "inputs": torch.zeros(shape, dtype=torch.int64),
        "targets": torch.full(shape, IGNORED),
        "positions": torch.zeros(shape, dtype=torch.int64),
        "conversation": torch.full(shape, -1),
    }
    for row, members in enumerate(where):
        place = 0
        for which, number in enumerate(members):
            tokens, mask = conversations[number], masks[number]
            for position in range(len(tokens) - 1):
                packed["inputs"][row, place] = tokens[position]
                if mask[position + 1]:
                    packed["targets"][row, place] = tokens[position + 1]
                packed["positions"][row, place] = position
                packed["conversation"][row, place] = which
                place += 1
    return packed


def talks(*lengths: int, first: int = 10) -> tuple[list[list[int]], list[list[bool]]]:
    """Conversations of so many tokens, all of them different; two in three are the assistant's."""
    tokens, masks = [], []
    for n in lengths:
        tokens.append(list(range(first, first + n)))
        masks.append([(first + i) % 3 > 0 for i in range(n)])
        first += n
    return tokens, masks


def tokens_in_rows(function: Callable[..., Packed], *inputs: Any) -> list[int]:
    """How many places of each row are taken."""
    return (function(*inputs)["conversation"] >= 0).sum(dim=1).tolist()


def packing(title: str, *lengths: int, n_context: int, first: int = 10) -> Case:
    shown = ", ".join(map(str, lengths))
    return Case(
        title,
        lambda: (*talks(*lengths, first=first), n_context),
        call=f"pack_conversations(conversations of {shown} tokens, masks, n_context={n_context})",
    )


PACK_CONVERSATIONS = Exercise(
    "lib.sft.pack_conversations",
    oracle=fill,
    cases=[
        packing("one conversation of 4 tokens in a row of 6", 4, n_context=6),
        packing("two conversations in a row of 8", 4, 5, n_context=8),
        packing("they fill the row to its last place", 5, 5, n_context=8),
        packing("three conversations, two rows", 4, 6, 3, n_context=8),
        packing("first rows that have room", 5, 7, 3, 9, 4, 3, n_context=8),
        packing("a conversation as long as a row allows", 9, n_context=8),
        packing("two tokens each: one place each", 2, 2, 2, n_context=2),
        packing("14 conversations", 3, 8, 5, 2, 7, 9, 4, 6, 2, 3, 8, 5, 4, 2, n_context=11),
        Case(
            "the assistant wrote the first token as well; token 0 is one like any other",
            lambda: (
                [[0, 5, 0], [7, 0, 0, 8]],
                [[True, True, False], [True, False, True, True]],
                7,
            ),
        ),
        Case(
            "nothing in them is the assistant's",
            lambda: ([[5, 6, 7], [8, 9]], [[False] * 3, [False] * 2], 4),
        ),
        Case(
            "one token too long",
            lambda: (*talks(3, 10), 8),
            run=tokens_in_rows,
            raises=ValueError,
            call="pack_conversations(conversations of 3, 10 tokens, masks, n_context=8)    "
            "# places taken in each row",
        ),
        Case(
            "a mask that does not fit its conversation",
            lambda: ([[5, 6, 7]], [[True, True]], 8),
            run=came_back,
            raises=ValueError,
        ),
    ],
    speed=lambda: (*talks(*[5 + 7 * i % 31 for i in range(200)]), 128),
    slowest=30.0,
    hints=(
        "How many places does a conversation of n tokens need? The last token is nobody's input: "
        "there is nothing after it to predict. And whose mask decides about a place, that of the "
        "input or that of the target?",
        "Keep a list of rows, each with four growing lists. For a conversation take the first row "
        "whose length plus n − 1 is at most n_context, or a new one; then extend the four lists. "
        "Positions are range(n − 1) again each time.",
        "targets are [t if m else IGNORED for t, m in zip(tokens[1:], mask[1:])]; the number in "
        '"conversation" is one more than the last in the row, or 0. At the end, '
        "pad_rows(lists, n_context, value) makes a tensor of each kind of list.",
    ),
)

# --- sft_loss -------------------------------------------------------------------------------------

Loss = Callable[[nn.Module, Packed], tuple[Tensor, int]]


@lru_cache
def writer(position: str = "rotary") -> Transformer:
    """A small model with large weights, so that every token it sees matters."""
    model = Transformer(
        Config(30, 16, 2, 4, n_kv_head=2, n_context=24, position=position, tied=False)
    )
    for i, p in enumerate(model.parameters()):
        p.data = randn(*p.shape, seed=50 + i, scale=0.5 if p.ndim > 1 else 0.2) + (p.ndim == 1)
    return model.eval()


class Lookup(nn.Module):
    """Knows nothing but the last token; its logits are large, and in half precision."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.table = nn.Parameter(randn(30, 40, seed=9, scale=12.0))
        self.dtype = dtype

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        cache: Any = None,
        head: Any = None,
    ) -> Tensor:
        return self.table[tokens].to(self.dtype)


def small_talk(*lengths: int, answers: float = 0.5) -> tuple[list[list[int]], list[list[bool]]]:
    chance = generator(4)
    tokens = [torch.randint(0, 30, (n,), generator=chance).tolist() for n in lengths]
    masks = [(torch.rand(n, generator=chance) < answers).tolist() for n in lengths]
    return tokens, masks


def in_rows(talk: Any, n_context: int) -> Packed:
    tokens, masks = talk
    return fill(tokens, masks, n_context)


def loss_and_gradient(function: Loss, model: nn.Module, talk: Any, n_context: int) -> Any:
    """The sum, the number, and the gradient of the first weights."""
    total, n = function(model, in_rows(talk, n_context))
    if not isinstance(total, Tensor):
        return total, n
    first = next(iter(model.parameters()))
    if not total.requires_grad:
        return total, n, "no gradient flows back"
    (gradient,) = torch.autograd.grad(total, [first])
    return total.detach(), n, gradient


def in_parts(function: Loss, model: nn.Module, talk: Any, n_context: int) -> tuple[float, int]:
    """Row by row, added up: what accumulation does."""
    total, count = 0.0, 0
    packed = in_rows(talk, n_context)
    for row in range(len(packed["inputs"])):
        part, n = function(model, {name: x[row : row + 1] for name, x in packed.items()})
        total, count = total + float(part), count + n
    return total, count


def each_alone(model: nn.Module, talk: Any, n_context: int) -> tuple[Tensor, int, Tensor]:
    """Every conversation by itself, unpadded, and torch's cross-entropy on what counts."""
    total, count = torch.zeros(()), 0
    for tokens, mask in zip(*talk, strict=True):
        logits = model(torch.tensor([tokens[:-1]]))[0].float()
        counted = torch.tensor(mask[1:])
        losses = F.cross_entropy(logits, torch.tensor(tokens[1:]), reduction="none")
        total = total + losses[counted].sum()
        count += int(counted.sum())
    first = next(iter(model.parameters()))
    (gradient,) = torch.autograd.grad(total, [first])
    return total.detach(), count, gradient


def each_alone_in_sum(model: nn.Module, talk: Any, n_context: int) -> tuple[float, int]:
    total, count, _ = each_alone(model, talk, n_context)
    return float(total), count


def loss_case(title: str, make: Callable[[], Sequence[Any]]) -> Case:
    return Case(
        title,
        make,
        run=loss_and_gradient,
        expected=each_alone,
        call="sft_loss(model, batch)    # sum, number, gradient of the embedding",
        rtol=1e-4,
        atol=1e-4,
    )


SFT_LOSS = Exercise(
    "lib.sft.sft_loss",
    cases=[
        loss_case("one conversation, padded", lambda: (writer(), small_talk(9), 12)),
        loss_case("two conversations in a row", lambda: (writer(), small_talk(7, 6), 12)),
        loss_case(
            "five conversations in two rows, padded",
            lambda: (writer(), small_talk(7, 9, 4, 3, 5), 13),
        ),
        loss_case(
            "a model with learned positions",
            lambda: (writer("learned"), small_talk(6, 9, 5, 8), 14),
        ),
        loss_case(
            "few answer tokens in one row, many in the other",
            lambda: (writer(), (small_talk(8, 8)[0], [[False] * 6 + [True] * 2, [True] * 8]), 8),
        ),
        Case(
            "the rows one by one, added up",
            lambda: (writer(), (small_talk(8, 8)[0], [[False] * 6 + [True] * 2, [True] * 8]), 8),
            run=in_parts,
            expected=each_alone_in_sum,
            call="sft_loss(model, row 0) + sft_loss(model, row 1)    # sum, number",
        ),
        Case(
            "a row without answers",
            lambda: (writer(), small_talk(6, answers=0.0), 8),
            run=in_parts,
            expected=lambda *_: (0.0, 0),
            call="sft_loss(model, batch)    # sum, number",
        ),
        loss_case(
            "logits in the tens, in bfloat16",
            lambda: (Lookup(torch.bfloat16), small_talk(20, 12, 9, answers=0.8), 30),
        ),
        loss_case(
            "logits in the tens, in float16",
            lambda: (Lookup(torch.float16), small_talk(15, 12, 9, answers=0.8), 22),
        ),
    ],
    speed=lambda: (writer(), in_rows(small_talk(*[12] * 16), 23)),
    hints=(
        "Which tokens may a place look at? Two conditions have to hold, and you know the second one "
        'from lesson attention. How does "conversation" tell you the first?',
        "conversation[:, :, None] == conversation[:, None, :] compares every place with every other, "
        "(b t t). Together with the causal mask it is what the model takes as mask, once an axis for "
        "the heads is there. Positions go in as well. Then a sum, not a mean, and how many it is of.",
        'logits = model(batch["inputs"], batch["positions"], mask[:, None]); '
        "token_log_probs(logits, targets) is 0 where nothing counts, so minus its sum is the loss. "
        "The number is int((targets != IGNORED).sum()).",
    ),
)

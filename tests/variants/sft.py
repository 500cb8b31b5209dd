"""Other right answers for the floor `lib.sft`."""

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange

from lib.attention import causal_mask
from lib.sft import check_conversations, token_log_probs
from tests.variants import right

MASK = "lib.sft.answer_mask"


@right(MASK, slow=True)
def with_a_switch(tokens, header, end):
    """A switch for each row, place by place."""
    b, t = tokens.shape
    mask = torch.zeros(b, t, dtype=torch.bool)
    for i in range(b):
        row, on = tokens[i].tolist(), False
        for j in range(t):
            if j >= len(header) and row[j - len(header) : j] == list(header):
                on = True
            if row[j] == -1:
                continue
            mask[i, j] = on
            if row[j] == end:
                on = False
    return mask


@right(MASK)
def with_columns(tokens, header, end):
    """All rows at once, one column after the other."""
    on = torch.zeros(tokens.size(0), dtype=torch.bool)
    columns = []
    wanted = torch.tensor(list(header))
    for j in range(tokens.size(1)):
        if j >= len(header):
            on = on | (tokens[:, j - len(header) : j] == wanted).all(dim=1)
        columns.append(on & (tokens[:, j] >= 0))
        on = on & (tokens[:, j] != end)
    return torch.stack(columns, dim=1)


@right(MASK, slow=True)
def with_numpy(tokens, header, end):
    """Find the headers, then the next end behind each."""
    text = tokens.numpy()
    mask = np.zeros(text.shape, dtype=bool)
    for row, marks in zip(text, mask):
        ends = np.flatnonzero(row == end)
        for start in range(len(header), len(row)):
            if np.array_equal(row[start - len(header) : start], np.array(header)):
                behind = ends[ends >= start]
                stop = behind[0] + 1 if len(behind) else len(row)
                marks[start:stop] = row[start:stop] >= 0
    return torch.from_numpy(mask)


PACK = "lib.sft.pack_conversations"


@right(PACK)
def plan_then_fill(conversations, masks, n_context):
    """Who goes where first; then tensors are filled slice by slice."""
    check_conversations(conversations, masks)
    plan, room = [], []
    for number, tokens in enumerate(conversations):
        need = len(tokens) - 1
        if need > n_context:
            raise ValueError(f"conversation {number} is too long")
        for i in range(len(room)):
            if room[i] >= need:
                plan.append((i, n_context - room[i]))
                room[i] -= need
                break
        else:
            plan.append((len(room), 0))
            room.append(n_context - need)
    shape = (len(room), n_context)
    inputs, positions = torch.zeros(2, *shape, dtype=torch.int64)
    targets, conversation = torch.full(shape, -100), torch.full(shape, -1)
    count = [0] * len(room)
    for (i, start), tokens, mask in zip(plan, conversations, masks):
        ids, counted = torch.tensor(tokens), torch.tensor(mask)
        places = slice(start, start + len(tokens) - 1)
        inputs[i, places] = ids[:-1]
        targets[i, places] = torch.where(counted[1:], ids[1:], -100)
        positions[i, places] = torch.arange(len(tokens) - 1)
        conversation[i, places] = count[i]
        count[i] += 1
    return {
        "conversation": conversation,
        "targets": targets,
        "inputs": inputs,
        "positions": positions,
    }


@right(PACK)
def with_tuples(conversations, masks, n_context):
    """A row is a list of places, each with its four numbers."""
    check_conversations(conversations, masks)
    rows, numbers = [], []
    for tokens, mask in zip(conversations, masks):
        places = [
            (a, b if m else -100, position)
            for position, ((a, b), m) in enumerate(zip(itertools.pairwise(tokens), mask[1:]))
        ]
        if len(places) > n_context:
            raise ValueError("a conversation is longer than a row")
        fits = [i for i, row in enumerate(rows) if len(row) + len(places) <= n_context]
        if not fits:
            fits = [len(rows)]
            rows.append([])
            numbers.append(-1)
        numbers[fits[0]] += 1
        rows[fits[0]].extend((*place, numbers[fits[0]]) for place in places)
    filled = [row + [(0, -100, 0, -1)] * (n_context - len(row)) for row in rows]
    table = torch.tensor(filled)  # (b t 4)
    names = ["inputs", "targets", "positions", "conversation"]
    return {name: table[:, :, k].clone() for k, name in enumerate(names)}


LOSS = "lib.sft.sft_loss"


@right(LOSS)
def with_cross_entropy(model, batch):
    conversation = batch["conversation"]
    t = conversation.shape[1]
    mask = torch.ones(t, t).tril().bool() & (conversation.unsqueeze(2) == conversation.unsqueeze(1))
    logits = model(batch["inputs"], positions=batch["positions"], mask=mask.unsqueeze(1))
    targets = rearrange(batch["targets"], "b t -> (b t)")
    total = F.cross_entropy(
        rearrange(logits, "b t v -> (b t) v").float(), targets, ignore_index=-100, reduction="sum"
    )
    return total, (targets != -100).sum().item()


@right(LOSS)
def only_what_counts(model, batch):
    """Places are told apart by where the conversation's number changes; only targets are scored."""
    numbers = batch["conversation"]
    same = rearrange(numbers, "b q -> b 1 q 1") == rearrange(numbers, "b k -> b 1 1 k")
    logits = model(batch["inputs"], batch["positions"], same & causal_mask(numbers.size(1)))
    counted = batch["targets"] != -100
    chosen = logits[counted].float()
    losses = chosen.logsumexp(-1) - chosen.gather(-1, batch["targets"][counted][:, None])[:, 0]
    return losses.sum(), int(counted.sum())


@right(LOSS, slow=True)
def row_by_row(model, batch):
    total, count = torch.zeros(()), 0
    for i in range(len(batch["inputs"])):
        row = {name: x[i : i + 1] for name, x in batch.items()}
        which = row["conversation"][0]
        t = len(which)
        mask = torch.tensor(
            [[bool(which[q] == which[k]) and k <= q for k in range(t)] for q in range(t)]
        )
        logits = model(row["inputs"], row["positions"], mask)
        total = total - token_log_probs(logits, row["targets"]).sum()
        count += int(sum(x != -100 for x in row["targets"][0].tolist()))
    return total, count

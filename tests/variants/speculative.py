"""Other right answers for the floor `lib.speculative`."""

import math

import torch

from lib._speculative_parts import check_costs
from lib.speculative import accept_or_resample
from tests.variants import right

ACCEPT = "lib.speculative.accept_or_resample"


@right(ACCEPT)
def row_by_row(drafted, draft_probs, probs, generator=None):
    """As the papers write it: guess by guess, in loops; all rows of one table at a time."""
    if len(drafted) > 5000:  # in parts, to be quick enough: each part by whole columns
        return in_columns(drafted, draft_probs, probs, generator)
    accepted, following = [], []
    for guesses, q, p in zip(drafted.tolist(), draft_probs, probs):
        stayed = 0
        for i, token in enumerate(guesses):
            if token < 0:
                break
            ratio = (p[i, token] / q[i, token]).item()
            if torch.rand((), generator=generator).item() >= min(1.0, ratio):
                break
            stayed += 1
        left = p[stayed]
        if stayed < len(guesses) and guesses[stayed] >= 0:
            left = (p[stayed] - q[stayed]).clamp(min=0)
        if left.sum() == 0:
            left = p[stayed]
        accepted.append(stayed)
        following.append(torch.multinomial(left, 1, generator=generator))
    return torch.tensor(accepted), torch.cat(following)


def in_columns(drafted, draft_probs, probs, generator=None):
    n_rows, n = drafted.shape
    accepted = torch.zeros(n_rows, dtype=torch.int64)
    going = torch.ones(n_rows, dtype=torch.bool)
    rest = probs[:, 0].clone()
    for i in range(n):
        p, q = probs[:, i], draft_probs[:, i]
        token = drafted[:, i]
        safe = token.clamp(min=0).unsqueeze(1)
        ratio = p.gather(1, safe).squeeze(1) / q.gather(1, safe).squeeze(1).clamp(min=1e-30)
        stays = going & (token >= 0) & (torch.rand(n_rows, generator=generator) < ratio)
        refused = going & ~stays
        difference = torch.relu(p - q)
        empty = difference.sum(1, keepdim=True) == 0
        rest = torch.where(refused.unsqueeze(1), torch.where(empty, p, difference), rest)
        accepted += stays
        rest = torch.where(stays.unsqueeze(1), probs[:, i + 1], rest)
        going = stays
    return accepted, torch.multinomial(rest, 1, generator=generator).squeeze(1)


@right(ACCEPT)
def column_by_column(drafted, draft_probs, probs, generator=None):
    return in_columns(drafted, draft_probs, probs, generator)


STEP = "lib.speculative.speculative_step"


@right(STEP)
def with_lists(target, drafter, tokens, n):
    drafted, q = drafter.draft(tokens, n)
    texts = torch.cat([tokens, drafted], 1)
    logits = target.logits(texts, 1 + drafted.shape[1])
    p = target.rule.probabilities(texts, logits)
    accepted, following = accept_or_resample(drafted, q, p, target.rule.generator)
    most, rows = max(accepted.tolist()), []
    for old, guess, a, token in zip(
        tokens.tolist(), drafted.tolist(), accepted.tolist(), following.tolist()
    ):
        rows.append([-1] * (most - a) + old + guess[:a] + [token])
    longer = torch.tensor(rows)
    drafter.roll_back(longer.shape[1] - 1, accepted)
    target.roll_back(longer.shape[1] - 1, accepted)
    return longer, drafted.ge(0).sum(1), accepted


@right(STEP)
def with_where(target, drafter, tokens, n):
    """The new texts by counting from the right."""
    guesses, q = drafter.draft(tokens, n)
    m = guesses.size(1)
    whole = torch.cat([tokens, guesses], dim=1)
    p = target.rule.probabilities(whole, target.logits(whole, m + 1))
    stay, token = accept_or_resample(guesses, q, p, target.rule.generator)
    end = tokens.size(1) + stay  # where each row's new token stands
    last = int(end.max())
    source = torch.arange(last + 1)[None] - (last - end)[:, None]
    from_text = torch.cat([whole, torch.full((len(whole), 1), -1)], 1).gather(
        1, source.clamp(min=0)
    )
    new = torch.where(source < 0, -1, from_text)
    new[:, -1] = token
    for side in (drafter, target):
        side.roll_back(last, stay)
    return new, (guesses != -1).sum(dim=1), stay


DRAFT = "lib.speculative.NgramDrafter.draft"


@right(DRAFT)
def with_while(self, tokens, n):
    rows = []
    for i in range(tokens.shape[0]):
        text = tokens[i][tokens[i] >= 0].tolist()
        memory = self.memory(i, text)
        guess, searching = [], True
        while searching and len(guess) < n:
            k, searching = min(self.longest, len(text) + len(guess)), False
            while k >= self.shortest and not searching:
                context = (text + guess)[-k:]
                token = memory.after(context)
                if token is None:
                    token = self.store.after(context)
                if token is not None:
                    guess.append(token)
                    searching = True
                k -= 1
        rows.append(guess)
    m = max(len(guess) for guess in rows)
    drafted = torch.full((len(rows), m), -1, dtype=torch.int64)
    probs = torch.zeros(len(rows), m, self.vocab_size)
    for i, guess in enumerate(rows):
        for j, token in enumerate(guess):
            drafted[i, j] = token
            probs[i, j, token] = 1.0
    return drafted, probs


@right(DRAFT)
def with_a_helper(self, tokens, n):
    def guess_next(memory, text):
        for k in reversed(range(self.shortest, self.longest + 1)):
            if k <= len(text):
                context = tuple(text[len(text) - k :])
                for source in (memory, self.store):
                    token = source.after(context)
                    if token is not None:
                        return token
        return -1

    batch = []
    for number, row in enumerate(tokens.tolist()):
        text = row[row.count(-1) :]
        memory, length = self.memory(number, list(text)), len(text)
        for _ in range(n):
            token = guess_next(memory, text)
            if token == -1:
                break
            text = [*text, token]
        batch.append(text[length:])
    m = max(map(len, batch))
    drafted = torch.tensor([guess + [-1] * (m - len(guess)) for guess in batch]).long()
    drafted = drafted.reshape(len(batch), m)
    everyone = torch.arange(self.vocab_size)
    return drafted, (drafted[..., None] == everyone).float()


CHOOSE = "lib.speculative.choose_drafter"


@right(CHOOSE)
def with_the_formula(acceptance, cost, longest, call=None):
    if call is None:
        call = [1.0] * (longest + 1)
    if len(acceptance) != len(cost) or len(call) < longest + 1 or not len(cost):
        raise ValueError("lengths do not fit")
    if any(a < 0 or a > 1 for a in acceptance) or any(c < 0 for c in cost):
        raise ValueError("an acceptance or a cost that cannot be")
    best, fastest = (0, 0), 1 / call[0]
    for n in range(1, 1 + longest):
        for i in range(len(cost)):
            a = acceptance[i]
            tokens = n + 1 if a == 1 else (1 - a ** (n + 1)) / (1 - a)
            speed = tokens / (n * cost[i] + call[n])
            if speed > fastest * (1 + 1e-12):
                best, fastest = (i, n), speed
    return best


@right(CHOOSE)
def as_a_table(acceptance, cost, longest, call=None):
    calls = check_costs(acceptance, cost, longest, call)
    entries = [(-1 / calls[0], 0, 0)]
    for i, (a, c) in enumerate(zip(acceptance, cost)):
        tokens = 1.0
        for n in range(1, longest + 1):
            tokens += math.prod([a] * n)
            entries.append((-round(tokens / (c * n + calls[n]), 12), n, i))
    _, n, i = min(entries)
    return i, n


ADAPT = "lib.speculative.adapt_length"


@right(ADAPT)
def with_votes(length, drafted, accepted, longest=16):
    votes = []
    for d, a in zip(drafted, accepted):
        if a < d:
            votes.append(-1)
        elif d == length:
            votes.append(1)
    new = length
    if votes:
        new = length + 2 if sum(votes) >= 0 else length - 1
    return min(max(new, 1), longest)


@right(ADAPT, slow=True)
def with_tensors(length, drafted, accepted, longest=16):
    d, a = torch.tensor(drafted), torch.tensor(accepted)
    fewer = (a != d).sum().item()
    more = ((a == d) & (d == length)).sum().item()
    if more + fewer > 0 and more < fewer:
        length = length - 1
    elif more + fewer > 0:
        length = length + 2
    return sorted([1, length, longest])[1]

"""Other right answers for the floor `lib.watermark`."""

import math
import random

import torch
from scipy import stats

from lib.watermark import Detection, counted_places, green_list, keyed_hash, keyed_uniform
from tests.variants import right

GREEN = "lib.watermark.green_list"


@right(GREEN)
def with_broadcasting(context, key, vocab_size, gamma=0.25):
    shape = (*context.shape[:-1], 1)
    words = [context[..., i].reshape(shape) for i in range(context.shape[-1])]
    ids = torch.arange(vocab_size).repeat(shape)
    return keyed_uniform(key, *words, ids).lt(gamma)


@right(GREEN)
def with_whole_numbers(context, key, vocab_size, gamma=0.25):
    """The numbers before they are divided."""
    flat = context.flatten(0, -2) if context.ndim > 1 else context.unsqueeze(0)
    rows = []
    for row in flat:
        words = [word.expand(vocab_size) for word in row]
        rows.append(keyed_hash(key, *words, torch.arange(vocab_size)) + 0.5 < gamma * 2**32)
    return torch.stack(rows).view(*context.shape[:-1], vocab_size)


CALL = "lib.watermark.GreenListWatermark.__call__"


@right(CALL)
def with_a_loop(self, tokens, logits):
    new = logits.clone()
    for i, row in enumerate(tokens.tolist()):
        context = ([-1] * self.width + row)[len(row) :]
        green = green_list(
            torch.tensor(context, dtype=torch.int64), self.key, logits.shape[1], self.gamma
        )
        new[i, green] += self.delta
    return new


@right(CALL)
def with_a_product(self, tokens, logits):
    b, t = tokens.shape
    padded = torch.cat([torch.full((b, self.width), -1), tokens], dim=1)
    green = green_list(padded[:, t:], self.key, logits.shape[-1], self.gamma)
    return logits + green.to(logits.dtype) * self.delta


DETECT = "lib.watermark.detect"


@right(DETECT, slow=True)
def with_scipy(tokens, key, gamma=0.25, width=2, n_prompt=0, count_repeats=False):
    if not 0 < gamma < 1 or width < 0 or key < 0 or n_prompt < 0:
        raise ValueError("a setting is out of its range")
    ids = [int(token) for token in tokens]
    first = {}
    for place in range(max(width, n_prompt), len(ids)):
        name = place if count_repeats else tuple(ids[place - width : place])
        first.setdefault(name, place)
    green = 0
    for place in first.values():
        words = [torch.tensor(token) for token in ids[place - width : place + 1]]
        green += int(keyed_uniform(key, *words) < gamma)
    n = len(first)
    p = float(stats.binom.sf(green - 1, n, gamma)) if n else 1.0
    return Detection(n, green, p, gamma, gamma * (1 - gamma))


@right(DETECT)
def with_a_recurrence(tokens, key, gamma=0.25, width=2, n_prompt=0, count_repeats=False):
    """Each term of the tail from the one before, relative to the first."""
    if gamma <= 0 or gamma >= 1 or key < 0:
        raise ValueError("bad settings")
    ids = torch.as_tensor(list(tokens), dtype=torch.int64)
    places = counted_places(ids, width, n_prompt, count_repeats)
    at = torch.tensor(places, dtype=torch.int64)
    words = [ids[at - back] for back in range(width, -1, -1)]
    g, n = int((keyed_uniform(key, *words) < gamma).sum()), len(places)
    first = math.lgamma(n + 1) - math.lgamma(g + 1) - math.lgamma(n - g + 1)
    first += g * math.log(gamma) + (n - g) * math.log1p(-gamma)
    term, total = 1.0, 1.0
    for k in range(g, n):
        term *= (n - k) / (k + 1) * gamma / (1 - gamma)
        total += term
    p = min(1.0, math.exp(first + math.log(total)))
    return Detection(n_counted=n, score=g, p_value=p, mean=gamma, variance=gamma - gamma**2)


SAMPLE = "lib.watermark.gumbel_sample"


@right(SAMPLE)
def with_waiting_times(logits, context, key, temperature=1.0):
    if temperature < 0:
        raise ValueError("a temperature below 0")
    if temperature == 0:
        return torch.argmax(logits, -1)
    p = (logits.double() / temperature).softmax(-1)
    u = keyed_uniform(key, *context.T.unsqueeze(-1), torch.arange(logits.shape[1])[None])
    return torch.argmin(-u.log() / p, dim=-1)


@right(SAMPLE)
def with_powers(logits, context, key, temperature=1.0):
    if temperature < 0:
        raise ValueError("a temperature below 0")
    drawn = []
    for row, words in zip(logits.double(), context):
        if temperature == 0:
            drawn.append(int(row.argmax()))
            continue
        u = keyed_uniform(key, *words, torch.arange(len(row)))
        drawn.append(int((u ** (1 / torch.softmax(row / temperature, 0))).argmax()))
    return torch.tensor(drawn)


SCORE = "lib.watermark.gumbel_score"


@right(SCORE, slow=True)
def with_scipys_gamma(tokens, key, width=2, n_prompt=0):
    if width < 0 or key < 0:
        raise ValueError("bad settings")
    ids = [int(token) for token in tokens]
    score, n = 0.0, 0
    for place in counted_places(ids, width, n_prompt):
        words = [torch.tensor(token) for token in ids[place - width : place + 1]]
        score -= math.log(1 - float(keyed_uniform(key, *words)))
        n += 1
    p = float(stats.gamma.sf(score, n)) if n else 1.0
    return Detection(n, score, p, 1.0, 1.0)


@right(SCORE)
def with_poissons_terms(tokens, key, width=2, n_prompt=0):
    if width < 0 or key < 0:
        raise ValueError("bad settings")
    ids = torch.as_tensor(list(tokens), dtype=torch.int64)
    at = torch.tensor(counted_places(ids, width, n_prompt), dtype=torch.int64)
    u = keyed_uniform(key, *[ids[at - back] for back in range(width, -1, -1)])
    score = float((1 / (1 - u)).log().sum())
    term, total = math.exp(-score), 0.0
    for k in range(len(at)):
        total += term
        term *= score / (k + 1)
    return Detection(len(at), score, min(total, 1.0) if len(at) else 1.0, 1.0, 1.0)


EDIT = "lib.watermark.attack_edit"


@right(EDIT)
def with_a_new_list(tokens, share, kind, vocab_size, generator=None):
    if share < 0 or share > 1 or kind not in {"replace", "delete", "insert"}:
        raise ValueError("bad settings")
    places = torch.randperm(len(tokens), generator=generator).tolist()
    chosen = set(places[: round(len(tokens) * share)])
    new = []
    for place, token in enumerate(tokens):
        if place in chosen and kind != "delete":
            other = token
            while other == token:
                other = torch.randint(0, vocab_size, (1,), generator=generator).item()
                if kind == "insert":
                    break
            new.append(other)
        if place not in chosen or kind == "insert":
            new.append(token)
    return new


@right(EDIT, slow=True)
def with_pythons_chance(tokens, share, kind, vocab_size, generator=None):
    """Only a seed comes from the generator."""
    if kind not in ("replace", "delete", "insert") or not 0 <= share <= 1:
        raise ValueError("bad settings")
    chance = random.Random(torch.randint(2**40, (), generator=generator).item())
    new = [[token] for token in tokens]
    for place in chance.sample(range(len(new)), round(share * len(new))):
        if kind == "delete":
            new[place] = []
        elif kind == "insert":
            new[place] = [chance.randrange(vocab_size), *new[place]]
        else:
            new[place] = [chance.choice([x for x in range(vocab_size) if x != new[place][0]])]
    return [token for piece in new for token in piece]

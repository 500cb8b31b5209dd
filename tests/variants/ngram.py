"""Other right answers for the floor `lib.ngram`."""

import math
from collections import Counter

import numpy as np
import torch
import torch.nn.functional as F

from tests.variants import right

PROBABILITIES = "lib.ngram.ngram_probabilities"


@right(PROBABILITIES, slow=True)
def with_a_counter(tokens, context, vocab_size, alpha=0.0):
    text, wanted = tokens.tolist(), tuple(context.tolist())
    n = len(wanted)
    grams = zip(*(text[i:] for i in range(n + 1)), strict=False)
    counts = Counter(gram[-1] for gram in grams if gram[:-1] == wanted)
    total = sum(counts.values()) + alpha * vocab_size
    if total == 0:
        return torch.full((vocab_size,), 1 / vocab_size)
    return torch.tensor([(counts[token] + alpha) / total for token in range(vocab_size)])


@right(PROBABILITIES)
def with_shifted_comparisons(tokens, context, vocab_size, alpha=0.0):
    n = len(context)
    last = len(tokens) - n
    here = torch.ones(last, dtype=torch.bool)
    for i in range(n):
        here &= tokens[i : i + last] == context[i]
    counts = torch.zeros(vocab_size)
    counts.index_add_(0, tokens[n:][here], torch.ones(int(here.sum())))
    total = counts.sum() + alpha * vocab_size
    if total == 0:
        return torch.ones(vocab_size) / vocab_size
    return (counts + alpha) / total


@right(PROBABILITIES, slow=True)
def with_a_loop(tokens, context, vocab_size, alpha=0.0):
    text, wanted = tokens.tolist(), context.tolist()
    counts = np.full(vocab_size, alpha, dtype=np.float64)
    for end in range(len(wanted), len(text)):
        if text[end - len(wanted) : end] == wanted:
            counts[text[end]] += 1
    if counts.sum() == 0:
        counts += 1
    return torch.from_numpy(counts / counts.sum()).float()


CROSS_ENTROPY = "lib.ngram.cross_entropy"


@right(CROSS_ENTROPY)
def with_torch(logits, targets, ignore_index=-100):
    v = logits.shape[-1]
    rows, marks = logits.float().reshape(-1, v), targets.reshape(-1)
    return F.cross_entropy(rows, marks, ignore_index=ignore_index)


@right(CROSS_ENTROPY)
def with_logsumexp(logits, targets, ignore_index=-100):
    if logits.shape[:-1] != targets.shape:
        raise ValueError("as many targets as rows, please")
    keep = targets != ignore_index
    x, y = logits[keep].float(), targets[keep]
    return (x.logsumexp(dim=-1) - x[torch.arange(len(y)), y]).mean()


@right(CROSS_ENTROPY)
def by_hand(logits, targets, ignore_index=-100):
    if targets.shape != logits.shape[:-1]:
        raise ValueError(f"{targets.shape} does not fit {logits.shape}")
    x = logits.float()
    x = x - x.max(dim=-1, keepdim=True).values
    log_probs = x - x.exp().sum(dim=-1, keepdim=True).log()
    keep = (targets != ignore_index).float()
    index = torch.where(targets == ignore_index, 0, targets)
    picked = torch.gather(log_probs, -1, index.unsqueeze(-1)).squeeze(-1)
    return -(picked * keep).sum() / keep.sum()


@right(CROSS_ENTROPY)
def with_one_hot(logits, targets, ignore_index=-100):
    *places, _ = logits.shape
    if list(targets.shape) != places:
        raise ValueError
    keep = targets != ignore_index
    hot = F.one_hot(targets.clamp(min=0), logits.size(-1)) * keep[..., None]
    return -(hot * logits.float().log_softmax(-1)).sum() / keep.sum()


BITS_PER_BYTE = "lib.ngram.bits_per_byte"


@right(BITS_PER_BYTE)
def total_bits_first(loss, n_tokens, n_bytes):
    if n_bytes < 1:
        raise ValueError("a text without bytes")
    return loss * n_tokens * math.log2(math.e) / n_bytes


@right(BITS_PER_BYTE)
def with_numpy(loss, n_tokens, n_bytes):
    if not n_bytes > 0:
        raise ValueError(n_bytes)
    return float(loss / np.log(2) / (n_bytes / n_tokens))


SAMPLE = "lib.ngram.sample"


@right(SAMPLE)
def gumbel_max(logits, temperature=1.0, generator=None):
    if temperature < 0:
        raise ValueError("below 0")
    if temperature == 0:
        return logits.argmax(-1)
    uniform = torch.rand(logits.shape, generator=generator).clamp(min=1e-20)
    return (logits.float() / temperature - torch.log(-torch.log(uniform))).argmax(-1)


@right(SAMPLE)
def inverse_cdf(logits, temperature=1.0, generator=None):
    if temperature < 0:
        raise ValueError(f"temperature {temperature}")
    if temperature == 0:
        return logits.max(dim=-1)[1]
    whole = torch.softmax(logits.double() / temperature, -1).cumsum(-1)
    point = torch.rand((*logits.shape[:-1], 1), generator=generator, dtype=torch.float64)
    return torch.searchsorted(whole, point * whole[..., -1:], right=True).squeeze(-1)


@right(SAMPLE, slow=True)
def exponential_race(logits, temperature=1.0, generator=None):
    if not temperature >= 0:
        raise ValueError
    if temperature < 1e-6:
        return logits.argmax(dim=-1)
    p = F.softmax(logits.to(torch.float32) / temperature, dim=-1)
    return (p / torch.empty_like(p).exponential_(1, generator=generator)).argmax(dim=-1)


@right(SAMPLE, slow=True)
def row_by_row(logits, temperature=1.0, generator=None):
    if temperature < 0:
        raise ValueError("cold")
    if temperature == 0:
        return logits.argmax(dim=-1)
    if logits.ndim > 1:
        rows = [row_by_row(row, temperature, generator) for row in logits]
        return torch.stack(rows)
    return torch.multinomial(torch.softmax(logits / temperature, 0), 1, generator=generator)[0]


FIT = "lib.ngram.fit_bigram"


@right(FIT, slow=True)
def with_backward(tokens, vocab_size, steps=15_000, learning_rate=30.0):
    pairs, times = torch.stack([tokens[:-1], tokens[1:]]).unique(dim=1, return_counts=True)
    share = times / times.sum()
    logits = torch.zeros(vocab_size, vocab_size, requires_grad=True)
    for _ in range(steps):
        logits.grad = None
        loss = -(share * torch.log_softmax(logits, -1)[pairs[0], pairs[1]]).sum()
        loss.backward()
        logits.data -= learning_rate * logits.grad
    return logits.detach()


@right(FIT)
def with_an_optimizer(tokens, vocab_size, steps=15_000, learning_rate=30.0):
    counts = torch.zeros(vocab_size, vocab_size)
    counts.index_put_((tokens[:-1], tokens[1:]), torch.ones(len(tokens) - 1), accumulate=True)
    row = counts.sum(dim=1)
    table = torch.nn.Parameter(torch.zeros(vocab_size, vocab_size))
    optimizer = torch.optim.SGD([table], lr=learning_rate)
    goal = counts / row.clamp(min=1)[:, None]
    for _ in range(steps):
        optimizer.zero_grad()
        losses = F.cross_entropy(table, goal, reduction="none")  # soft targets, one row a token
        (losses * row / row.sum()).sum().backward()
        optimizer.step()
    return table.detach()


@right(FIT)
def gradient_on_paper(tokens, vocab_size, steps=15_000, learning_rate=30.0):
    share = torch.zeros(vocab_size, vocab_size)
    share.index_put_((tokens[:-1], tokens[1:]), torch.tensor(1.0), accumulate=True)
    share /= share.sum()
    logits = torch.zeros_like(share)
    for _ in range(steps):
        logits -= learning_rate * (share.sum(1, keepdim=True) * logits.softmax(1) - share)
    return logits

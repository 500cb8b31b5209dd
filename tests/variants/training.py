"""Other right answers for the floor `lib.training`."""

import math

import numpy as np
import torch
from einops import rearrange

from lib.optim import clip_gradients
from tests.variants import right

BATCH = "lib.training.next_token_batch"


@right(BATCH)
def with_slices(tokens, batch_size, n_context, generator=None, starts=None):
    n_starts = len(tokens) - n_context
    open_places = range(max(0, n_starts))
    if starts is not None:
        open_places = [s for s in starts.tolist() if s < n_starts]
    if not open_places:
        raise ValueError(f"{len(tokens)} tokens are too few, or all starts too late")
    inputs, targets = [], []
    for _ in range(batch_size):
        which = torch.randint(0, len(open_places), (1,), generator=generator).item()
        start = open_places[which]
        inputs.append(tokens[start : start + n_context])
        targets.append(tokens[start + 1 : start + 1 + n_context])
    return torch.stack(inputs).to(torch.int64), torch.stack(targets).to(torch.int64)


@right(BATCH)
def with_unfold(tokens, batch_size, n_context, generator=None, starts=None):
    if tokens.numel() <= n_context:
        raise ValueError("the text is too short")
    windows = tokens.unfold(0, n_context + 1, 1)
    if starts is not None:
        windows = windows[starts[starts < len(windows)]]
        if windows.numel() == 0:
            raise ValueError("the starts are too late")
    chance = torch.rand(batch_size, generator=generator, dtype=torch.float64)
    chosen = windows[(chance * windows.shape[0]).long()].long()
    return chosen[:, :n_context], chosen[:, 1:].contiguous()


@right(BATCH)
def with_numpy(tokens, batch_size, n_context, generator=None, starts=None):
    """numpy draws; its seed comes from the generator."""
    if len(tokens) - n_context <= 0:
        raise ValueError("the text is too short")
    seed = torch.randint(2**62, (1,), generator=generator).item()
    places = np.arange(len(tokens) - n_context)
    if starts is not None:
        places = np.intersect1d(starts.numpy(), places)
    chosen = np.random.default_rng(seed).choice(places, size=batch_size)
    index = rearrange(torch.from_numpy(chosen), "b -> b 1") + torch.arange(n_context)
    return tokens[index].long(), tokens[index + 1].long()


STEP = "lib.training.train_step"


@right(STEP)
def with_torchs_clipping(model, batches, loss, optimizer, max_norm=1.0):
    for p in optimizer.params:
        p.grad = None
    sums, counts = [], []
    for batch in batches:
        value, n = loss(model, batch)
        value.backward()
        sums.append(value.detach())
        counts.append(n)
    n_tokens = sum(counts)
    if not n_tokens:
        raise ValueError("no token counts")
    for p in optimizer.params:
        if p.grad is not None:
            p.grad = p.grad / n_tokens
    norm = torch.nn.utils.clip_grad_norm_(optimizer.params, max_norm)
    mean = torch.stack(sums).sum() / n_tokens
    if not torch.isfinite(mean) or not torch.isfinite(norm):
        raise FloatingPointError("nan or infinity")
    optimizer.step()
    return mean.item(), float(norm)


@right(STEP)
def with_autograd_grad(model, batches, loss, optimizer, max_norm=1.0):
    """Gradients are added up by hand, without backward()."""
    params = optimizer.params
    sums = [torch.zeros_like(p) for p in params]
    total, count = 0.0, 0
    for batch in batches:
        part, n = loss(model, batch)
        for mine, new in zip(sums, torch.autograd.grad(part, params, allow_unused=True)):
            if new is not None:
                mine += new
        total += float(part)
        count += n
    if count < 1:
        raise ValueError(f"{len(batches)} parts count nothing")
    for p, gradient in zip(params, sums):
        p.grad = gradient / count
    norm = clip_gradients(params, max_norm).item()
    if math.isnan(total) or math.isinf(total) or math.isnan(norm) or math.isinf(norm):
        raise FloatingPointError(f"{total}, {norm}")
    optimizer.step()
    return total / count, norm


@right(STEP)
def counted_first(model, batches, loss, optimizer, max_norm=1.0):
    """Two passes: the first counts, so that every part can be divided by the whole at once."""
    with torch.no_grad():
        count = sum(loss(model, batch)[1] for batch in batches)
    if count == 0:
        raise ValueError("the batch counts nothing")
    optimizer.zero_grad()
    mean = 0.0
    for batch in batches:
        share = loss(model, batch)[0] / count
        share.backward()
        mean += share.item()
    norm = clip_gradients(iter(optimizer.params), max_norm).item()
    if not math.isfinite(mean) or not math.isfinite(norm):
        raise FloatingPointError("the loss or its gradient is not finite")
    optimizer.step()
    return mean, norm

"""Other right answers for the floor `lib.ppo`."""

import torch
import torch.nn.functional as F

from tests.variants import right

KL = "lib.ppo.kl_estimates"


@right(KL)
def with_exp(log_probs, ref_log_probs):
    x = ref_log_probs - log_probs
    return log_probs - ref_log_probs, 0.5 * x**2, x.exp() - 1 - x


@right(KL)
def with_the_ratio(log_probs, ref_log_probs):
    log_ratio = log_probs - ref_log_probs
    ratio = torch.exp(-log_ratio)
    return log_ratio, log_ratio.pow(2).div(2), (ratio - 1) + log_ratio


GAE = "lib.ppo.advantages"


@right(GAE)
def masked_beforehand(rewards, values, mask, gamma, lam):
    """What is outside is 0 from the start; then nothing there can leak."""
    r, v = rewards * mask, values * mask
    after = F.pad(v[:, 1:], (0, 1))
    deltas = (r + gamma * after - v) * mask
    found, kept = [], torch.zeros(len(v))
    for delta, here in zip(reversed(deltas.unbind(1)), reversed(mask.unbind(1))):
        kept = (delta + gamma * lam * kept) * here
        found.append(kept)
    better = torch.stack(found[::-1], dim=1)
    return better, better + v


@right(GAE)
def row_by_row(rewards, values, mask, gamma, lam):
    better, returns = torch.zeros_like(values), torch.zeros_like(values)
    for i, row in enumerate(mask):
        next_value = next_better = 0.0
        for t in reversed(torch.nonzero(row).flatten().tolist()):
            value = values[i, t].item()
            next_better = rewards[i, t].item() + gamma * (next_value + lam * next_better) - value
            next_value = value
            better[i, t], returns[i, t] = next_better, next_better + value
    return better, returns


@right(GAE)
def as_a_product(rewards, values, mask, gamma, lam):
    """All sums at once: a triangle of powers of γλ times the δ of each row."""
    r, v = rewards.where(mask, 0.0), values.where(mask, 0.0)
    deltas = (r + gamma * F.pad(v[:, 1:], (0, 1)) - v).where(mask, 0.0)
    n = values.size(1)
    ahead = torch.arange(n)[None, :] - torch.arange(n)[:, None]  # (t s): how far s is behind t
    powers = torch.where(ahead >= 0, torch.tensor(gamma * lam) ** ahead.clamp(min=0), 0.0)
    better = (deltas @ powers.T.to(deltas.dtype)).where(mask, 0.0)
    return better, better + v


POLICY = "lib.ppo.ppo_policy_loss"


@right(POLICY)
def picked_first(log_probs, old_log_probs, advantages, mask, clip):
    new, old, better = log_probs[mask], old_log_probs[mask].detach(), advantages[mask]
    ratio = torch.exp(new - old)
    losses = torch.max(-better * ratio, -better * torch.clamp(ratio, 1.0 - clip, 1.0 + clip))
    return losses.sum(), len(losses)


@right(POLICY)
def by_the_sign(log_probs, old_log_probs, advantages, mask, clip):
    """Good tokens have a ceiling, bad ones a floor."""
    log_ratio = torch.where(mask, log_probs - old_log_probs, torch.zeros_like(log_probs))
    ratio = log_ratio.exp()
    bound = torch.where(advantages >= 0, ratio.clamp(max=1 + clip), ratio.clamp(min=1 - clip))
    total = (bound * advantages * mask).sum()
    return -total, int(mask.sum().item())


VALUE = "lib.ppo.ppo_value_loss"


@right(VALUE)
def values_picked_first(values, old_values, returns, mask, clip):
    now, before, goal = values[mask], old_values[mask], returns[mask]
    near = torch.max(torch.min(now, before + clip), before - clip)
    return torch.max(F.mse_loss(now, goal, reduction="none"), (near - goal).pow(2)).sum(), len(now)


@right(VALUE)
def with_the_larger_distance(values, old_values, returns, mask, clip):
    """The larger distance has the larger square."""
    near = old_values + torch.clamp(values - old_values, min=-clip, max=clip)
    distance = torch.stack([(values - returns).abs(), (near - returns).abs()]).amax(dim=0)
    return torch.where(mask, distance**2, torch.zeros_like(distance)).sum(), mask.sum().item()

"""Other right answers for the floor `lib.dpo`."""

import torch
import torch.nn.functional as F
from einops import rearrange

from lib.ngram import cross_entropy
from tests.variants import right

SEQUENCE = "lib.dpo.sequence_log_prob"


@right(SEQUENCE)
def with_torchs_cross_entropy(logits, targets):
    if logits.shape[:2] != targets.shape:
        raise ValueError("shapes")
    losses = F.cross_entropy(
        rearrange(logits.float(), "b t v -> (b t) v"), targets.flatten(), reduction="none"
    )
    return -losses.view(targets.shape).sum(1)


@right(SEQUENCE)
def with_our_cross_entropy(logits, targets):
    """A mean times how many it is a mean of; of nothing there is no mean."""
    sums = []
    for row, wanted in zip(logits, targets, strict=True):
        n = (wanted != -100).sum()
        sums.append(-cross_entropy(row, wanted) * n if n else logits.new_zeros(()).float())
    return torch.stack(sums)


@right(SEQUENCE)
def with_logsumexp(logits, targets):
    """score − log Σ exp(scores), at the places that count alone."""
    if targets.shape != logits.shape[:-1]:
        raise ValueError(f"{targets.shape} targets for {logits.shape}")
    row, place = (targets != -100).nonzero(as_tuple=True)
    scores = logits[row, place].to(torch.float32)
    picked = scores[torch.arange(len(row)), targets[row, place]]
    found = torch.zeros(len(logits))
    return found.index_add(0, row, picked - scores.logsumexp(dim=1))


REWARD = "lib.dpo.implicit_reward"


@right(REWARD)
def expanded(log_prob, ref_log_prob, beta):
    return beta * log_prob - beta * ref_log_prob.detach()


@right(REWARD)
def without_grad(log_prob, ref_log_prob, beta):
    with torch.no_grad():
        fixed = ref_log_prob * 1.0
    return (log_prob - fixed).mul(beta)


DPO = "lib.dpo.dpo_loss"


@right(DPO)
def with_softplus(chosen, rejected, ref_chosen, ref_rejected, beta):
    with torch.no_grad():
        head_start = ref_chosen - ref_rejected
    return F.softplus(beta * (head_start - (chosen - rejected))).sum(), chosen.numel()


@right(DPO)
def with_binary_cross_entropy(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = beta * (chosen - rejected - ref_chosen.detach() + ref_rejected.detach())
    ones = torch.ones_like(margins)
    loss = F.binary_cross_entropy_with_logits(margins, ones, reduction="sum")
    return loss, margins.shape[0]


@right(DPO, slow=True)
def as_a_choice_of_two(chosen, rejected, ref_chosen, ref_rejected, beta):
    """Cross-entropy over two rewards, of which the first should win."""
    rewards = torch.stack([chosen - ref_chosen.detach(), rejected - ref_rejected.detach()], dim=1)
    first = torch.zeros(len(rewards), dtype=torch.long)
    return F.cross_entropy(beta * rewards, first, reduction="sum"), len(rewards)


IPO = "lib.dpo.ipo_loss"


@right(IPO)
def with_mse(chosen, rejected, ref_chosen, ref_rejected, beta):
    goal = (ref_chosen - ref_rejected + 0.5 / beta).detach()
    return F.mse_loss(chosen - rejected, goal, reduction="sum"), chosen.size(0)


@right(IPO)
def scaled_back(chosen, rejected, ref_chosen, ref_rejected, beta):
    ratios = (chosen - ref_chosen.detach(), rejected - ref_rejected.detach())
    missing = 1 - 2 * beta * (ratios[0] - ratios[1])
    return (missing**2).sum() / (4 * beta**2), len(ratios[0])

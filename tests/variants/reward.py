"""Other right answers for the floor `lib.reward`."""

import torch
import torch.nn.functional as F
from einops import rearrange

from tests.variants import right

LOSS = "lib.reward.preference_loss"


@right(LOSS)
def with_softplus(chosen, rejected):
    return F.softplus(rejected - chosen).sum(), chosen.size(0)


@right(LOSS, slow=True)
def with_cross_entropy(chosen, rejected):
    """Which of the two won, as a choice between two logits."""
    logits = torch.stack([chosen, rejected], dim=-1)
    winner = torch.zeros(len(chosen), dtype=torch.long)
    return F.cross_entropy(logits, winner, reduction="sum"), chosen.numel()


@right(LOSS)
def with_binary_cross_entropy(chosen, rejected):
    margins = chosen - rejected
    losses = F.binary_cross_entropy_with_logits(margins, torch.ones_like(margins), reduction="none")
    return losses.sum(), int(losses.numel())


LAST = "lib.reward.last_token_reward"


@right(LAST)
def with_indexing(scores, tokens):
    n = (tokens != -1).sum(-1)
    if n.min() < 1:
        raise ValueError("nothing to score")
    return scores[torch.arange(scores.size(0)), n - 1]


@right(LAST, slow=True)
def row_by_row(scores, tokens):
    found = []
    for row, ids in zip(scores, tokens):
        real = row[ids >= 0]
        if len(real) == 0:
            raise ValueError("a text without tokens")
        found.append(real[-1])
    return torch.stack(found)


@right(LAST)
def with_a_mask(scores, tokens):
    """True at the one place whose right neighbour is no token."""
    real = tokens >= 0
    if not real[:, 0].all():
        raise ValueError("a text is empty")
    after = torch.cat([real[:, 1:], torch.zeros_like(real[:, :1])], dim=1)
    last = rearrange(real & ~after, "b t -> b t 1")
    return (rearrange(scores, "b t -> b t 1") * last).sum(dim=(1, 2))

"""Other right answers for the floor `lib.reasoning`."""

import math
from collections import Counter
from itertools import accumulate

import torch

from lib._reasoning_parts import check_grpo, check_votes
from tests.variants import right

GROUPS = "lib.reasoning.group_advantages"


@right(GROUPS, slow=True)
def with_a_loop(rewards, group_size, normalise="std", eps=1e-4):
    if group_size < 2:
        raise ValueError("a group has 2 answers at least")
    if len(rewards) % group_size != 0:
        raise ValueError("the last group is not whole")
    if normalise is not None and normalise != "std":
        raise ValueError(f"unknown: {normalise}")
    found = []
    for group in rewards.split(group_size):
        centred = group - group.mean()
        found.append(centred if normalise is None else centred / (group.std() + eps))
    return torch.cat(found)


@right(GROUPS)
def with_view(rewards, group_size, normalise="std", eps=1e-4):
    if normalise not in {"std", None} or group_size <= 1 or rewards.numel() % group_size:
        raise ValueError("bad groups, or a bad way to normalise")
    means = rewards.view(-1, group_size).mean(1).repeat_interleave(group_size)
    result = rewards - means
    if normalise:
        squares = result.view(-1, group_size).square().sum(1) / (group_size - 1)
        result = result / (squares.sqrt().repeat_interleave(group_size) + eps)
    return result


LOSS = "lib.reasoning.grpo_loss"


@right(LOSS)
def with_where(
    log_probs,
    old_log_probs,
    advantages,
    mask,
    *,
    ref_log_probs=None,
    clip=0.2,
    clip_high=None,
    kl_weight=0.0,
    average="answer",
    max_length=None,
):
    """By cases, as the sign of the advantage tells which bound matters."""
    if average not in ("answer", "token", "constant"):
        raise ValueError(f"unknown average {average}")
    if average == "constant" and max_length is None:
        raise ValueError("max_length is missing")
    if kl_weight != 0 and ref_log_probs is None:
        raise ValueError("ref_log_probs is missing")
    high = 1 + (clip_high if clip_high is not None else clip)
    ratio = torch.exp(torch.where(mask, log_probs - old_log_probs, 0.0))
    gain = advantages.unsqueeze(1)
    bounded = torch.where(gain >= 0, ratio.clamp(max=high), ratio.clamp(min=1 - clip))
    loss = -gain * bounded
    if kl_weight:
        x = torch.where(mask, ref_log_probs - log_probs, 0.0)
        loss = loss + kl_weight * (torch.expm1(x) - x)
    loss = loss * mask
    if average == "token":
        return loss.sum(), mask.sum().item()
    if average == "constant":
        return loss.sum(), mask.shape[0] * max_length
    return (loss.sum(-1) / mask.sum(-1)).sum(), mask.shape[0]


@right(LOSS)
def on_tokens_that_count(
    log_probs,
    old_log_probs,
    advantages,
    mask,
    *,
    ref_log_probs=None,
    clip=0.2,
    clip_high=None,
    kl_weight=0.0,
    average="answer",
    max_length=None,
):
    """All tokens that count as one long row; each with a weight."""
    check_grpo(average, max_length, kl_weight, ref_log_probs)
    n_answers = len(mask)
    gains = advantages[:, None].expand_as(log_probs)[mask]
    new, old = log_probs[mask], old_log_probs[mask]
    ratio = (new - old).exp()
    upper = 1 + clip if clip_high is None else 1 + clip_high
    unclipped, clipped = ratio * gains, torch.clamp(ratio, min=1 - clip, max=upper) * gains
    tokens = torch.maximum(-unclipped, -clipped)
    if kl_weight > 0:
        x = new - ref_log_probs[mask]
        tokens = tokens + kl_weight * ((-x).exp() + x - 1)
    lengths = mask.sum(dim=1, keepdim=True)
    if average == "answer":
        weights = (1 / lengths.float()).expand_as(log_probs)[mask]
        return (tokens * weights).sum(), n_answers
    count = len(tokens) if average == "token" else n_answers * max_length
    return tokens.sum(), count


@right(LOSS, slow=True)
def with_a_loop_over_answers(
    log_probs,
    old_log_probs,
    advantages,
    mask,
    *,
    ref_log_probs=None,
    clip=0.2,
    clip_high=None,
    kl_weight=0.0,
    average="answer",
    max_length=None,
):
    check_grpo(average, max_length, kl_weight, ref_log_probs)
    clip_high = clip if clip_high is None else clip_high
    total, n_tokens = torch.zeros(()), 0
    for i in range(len(mask)):
        counts = mask[i]
        ratio = (log_probs[i][counts] - old_log_probs[i][counts]).exp()
        gain = advantages[i]
        losses = -torch.stack([ratio * gain, ratio.clamp(1 - clip, 1 + clip_high) * gain]).amin(0)
        if kl_weight:
            x = ref_log_probs[i][counts] - log_probs[i][counts]
            losses = losses + kl_weight * (x.exp() - x - 1)
        total = total + (losses.mean() if average == "answer" else losses.sum())
        n_tokens += int(counts.sum())
    counts_of = {"answer": len(mask), "token": n_tokens}
    return total, counts_of[average] if average in counts_of else len(mask) * max_length


UPDATE = "lib.reasoning.SinglestreamTracker.update"


@right(UPDATE)
def one_by_one(self, prompts, rewards, divergences):
    if not all(0 <= reward <= 1 for reward in rewards.tolist()):
        raise ValueError("rewards run from 0 to 1")
    found = []
    for prompt, reward, moved in zip(prompts.tolist(), rewards.tolist(), divergences.tolist()):
        alpha, beta = self.alpha[prompt].item(), self.beta[prompt].item()
        found.append(reward - alpha / (alpha + beta))
        rho = max(self.least, min(self.most, math.pow(2, -moved / self.half)))
        self.alpha[prompt] = rho * alpha + reward
        self.beta[prompt] = rho * beta + (1 - reward)
    better = torch.tensor(found)
    return (better - better.mean()) / (better.std() + self.eps)


@right(UPDATE)
def with_new_tensors(self, prompts, rewards, divergences):
    """α and β of all prompts are made anew; ρ by way of the natural logarithm."""
    if rewards.min() < 0 or rewards.max() > 1:
        raise ValueError("rewards run from 0 to 1")
    values = (self.alpha / (self.alpha + self.beta)).gather(0, prompts)
    rho = torch.exp(-math.log(2) * divergences / self.half).clip(self.least, self.most)
    alpha, beta = self.alpha.clone(), self.beta.clone()
    alpha[prompts] = alpha[prompts].mul(rho).add(rewards)
    beta[prompts] = beta[prompts].mul(rho).add(1 - rewards)
    self.alpha, self.beta = alpha, beta
    advantages = rewards - values
    std, mean = torch.std_mean(advantages)
    return (advantages - mean) / (std + self.eps)


LIMIT = "lib.reasoning.limit_thinking"


@right(LIMIT)
def with_lists(budget, ids):
    if budget < 0:
        raise ValueError("a budget is 0 at least")

    def process(tokens, logits):
        new = logits.clone()
        for i, row in enumerate(tokens.tolist()):
            starts = [place for place, token in enumerate(row) if token == ids.turn]
            turn = row[starts[-1] :] if starts else row
            if ids.begin not in turn:
                continue
            thought = turn[len(turn) - turn[::-1].index(ids.begin) :]
            if ids.end not in thought and len(thought) >= budget:
                new[i] = -torch.inf
                new[i, ids.end] = 1.0
        return new

    return process


@right(LIMIT)
def with_cumulative_sums(budget, ids):
    """Each place knows how many tokens ago the thought it stands in began."""
    if budget < 0:
        raise ValueError("a budget is 0 at least")

    def process(tokens, logits):
        n = tokens.shape[1]
        border = (tokens == ids.begin) | (tokens == ids.end) | (tokens == ids.turn)
        # How many borders are still to come, this place included: 1 at the last of them.
        to_come = border.flip(1).cumsum(1).flip(1)
        last = border & (to_come == 1)
        thinks = (last & (tokens == ids.begin)).any(dim=1)
        since = (to_come == 0).sum(dim=1)
        only_end = torch.zeros_like(logits[0]).bool()
        only_end[ids.end] = True
        over = (thinks & (since >= budget)).unsqueeze(1)
        forced = torch.where(only_end, torch.zeros_like(logits), float("-inf"))
        return logits.where(~over, forced) if n else logits

    return process


VOTE = "lib.reasoning.majority_vote"


@right(VOTE)
def with_counter(answers, weights=None):
    weights = check_votes(answers, weights)
    totals: Counter = Counter()
    history = []
    for answer, weight in zip(answers, weights):
        if answer is not None:
            totals[answer] += weight
            history.append((totals[answer], answer))
    if not history:
        return None
    most = max(n for n, _ in history)
    return next(answer for n, answer in history if n == most)


@right(VOTE, slow=True)
def with_running_sums(answers, weights=None):
    """For each answer, when it had its last vote: of equals, the one whose last came first."""
    if weights is None:
        weights = [1.0] * len(answers)
    if len(weights) != len(answers) or any(w <= 0 for w in weights):
        raise ValueError("one weight above 0 for each answer")
    best = None
    for candidate in set(answers) - {None}:
        places = [i for i, answer in enumerate(answers) if answer == candidate]
        total = list(accumulate(weights[i] for i in places))[-1]
        score = (total, -places[-1])
        if best is None or score > best[0]:
            best = (score, candidate)
    return None if best is None else best[1]

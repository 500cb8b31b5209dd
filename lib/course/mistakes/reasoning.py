"""Classic wrong answers for the floor `lib.reasoning`."""

import math
from collections import Counter, defaultdict

import torch
from einops import rearrange

from lib._reasoning_parts import check_grpo, check_votes
from lib.course.bank import mistake

# --- group_advantages -----------------------------------------------------------------------------

GROUPS = "lib.reasoning.group_advantages"


def _check_groups(rewards, group_size, normalise, least=2, whole=True):
    if group_size < least or (whole and len(rewards) % group_size):
        raise ValueError("these are no groups")
    if normalise not in ("std", None):
        raise ValueError("normalise is unknown")


def _grouped(rewards, group_size, normalise, scale):
    """The right advantages, but divided by scale(groups)."""
    _check_groups(rewards, group_size, normalise)
    groups = rearrange(rewards, "(n g) -> n g", g=group_size)
    advantages = groups - groups.mean(dim=1, keepdim=True)
    if normalise == "std":
        advantages = advantages / scale(groups)
    return rearrange(advantages, "n g -> (n g)")


def _less(rewards, group_size, normalise, eps, baseline):
    """The right spread, but another baseline than the mean of each group."""
    _check_groups(rewards, group_size, normalise)
    groups = rearrange(rewards, "(n g) -> n g", g=group_size)
    scale = groups.std(dim=1, keepdim=True) + eps if normalise == "std" else 1
    return rearrange((groups - baseline(groups)) / scale, "n g -> (n g)")


@mistake(
    GROUPS,
    "The groups are cut the wrong way: every n-th reward is put into one group, so that answers to "
    "different prompts are compared. Those to one prompt stand one after the other.",
)
def wrong_stride(rewards, group_size, normalise="std", eps=1e-4):
    _check_groups(rewards, group_size, normalise)
    groups = rearrange(rewards, "(g n) -> n g", g=group_size)
    advantages = groups - groups.mean(dim=1, keepdim=True)
    if normalise == "std":
        advantages = advantages / (groups.std(dim=1, keepdim=True) + eps)
    return rearrange(advantages, "n g -> (g n)")


@mistake(
    GROUPS,
    "All answers of the batch are compared with each other: an easy prompt then looks like a good "
    "answer. Mean and standard deviation are those of each group.",
)
def over_the_batch(rewards, group_size, normalise="std", eps=1e-4):
    _check_groups(rewards, group_size, normalise)
    advantages = rewards - rewards.mean()
    return advantages / (rewards.std() + eps) if normalise == "std" else advantages


@mistake(
    GROUPS,
    "The mean is that of each group, but the standard deviation is that of the whole batch: take it "
    "within each group as well.",
)
def std_over_the_batch(rewards, group_size, normalise="std", eps=1e-4):
    return _grouped(rewards, group_size, normalise, lambda groups: groups.std() + eps)


@mistake(
    GROUPS,
    "The standard deviation is that of each group, but the mean is that of the whole batch: take it "
    "within each group as well.",
)
def mean_over_the_batch(rewards, group_size, normalise="std", eps=1e-4):
    return _less(rewards, group_size, normalise, eps, lambda groups: groups.mean())


@mistake(
    GROUPS,
    "Each answer is compared with the mean of the *others*, as in RLOO: asked for is the mean of the "
    "whole group, the answer itself included.",
)
def less_the_others(rewards, group_size, normalise="std", eps=1e-4):
    return _less(rewards, group_size, normalise, eps,
                 lambda groups: (groups.sum(dim=1, keepdim=True) - groups) / (group_size - 1))  # fmt: skip


@mistake(
    GROUPS,
    "The mean is taken over the prompts instead of over the answers of each: dim=1 runs within a "
    "group, dim=0 across them.",
)
def wrong_axis(rewards, group_size, normalise="std", eps=1e-4):
    _check_groups(rewards, group_size, normalise)
    groups = rearrange(rewards, "(n g) -> n g", g=group_size)
    advantages = groups - groups.mean(dim=0)
    if normalise == "std":
        advantages = advantages / (groups.std(dim=0) + eps)
    return rearrange(advantages, "n g -> (n g)")


@mistake(
    GROUPS,
    "The standard deviation is that of a population, with g in its denominator. Asked for is that "
    "of a sample, g − 1: what .std() computes by itself. In small groups that is far apart.",
)
def of_a_population(rewards, group_size, normalise="std", eps=1e-4):
    return _grouped(rewards, group_size, normalise,
                    lambda groups: groups.std(dim=1, keepdim=True, correction=0) + eps)  # fmt: skip


@mistake(
    GROUPS,
    "eps stands under the root, with the variance: it is added to the standard deviation.",
)
def eps_under_the_root(rewards, group_size, normalise="std", eps=1e-4):
    return _grouped(rewards, group_size, normalise,
                    lambda groups: (groups.var(dim=1, keepdim=True) + eps).sqrt())  # fmt: skip


@mistake(
    GROUPS,
    "eps is a floor under the standard deviation: it is added to it, always.",
)
def eps_as_a_floor(rewards, group_size, normalise="std", eps=1e-4):
    return _grouped(rewards, group_size, normalise,
                    lambda groups: groups.std(dim=1, keepdim=True).clamp(min=eps))  # fmt: skip


@mistake(GROUPS, "`eps` is not used: 1e-4 is no more than its default.")
def eps_fixed(rewards, group_size, normalise="std", eps=1e-4):
    return _grouped(rewards, group_size, normalise,
                    lambda groups: groups.std(dim=1, keepdim=True) + 1e-4)  # fmt: skip


@mistake(
    GROUPS,
    "Without eps, a group whose answers all earn the same is divided by 0, and its advantages are "
    "nan: they should be 0.",
)
def no_eps(rewards, group_size, normalise="std", eps=1e-4):
    return _grouped(rewards, group_size, normalise, lambda groups: groups.std(dim=1, keepdim=True))


@mistake(GROUPS, "The advantages are divided by the variance, not by the standard deviation.")
def by_the_variance(rewards, group_size, normalise="std", eps=1e-4):
    return _grouped(rewards, group_size, normalise,
                    lambda groups: groups.var(dim=1, keepdim=True) + eps)  # fmt: skip


@mistake(
    GROUPS,
    "`normalise` is ignored: with None, Dr. GRPO, nothing is divided by the standard deviation.",
)
def always_divided(rewards, group_size, normalise="std", eps=1e-4):
    _check_groups(rewards, group_size, normalise)
    return _grouped(rewards, group_size, "std", lambda g: g.std(dim=1, keepdim=True) + eps)


@mistake(GROUPS, 'It is never divided by the standard deviation, which normalise="std" asks for.')
def never_divided(rewards, group_size, normalise="std", eps=1e-4):
    return _grouped(rewards, group_size, normalise, lambda groups: 1)


@mistake(
    GROUPS,
    "The sign is turned: the advantage is the reward less the mean, above 0 for better answers.",
)
def mean_less_reward(rewards, group_size, normalise="std", eps=1e-4):
    return -_grouped(rewards, group_size, normalise, lambda g: g.std(dim=1, keepdim=True) + eps)


@mistake(
    GROUPS,
    "The mean is not taken off: answers that are all right would all be pushed up, and those that "
    "are all wrong not at all.",
)
def no_baseline(rewards, group_size, normalise="std", eps=1e-4):
    return _less(rewards, group_size, normalise, eps, lambda groups: 0)


@mistake(
    GROUPS,
    "The best answer of the group is taken off instead of the mean: no answer would ever be pushed "
    "up.",
)
def less_the_best(rewards, group_size, normalise="std", eps=1e-4):
    _check_groups(rewards, group_size, normalise)
    groups = rearrange(rewards, "(n g) -> n g", g=group_size)
    scale = groups.std(dim=1, keepdim=True) + eps if normalise == "std" else 1
    return rearrange((groups - groups.amax(dim=1, keepdim=True)) / scale, "n g -> (n g)")


@mistake(
    GROUPS, "The result still has a row for each group: it should be flat, as the rewards are."
)
def left_in_rows(rewards, group_size, normalise="std", eps=1e-4):
    _check_groups(rewards, group_size, normalise)
    groups = rearrange(rewards, "(n g) -> n g", g=group_size)
    advantages = groups - groups.mean(dim=1, keepdim=True)
    return advantages / (groups.std(dim=1, keepdim=True) + eps) if normalise else advantages


@mistake(
    GROUPS,
    "Groups of 1 go through, with a standard deviation of nan: one answer has nothing to be compared "
    "with. Raise a ValueError.",
)
def groups_of_one(rewards, group_size, normalise="std", eps=1e-4):
    _check_groups(rewards, group_size, normalise, least=1)
    return _grouped(rewards, max(group_size, 2), normalise,
                    lambda g: g.std(dim=1, keepdim=True) + eps) if group_size > 1 else rewards  # fmt: skip


@mistake(
    GROUPS,
    "A normalise that is unknown goes through, as if it were None: a typing error would change the "
    "method in silence. Raise a ValueError.",
)
def anything_goes(rewards, group_size, normalise="std", eps=1e-4):
    known = normalise if normalise == "std" else None
    return _grouped(rewards, group_size, known, lambda g: g.std(dim=1, keepdim=True) + eps)


@mistake(
    GROUPS,
    "Rewards that do not fill their last group are dropped in silence, and the advantages no longer "
    "line up with the answers: raise a ValueError.",
)
def rest_dropped(rewards, group_size, normalise="std", eps=1e-4):
    _check_groups(rewards, group_size, normalise, whole=False)
    n = len(rewards) // group_size * group_size
    return _grouped(rewards[:n], group_size, normalise, lambda g: g.std(dim=1, keepdim=True) + eps)


# --- grpo_loss ------------------------------------------------------------------------------------

LOSS = "lib.reasoning.grpo_loss"


def _grpo(log_probs, old, gains, mask, *, ref_log_probs=None, clip=0.2, clip_high=None,
          kl_weight=0.0, average="answer", max_length=None, ratio=None, bounds=None, product=None,
          penalty=None, turned=None, finish=None, check=True, counted=None, masked=None):  # fmt: skip
    """The right loss, with one thing wrong."""
    if check:
        check_grpo(average, max_length, kl_weight, ref_log_probs)
    low, high = 1 - clip, 1 + (clip if clip_high is None else clip_high)
    if bounds:
        low, high = bounds(clip, clip if clip_high is None else clip_high)
    gains = turned(gains, mask) if turned else gains[:, None]
    counts = counted(mask) if counted else mask
    rho = ratio(log_probs, old) if ratio else (log_probs - old).masked_fill(~counts, 0.0).exp()
    if product:
        losses = product(rho, rho.clamp(low, high), gains)
    else:
        losses = -torch.minimum(rho * gains, rho.clamp(low, high) * gains)
    if kl_weight and ref_log_probs is not None:
        x = (ref_log_probs - log_probs).masked_fill(~counts, 0.0)
        losses = losses + kl_weight * (penalty(x, rho) if penalty else x.exp() - 1 - x)
    losses = masked(losses, counts) if masked else losses.masked_fill(~counts, 0.0)
    if finish:
        found = finish(losses, counts, average, max_length)
        if found is not None:
            return found
    if average == "answer":
        return (losses.sum(dim=1) / counts.sum(dim=1).clamp(min=1)).sum(), len(losses)
    if average == "token":
        return losses.sum(), int(counts.sum())
    return losses.sum(), len(losses) * (max_length or losses.size(1))


def _stripped(mask):
    """The mask without the last token of each answer."""
    places = torch.arange(mask.size(1))
    last = (mask * places).amax(dim=1, keepdim=True)
    return mask & (places < last)


@mistake(
    LOSS,
    "The mask is not used: tokens of the prompt, and whatever stands past the end, count as well.",
)
def mask_not_used(*inputs, **settings):
    return _grpo(*inputs, counted=torch.ones_like, **settings)


def _unmasked_penalty(inputs, settings):
    """k3 of all tokens, also of those that the mask leaves out."""

    def penalty(x, rho):
        x = settings["ref_log_probs"] - inputs[0]
        return x.exp() - 1 - x

    return penalty


@mistake(
    LOSS,
    "The mask comes after exp: where that has overflowed, the loss is mended, but its gradient is "
    "0 · ∞, which is nan. Put 0 in place of what the mask leaves out *before* exp.",
)
def masked_after_exp(*inputs, **settings):
    return _grpo(*inputs, ratio=lambda new, old: (new - old).exp(),
                 penalty=_unmasked_penalty(inputs, settings), **settings)  # fmt: skip


@mistake(
    LOSS,
    "The losses are multiplied by the mask: where exp has overflowed, that is ∞ · 0, which is nan. "
    "Put 0 in place of what the mask leaves out *before* exp, with masked_fill.",
)
def times_the_mask(*inputs, **settings):
    return _grpo(*inputs, ratio=lambda new, old: (new - old).exp(),
                 penalty=_unmasked_penalty(inputs, settings),
                 masked=lambda losses, mask: losses * mask, **settings)  # fmt: skip


@mistake(
    LOSS,
    "ρ is masked before exp, the penalty is not: eˣ overflows there just as well, and its gradient "
    "is nan.",
)
def penalty_masked_after_exp(*inputs, **settings):
    return _grpo(*inputs, penalty=_unmasked_penalty(inputs, settings), **settings)


@mistake(
    LOSS,
    "The token that ends an answer is left out: then the model never learns when to stop.",
    seen_in="MiniMind's agent training",
)
def end_token_left_out(*inputs, **settings):
    return _grpo(*inputs, counted=_stripped, **settings)


@mistake(
    LOSS,
    "Tokens past the end add nothing to the sum, but are counted in what it is divided by: divide "
    "by mask.sum(), not by the width of the batch.",
)
def divided_by_the_width(*inputs, **settings):
    def finish(losses, mask, average, max_length):
        if average == "answer":
            return losses.mean(dim=1).sum(), len(losses)
        return (losses.sum(), losses.numel()) if average == "token" else None

    return _grpo(*inputs, finish=finish, **settings)


@mistake(
    LOSS,
    "The larger of the two products is taken: with maximum the clip lets through what it should "
    "stop, and stops the rest.",
)
def max_for_min(*inputs, **settings):
    return _grpo(*inputs, **settings,
                 product=lambda rho, clipped, gains: -torch.maximum(rho * gains, clipped * gains))  # fmt: skip


@mistake(
    LOSS,
    "The sign is turned: a loss goes down, so it is minus what should go up.",
)
def sign_turned(*inputs, **settings):
    return _grpo(*inputs, **settings,
                 product=lambda rho, clipped, gains: torch.minimum(rho * gains, clipped * gains))  # fmt: skip


@mistake(
    LOSS,
    "Nothing is clipped: ρ may run as far as it likes from the policy that wrote the answers.",
)
def nothing_clipped(*inputs, **settings):
    return _grpo(*inputs, **settings,
                 product=lambda rho, clipped, gains: -rho * gains)  # fmt: skip


@mistake(
    LOSS,
    "Only the clipped product is used, without the minimum: where ρ has run off to the wrong side, "
    "there is no gradient left to bring it back.",
)
def only_the_clipped(*inputs, **settings):
    return _grpo(*inputs, **settings,
                 product=lambda rho, clipped, gains: -clipped * gains)  # fmt: skip


@mistake(
    LOSS,
    "min(ρ, clip(ρ)) is taken before it is multiplied by the advantage: where the advantage is below "
    "0, that is the larger product, not the smaller.",
)
def minimum_before_product(*inputs, **settings):
    return _grpo(*inputs, **settings,
                 product=lambda rho, clipped, gains: -torch.minimum(rho, clipped) * gains)  # fmt: skip


@mistake(LOSS, "`clip_high` is not used: it says how far ρ may rise, `clip` how far it may fall.")
def clip_high_not_used(*inputs, **settings):
    return _grpo(*inputs,
                 bounds=lambda low, high: (1 - low, 1 + low), **settings)  # fmt: skip


@mistake(
    LOSS,
    "A `clip_high` of 0 is taken for none: `clip_high or clip` is clip then. Ask `is None`.",
)
def clip_high_of_0(*inputs, **settings):
    settings["clip_high"] = settings.get("clip_high") or None
    return _grpo(*inputs, **settings)


@mistake(LOSS, "`clip` and `clip_high` are exchanged: `clip` says how far ρ may fall.")
def bounds_exchanged(*inputs, **settings):
    return _grpo(*inputs,
                 bounds=lambda low, high: (1 - high, 1 + low), **settings)  # fmt: skip


@mistake(
    LOSS,
    "The lower bound is 1 / (1 + clip): it is 1 − clip.",
)
def lower_bound_inverse(*inputs, **settings):
    return _grpo(*inputs,
                 bounds=lambda low, high: (1 / (1 + low), 1 + high), **settings)  # fmt: skip


@mistake(
    LOSS,
    "The difference of log-probabilities is used as ρ: it is the logarithm of the ratio. exp() is "
    "missing.",
)
def no_exp(*inputs, **settings):
    return _grpo(*inputs, ratio=lambda new, old: new - old,
                 **settings)  # fmt: skip


@mistake(LOSS, "ρ is upside down: it is the new policy over the old one.")
def ratio_upside_down(*inputs, **settings):
    return _grpo(*inputs,
                 ratio=lambda new, old: (old - new).exp(), **settings)  # fmt: skip


@mistake(
    LOSS,
    "ρ compares the policy with itself, detached, not with old_log_probs: it is 1 always, and never "
    "clipped. From the second step on the same answers that is another loss.",
)
def old_not_used(*inputs, **settings):
    return _grpo(*inputs,
                 ratio=lambda new, old: (new - new.detach()).exp(), **settings)  # fmt: skip


@mistake(
    LOSS,
    "It is REINFORCE's loss, −A log π: neither the policy that wrote the answers nor the clip is in "
    "it.",
)
def reinforce(*inputs, **settings):
    return _grpo(*inputs,
                 ratio=lambda new, old: new, product=lambda rho, clipped, gains: -rho * gains,
                 **settings)  # fmt: skip


@mistake(
    LOSS,
    "ρ is detached: the loss has the right value, and no gradient that would teach the policy.",
)
def detached(*inputs, **settings):
    return _grpo(*inputs,
                 ratio=lambda new, old: (new - old).exp().detach() + 0 * new, **settings)  # fmt: skip


@mistake(
    LOSS,
    "One ρ is used for each whole answer, the product of its tokens': GRPO compares token by token.",
)
def one_ratio_an_answer(*inputs, **settings):
    return _grpo(*inputs, **settings,
                 ratio=lambda new, old: ((new - old) * inputs[3]).sum(dim=1, keepdim=True).exp() + 0 * new)  # fmt: skip


@mistake(
    LOSS,
    "The advantages, (b), meet the tokens, (b t), along the wrong axis: they need a second one, "
    'rearrange(advantages, "b -> b 1").',
)
def advantages_along_time(*inputs, **settings):
    return _grpo(*inputs, turned=lambda gains, mask: gains,
                 **settings)  # fmt: skip


@mistake(
    LOSS,
    "The penalty is k1, −x, whose expected gradient is 0: it keeps the policy near to nothing. k3 "
    "is eˣ − 1 − x.",
)
def k1(*inputs, **settings):
    return _grpo(*inputs, penalty=lambda x, rho: -x, **settings)


@mistake(LOSS, "The penalty is k2, x²/2: asked for is k3, eˣ − 1 − x.")
def k2(*inputs, **settings):
    return _grpo(*inputs, penalty=lambda x, rho: x**2 / 2,
                 **settings)  # fmt: skip


@mistake(
    LOSS,
    "x has the wrong sign in the penalty: it is the reference's log-probability less the policy's.",
)
def penalty_turned(*inputs, **settings):
    return _grpo(*inputs,
                 penalty=lambda x, rho: (-x).exp() - 1 + x, **settings)  # fmt: skip


@mistake(LOSS, "The penalty is taken off the loss: then straying is rewarded. It is added.")
def penalty_rewarded(*inputs, **settings):
    return _grpo(*inputs,
                 penalty=lambda x, rho: -(x.exp() - 1 - x), **settings)  # fmt: skip


@mistake(LOSS, "There is no penalty: `kl_weight` and `ref_log_probs` are not used.")
def no_penalty(*inputs, **settings):
    return _grpo(*inputs, penalty=lambda x, rho: 0 * x,
                 **settings)  # fmt: skip


@mistake(LOSS, "The penalty is added unweighted: multiply it by `kl_weight`.")
def penalty_unweighted(*inputs, **settings):
    weight = settings.get("kl_weight", 0.0)
    return _grpo(*inputs,
                 penalty=lambda x, rho: (x.exp() - 1 - x) / weight, **settings)  # fmt: skip


@mistake(
    LOSS,
    "The penalty measures how far the policy is from the one that wrote the answers: asked for is "
    "how far it is from the reference.",
)
def penalty_to_old(*inputs, **settings):
    x = (inputs[1] - inputs[0]).masked_fill(~inputs[3], 0.0)
    return _grpo(*inputs,
                 penalty=lambda _, rho: x.exp() - 1 - x, **settings)  # fmt: skip


@mistake(
    LOSS,
    "The penalty is multiplied by ρ: in this loss it stands by itself.",
)
def penalty_times_ratio(*inputs, **settings):
    return _grpo(*inputs,
                 penalty=lambda x, rho: rho * (x.exp() - 1 - x), **settings)  # fmt: skip


@mistake(
    LOSS,
    "The mean is returned in place of the sum: train_step divides once more. Return the sum, and "
    "beside it what to divide by.",
)
def mean_returned(*inputs, **settings):
    total, count = _grpo(*inputs, **settings)
    return total / count, count


@mistake(
    LOSS,
    "The mean is returned with a count of 1: a batch that comes in two parts would weigh both alike, "
    "however few answers one has. Return the sum and the number.",
    seen_in="transformers#34191",
)
def mean_and_one(*inputs, **settings):
    total, count = _grpo(*inputs, **settings)
    return total / count, 1


@mistake(
    LOSS,
    'Every `average` is computed as "answer", the mean of each answer: "token" and "constant" add '
    "up all tokens.",
)
def always_by_answer(*inputs, **settings):
    def finish(losses, mask, average, max_length):
        return (losses.sum(dim=1) / mask.sum(dim=1)).sum(), len(losses)

    return _grpo(*inputs, finish=finish, **settings)


@mistake(
    LOSS,
    'Every `average` is computed as "token": with "answer" each answer has the same weight, however '
    "long it is.",
)
def always_by_token(*inputs, **settings):
    def finish(losses, mask, average, max_length):
        return losses.sum(), int(mask.sum())

    return _grpo(*inputs, finish=finish, **settings)


@mistake(
    LOSS,
    'With "answer", the sum of each answer is not divided by its length: long answers weigh more.',
)
def answers_not_divided(*inputs, **settings):
    def finish(losses, mask, average, max_length):
        return (losses.sum(), len(losses)) if average == "answer" else None

    return _grpo(*inputs, finish=finish, **settings)


@mistake(
    LOSS,
    '"constant" divides by the longest answer of this batch, which differs from batch to batch: the '
    "divisor is answers · max_length.",
)
def by_the_longest(*inputs, **settings):
    def finish(losses, mask, average, max_length):
        longest = int(mask.sum(dim=1).max())
        return (losses.sum(), len(losses) * longest) if average == "constant" else None

    return _grpo(*inputs, finish=finish, **settings)


@mistake(
    LOSS,
    '"constant" divides by max_length alone: the loss grows with the batch. The divisor is answers · '
    "max_length.",
)
def by_max_length_alone(*inputs, **settings):
    def finish(losses, mask, average, max_length):
        return (losses.sum(), max_length) if average == "constant" else None

    return _grpo(*inputs, finish=finish, **settings)


@mistake(
    LOSS,
    "Settings that do not go together pass in silence: an unknown `average`, a missing `max_length`, "
    "a penalty without a reference. check_grpo refuses them.",
)
def nothing_refused(*inputs, **settings):
    return _grpo(*inputs, check=False, **settings)


# --- SinglestreamTracker.update -------------------------------------------------------------------

UPDATE = "lib.reasoning.SinglestreamTracker.update"


def _update(self, prompts, rewards, divergences, *, value=None, kept=None, alpha=None, beta=None,
            advantage=None, finish=None, check="first"):  # fmt: skip
    """The right update, with one thing wrong."""
    bad = bool(((rewards < 0) | (rewards > 1)).any())
    if bad and check == "first":
        raise ValueError("rewards run from 0 to 1")
    if bad and check == "above":
        if (rewards > 1).any():
            raise ValueError("rewards are at most 1")
    if check == "clamp":
        rewards = rewards.clamp(0, 1)
    a, b = self.alpha[prompts], self.beta[prompts]
    rho = 2 ** (-divergences / self.half)
    rho = kept(self, rho, divergences) if kept else rho.clamp(self.least, self.most)
    v = value(a, b, rewards, rho) if value else a / (a + b)
    advantages = advantage(rewards, v) if advantage else rewards - v
    self.alpha[prompts] = alpha(a, rewards, rho) if alpha else rho * a + rewards
    self.beta[prompts] = beta(b, rewards, rho) if beta else rho * b + 1 - rewards
    if bad and check == "last":
        raise ValueError("rewards run from 0 to 1")
    if finish:
        return finish(advantages, self.eps)
    return (advantages - advantages.mean()) / (advantages.std() + self.eps)


@mistake(
    UPDATE,
    "There is one value for all prompts: an easy prompt makes hard ones look worse than they are. "
    "Each prompt has its own α and β; self.alpha[prompts] are those of this batch.",
    seen_in="MiniMind",
)
def one_for_all(self, prompts, rewards, divergences):
    if ((rewards < 0) | (rewards > 1)).any():
        raise ValueError("rewards run from 0 to 1")
    advantages = rewards - self.alpha.mean() / (self.alpha.mean() + self.beta.mean())
    rho = (2 ** (-divergences.mean() / self.half)).clamp(self.least, self.most)
    self.alpha[:] = rho * self.alpha + rewards.mean()
    self.beta[:] = rho * self.beta + 1 - rewards.mean()
    return (advantages - advantages.mean()) / (advantages.std() + self.eps)


@mistake(
    UPDATE,
    "The baseline is read after the update, when the answer itself is part of it already: every "
    "advantage shrinks, and the baseline depends on what it should judge.",
)
def read_after_update(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences,
                   value=lambda a, b, r, rho: (rho * a + r) / (rho * a + rho * b + 1))  # fmt: skip


@mistake(
    UPDATE,
    "The baseline is read when α has been partly forgotten and β not yet: read it before anything "
    "changes.",
)
def read_between(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences,
                   value=lambda a, b, r, rho: rho * a / (rho * a + b))  # fmt: skip


@mistake(
    UPDATE,
    "ρ is not kept within `least` and `most`: at a divergence of 0 nothing is ever forgotten, and a "
    "large one wipes the memory out.",
)
def unclipped(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences, kept=lambda self, rho, d: rho)


@mistake(
    UPDATE,
    "ρ is kept above `least`, but not below `most`: while the policy does not move, nothing is ever "
    "forgotten.",
)
def no_upper_bound(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences,
                   kept=lambda self, rho, d: rho.clamp(min=self.least))  # fmt: skip


@mistake(
    UPDATE,
    "ρ is kept below `most`, but not above `least`: one large divergence wipes the memory out.",
)
def no_lower_bound(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences,
                   kept=lambda self, rho, d: rho.clamp(max=self.most))  # fmt: skip


@mistake(UPDATE, "ρ is e^(−D / half): half is forgotten after `half` only with 2^(−D / half).")
def powers_of_e(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences, kept=lambda self, rho, d: (
        -d / self.half).exp().clamp(self.least, self.most))  # fmt: skip


@mistake(UPDATE, "ρ grows with the divergence: the sign of the exponent is missing, 2^(−D / half).")
def sign_of_exponent(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences, kept=lambda self, rho, d: (
        2 ** (d / self.half)).clamp(self.least, self.most))  # fmt: skip


@mistake(UPDATE, "ρ is 2^(−D · half): the divergence is divided by `half`, not multiplied.")
def times_half(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences, kept=lambda self, rho, d: (
        2 ** (-d * self.half)).clamp(self.least, self.most))  # fmt: skip


@mistake(
    UPDATE,
    "All prompts forget alike, by the mean divergence of the batch: each has its own, by how long it "
    "has not been used.",
)
def one_rho_for_all(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences, kept=lambda self, rho, d: (
        2 ** (-d.mean() / self.half)).clamp(self.least, self.most))  # fmt: skip


@mistake(UPDATE, "Nothing is forgotten: α and β are multiplied by ρ before the answer is added.")
def nothing_forgotten(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences,
                   kept=lambda self, rho, d: torch.ones_like(rho))  # fmt: skip


@mistake(
    UPDATE,
    "α and β stay as they were: self.alpha[prompts] is a copy, and what is done to it in place is "
    "lost. Assign the new values to self.alpha[prompts].",
)
def a_copy_is_changed(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences,
                   alpha=lambda a, r, rho: a, beta=lambda b, r, rho: b)  # fmt: skip


@mistake(
    UPDATE,
    "ρ is made from fixed numbers, 0.06, 0.875 and 0.96: a tracker has its own in self.half, "
    "self.least and self.most.",
)
def fixed_numbers(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences,
                   kept=lambda self, rho, d: (2 ** (-d / 0.06)).clamp(0.875, 0.96))  # fmt: skip


@mistake(UPDATE, "α is forgotten by and by, β is not: multiply both by ρ.")
def beta_not_forgotten(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences, beta=lambda b, r, rho: b + 1 - r)


@mistake(UPDATE, "β is forgotten by and by, α is not: multiply both by ρ.")
def alpha_not_forgotten(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences, alpha=lambda a, r, rho: a + r)


@mistake(
    UPDATE,
    "The answer is forgotten along with the past, ρ(α + r): only what was there before is multiplied "
    "by ρ.",
)
def answer_forgotten(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences, alpha=lambda a, r, rho: rho * (a + r),
                   beta=lambda b, r, rho: rho * (b + 1 - r))  # fmt: skip


@mistake(
    UPDATE,
    "α ← ρα + (1 − ρ)r is a running mean: the answer is added whole, and the size of α + β tells how "
    "much was seen.",
)
def running_mean(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences,
                   alpha=lambda a, r, rho: rho * a + (1 - rho) * r,
                   beta=lambda b, r, rho: rho * b + (1 - rho) * (1 - r))  # fmt: skip


@mistake(UPDATE, "β counts success as well: it grows by 1 − r.")
def beta_counts_success(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences, beta=lambda b, r, rho: rho * b + r)


@mistake(
    UPDATE,
    "A reward above 0 counts as a whole success: α grows by r, and half a reward is half a success.",
)
def all_or_nothing(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences,
                   alpha=lambda a, r, rho: rho * a + (r > 0).float(),
                   beta=lambda b, r, rho: rho * b + (r <= 0).float())  # fmt: skip


@mistake(UPDATE, "The value is α / β: success over failure. It is success over both, α / (α + β).")
def odds(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences, value=lambda a, b, r, rho: a / b)


@mistake(UPDATE, "The sign is turned: the advantage is the reward less the value.")
def value_less_reward(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences, advantage=lambda r, v: v - r)


@mistake(
    UPDATE,
    "No baseline is taken off: the rewards themselves are normalised. Then a prompt that is always "
    "solved is still pushed up.",
)
def rewards_themselves(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences, advantage=lambda r, v: r)


@mistake(UPDATE, "The advantages are not normalised over the batch.")
def not_normalised(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences, finish=lambda a, eps: a)


@mistake(UPDATE, "The advantages are centred, but not divided by their standard deviation.")
def only_centred(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences, finish=lambda a, eps: a - a.mean())


@mistake(UPDATE, "The advantages are divided by their standard deviation, but not centred first.")
def only_divided(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences, finish=lambda a, eps: a / (a.std() + eps))


@mistake(
    UPDATE,
    "The standard deviation is that of a population: asked for is that of a sample, with one less in "
    "its denominator, as .std() computes it by itself.",
)
def population(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences,
                   finish=lambda a, eps: (a - a.mean()) / (a.std(correction=0) + eps))  # fmt: skip


@mistake(
    UPDATE,
    "Without eps, advantages that are all alike are divided by 0, and become nan.",
)
def eps_left_out(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences,
                   finish=lambda a, eps: (a - a.mean()) / a.std())  # fmt: skip


@mistake(
    UPDATE,
    "Rewards outside 0 … 1 pass: α or β may fall below 0, and the value is no share any more. Raise "
    "a ValueError.",
)
def any_reward(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences, check="never")


@mistake(
    UPDATE,
    "Rewards outside 0 … 1 are cut off in silence: what is wrong with them will never be noticed. "
    "Raise a ValueError.",
)
def cut_off(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences, check="clamp")


@mistake(UPDATE, "Rewards above 1 are refused, those below 0 are not.")
def only_above(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences, check="above")


@mistake(
    UPDATE,
    "The error comes too late, when α and β have changed already: look at the rewards first.",
)
def refused_too_late(self, prompts, rewards, divergences):
    return _update(self, prompts, rewards, divergences, check="last")


# --- limit_thinking -------------------------------------------------------------------------------

LIMIT = "lib.reasoning.limit_thinking"


def _last(tokens, token):
    places = torch.arange(tokens.size(1), device=tokens.device)
    return places.where(tokens == token, -1).amax(dim=1)


def _limit(
    budget, ids, *, state=None, used=None, enough=None, force=None, together=False, check=True,
    where=_last,
):  # fmt: skip
    """The right processor, with one thing wrong."""
    if check and budget < 0:
        raise ValueError("the budget is below 0")

    def process(tokens, logits):
        begin, end, turn = (where(tokens, i) for i in (ids.begin, ids.end, ids.turn))
        thinks = state(begin, end, turn) if state else (begin > turn) & (begin > end)
        n = used(tokens, begin, turn) if used else tokens.size(1) - 1 - begin
        over = thinks & (enough(n, budget) if enough else n >= budget)
        if together:
            over = over.any().expand(over.shape)
        if force:
            return force(over, logits)
        ended = torch.full_like(logits, -math.inf)
        ended[:, ids.end] = 0.0
        return torch.where(over[:, None], ended, logits)

    return process


@mistake(
    LIMIT,
    "All tokens of the text count, the prompt too: a long question leaves no time to think.",
)
def prompt_counts(budget, ids):
    return _limit(budget, ids, used=lambda tokens, begin, turn: (tokens >= 0).sum(dim=1))


@mistake(
    LIMIT,
    "The budget is counted from where the turn begins: it starts with <think>.",
)
def counted_from_the_turn(budget, ids):
    return _limit(budget, ids, used=lambda tokens, begin, turn: tokens.size(1) - 1 - turn)


@mistake(
    LIMIT,
    "The padding before short texts counts: position is not how much was thought. Count from "
    "<think> on.",
)
def position_counts(budget, ids):
    return _limit(
        budget, ids, used=lambda tokens, begin, turn: torch.full_like(begin, tokens.size(1))
    )


@mistake(
    LIMIT,
    "</think> is forced again and again after the thought has ended: leave rows alone in which it "
    "came since <think>.",
)
def forced_after_the_end(budget, ids):
    return _limit(budget, ids, state=lambda begin, end, turn: begin > turn)


@mistake(
    LIMIT,
    "Rows that do not think at all are made to write </think>: only an open thought can be ended.",
)
def forced_without_thought(budget, ids):
    return _limit(
        budget, ids, state=lambda begin, end, turn: (end <= turn) & (end <= begin) | (begin > end)
    )


@mistake(
    LIMIT,
    "A <think> of an earlier turn counts: one that was cut off ends the present answer. Look only "
    "behind the last <|im_start|>.",
)
def earlier_turns_count(budget, ids):
    return _limit(budget, ids, state=lambda begin, end, turn: begin > end)


@mistake(
    LIMIT,
    "A row counts as done if </think> came anywhere in it: one of an earlier turn frees all later "
    "thoughts. It must have come since the last <think>.",
)
def an_old_end_frees(budget, ids):
    return _limit(budget, ids, state=lambda begin, end, turn: (begin > turn) & (end < 0))


@mistake(
    LIMIT,
    "A turn has one thought only: a </think> anywhere in it frees a second one that begins behind. It "
    "must have come since the last <think>.",
)
def one_thought_a_turn(budget, ids):
    return _limit(budget, ids, state=lambda begin, end, turn: (begin > turn) & (end <= turn))


@mistake(
    LIMIT,
    "It looks where the three tokens came first in a row, as argmax finds them: in a text of several "
    "turns it is the last of each that counts.",
)
def the_first_of_each(budget, ids):
    def first(tokens, token):
        found = tokens == token
        return found.int().argmax(dim=1).where(found.any(dim=1), -1)

    return _limit(budget, ids, where=first)


@mistake(LIMIT, "One token too many: with as many as the budget has, it is used up: >=, not >.")
def one_too_many(budget, ids):
    return _limit(budget, ids, enough=lambda n, budget: n > budget)


@mistake(
    LIMIT,
    "One token too few: <think> itself is no token of the thought.",
)
def begin_counts(budget, ids):
    return _limit(budget, ids, enough=lambda n, budget: n + 1 >= budget)


@mistake(
    LIMIT,
    "</think> is forced only at the moment when the budget is exactly used up: a text that comes in "
    "with a longer thought goes on for ever.",
)
def only_at_the_moment(budget, ids):
    return _limit(budget, ids, enough=lambda n, budget: n == budget)


@mistake(
    LIMIT,
    "When one row has used up its budget, all rows are made to end: each row has its own.",
)
def all_rows_at_once(budget, ids):
    return _limit(budget, ids, together=True)


@mistake(
    LIMIT,
    "All other tokens are forbidden, but </think> keeps the logit it had: if an earlier processor "
    "had left it out, nothing is possible any more, and the softmax is nan.",
)
def end_keeps_its_logit(budget, ids):
    def force(over, logits):
        others = torch.ones_like(logits, dtype=torch.bool)
        others[:, ids.end] = False
        return logits.masked_fill(over[:, None] & others, -math.inf)

    return _limit(budget, ids, force=force)


@mistake(
    LIMIT,
    "</think> gets a few points more: that makes it likely, not certain. All other tokens become "
    "-inf.",
)
def a_few_points_more(budget, ids):
    def force(over, logits):
        more = torch.zeros_like(logits)
        more[:, ids.end] = 10.0
        return torch.where(over[:, None], logits + more, logits)

    return _limit(budget, ids, force=force)


@mistake(
    LIMIT,
    "The turn is forced to end, with <|im_start|> in place of </think>: only the thought is over, the "
    "answer is still to come.",
)
def the_wrong_token(budget, ids):
    def force(over, logits):
        ended = torch.full_like(logits, -math.inf)
        ended[:, ids.turn] = 0.0
        return torch.where(over[:, None], ended, logits)

    return _limit(budget, ids, force=force)


@mistake(
    LIMIT,
    "</think> is forbidden when the budget is used up: it should be the only one allowed.",
)
def end_forbidden(budget, ids):
    def force(over, logits):
        banned = torch.zeros_like(logits, dtype=torch.bool)
        banned[:, ids.end] = True
        return logits.masked_fill(over[:, None] & banned, -math.inf)

    return _limit(budget, ids, force=force)


@mistake(
    LIMIT,
    "The logits are changed in place: others may still need them. Make new ones.",
)
def in_place(budget, ids):
    def force(over, logits):
        logits[over] = -math.inf
        logits[over, ids.end] = 0.0
        return logits

    return _limit(budget, ids, force=force)


@mistake(
    LIMIT,
    "It counts how often it is called: that is neither how much this row has thought, nor does it "
    "start anew with the next batch. Count in the tokens.",
)
def counts_its_calls(budget, ids):
    calls = [0]

    def used(tokens, begin, turn):
        calls[0] += 1
        return torch.full_like(begin, calls[0] - 1)

    return _limit(budget, ids, used=used)


@mistake(LIMIT, "A budget below 0 passes: raise a ValueError at once, before the first token.")
def below_zero(budget, ids):
    return _limit(budget, ids, check=False)


# --- majority_vote --------------------------------------------------------------------------------

VOTE = "lib.reasoning.majority_vote"


def _votes(answers, weights, key=lambda answer: answer):
    votes = defaultdict(float)
    for answer, weight in zip(answers, check_votes(answers, weights)):
        if answer is not None:
            votes[key(answer)] += weight
    return votes


def _vote(answers, weights, *, skip=lambda a: a is None, key=lambda a: a, more=lambda new, most: new > most,
          count=lambda weight: weight, check=check_votes):  # fmt: skip
    """The right vote, with one thing wrong."""
    votes, names, best, most = defaultdict(float), {}, None, 0.0
    for answer, weight in zip(answers, check(answers, weights)):
        if skip(answer):
            continue
        names.setdefault(key(answer), answer)
        votes[key(answer)] += count(weight)
        if more(votes[key(answer)], most):
            best, most = names[key(answer)], votes[key(answer)]
    return best


@mistake(
    VOTE,
    "None is counted as an answer: where most have not answered, nothing wins. It has no vote.",
)
def none_votes(answers, weights=None):
    return _vote(answers, weights, skip=lambda answer: False)


@mistake(
    VOTE,
    "If one gives no answer, nobody's vote counts: leave out that one alone.",
)
def one_none_spoils_all(answers, weights=None):
    check_votes(answers, weights)
    return None if None in answers else _vote(answers, weights)


@mistake(VOTE, "The answer 0 is left out: `if answer` is False for 0 too. Ask `is not None`.")
def zero_is_left_out(answers, weights=None):
    return _vote(answers, weights, skip=lambda answer: not answer)


@mistake(
    VOTE,
    "While 0 leads, whoever comes next takes the lead: `if not best` is True for 0 too. Ask "
    "`is None`.",
)
def zero_cannot_lead(answers, weights=None):
    votes, best = defaultdict(float), None
    for answer, weight in zip(answers, check_votes(answers, weights)):
        if answer is not None:
            votes[answer] += weight
            if not best or votes[answer] > votes[best]:
                best = answer
    return best


@mistake(
    VOTE,
    "The votes are on texts, not on numbers: 7 and 7.0 are one answer written in two ways.",
)
def over_texts(answers, weights=None):
    return _vote(answers, weights, key=str)


@mistake(
    VOTE,
    "Of answers with equally many votes, the one that was named first is taken: asked for is the one "
    "that had so many first.",
)
def first_named(answers, weights=None):
    votes = _votes(answers, weights)
    return max(votes, key=votes.__getitem__) if votes else None


@mistake(
    VOTE,
    "Counter.most_common and statistics.mode know no weights, and of equals they take the one that "
    "was named first: asked for is the one that had so many first.",
)
def most_common(answers, weights=None):
    check_votes(answers, weights)
    votes = Counter(answer for answer in answers if answer is not None)
    return votes.most_common(1)[0][0] if votes else None


@mistake(
    VOTE,
    "Of answers with equally many votes, the one that had them last is taken: the lead changes hands "
    "only when somebody has more.",
)
def last_to_reach(answers, weights=None):
    return _vote(answers, weights, more=lambda new, most: new >= most)


@mistake(
    VOTE, "Of answers with equally many votes, the smallest is taken: order decides, not size."
)
def smallest_of_ties(answers, weights=None):
    votes = _votes(answers, weights)
    return min((a for a in votes if votes[a] == max(votes.values())), default=None)


@mistake(VOTE, "The mean of the answers is returned: the mean of two numbers is neither of them.")
def the_mean(answers, weights=None):
    weights = check_votes(answers, weights)
    pairs = [(a, w) for a, w in zip(answers, weights) if a is not None]
    return sum(a * w for a, w in pairs) / sum(w for _, w in pairs) if pairs else None


@mistake(VOTE, "The number of votes is returned, not the answer that has them.")
def number_of_votes(answers, weights=None):
    votes = _votes(answers, weights)
    return max(votes.values()) if votes else None


@mistake(VOTE, "The largest answer is returned: what counts is how many gave it.")
def the_largest(answers, weights=None):
    check_votes(answers, weights)
    return max((a for a in answers if a is not None), default=None)


@mistake(VOTE, "The first answer is returned, whatever the others say.")
def the_first(answers, weights=None):
    check_votes(answers, weights)
    return next((a for a in answers if a is not None), None)


@mistake(VOTE, "The weights are not used: each vote counts as much as its weight.")
def weights_not_used(answers, weights=None):
    return _vote(answers, weights, count=lambda weight: 1.0)


@mistake(
    VOTE,
    "The answers are freed of None, the weights are not: behind each None, they go to the wrong "
    "answers. Pair them first, then leave out.",
)
def weights_shifted(answers, weights=None):
    weights = check_votes(answers, weights)
    given = [answer for answer in answers if answer is not None]
    return _vote(given, weights, check=lambda a, w: w)


@mistake(
    VOTE,
    "The one vote with the largest weight decides: the weights of equal answers are added up.",
)
def heaviest_vote(answers, weights=None):
    if weights is None:
        return _vote(answers, weights)
    pairs = [(w, a) for a, w in zip(answers, check_votes(answers, weights)) if a is not None]
    return max(pairs, key=lambda pair: pair[0])[1] if pairs else None


@mistake(
    VOTE,
    "Weights that do not fit pass in silence, too few of them or some below 0: check_votes refuses "
    "them.",
)
def weights_not_checked(answers, weights=None):
    return _vote(answers, weights, check=lambda a, w: w if w is not None else [1.0] * len(a))

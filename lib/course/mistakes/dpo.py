"""Classic mistakes on the floor `lib.dpo`."""

import torch
import torch.nn.functional as F

import lib.course.checks.dpo  # the exercises must be known first
from lib.course.bank import mistake

# --- sequence_log_prob ----------------------------------------------------------------------------

SEQUENCE = "lib.dpo.sequence_log_prob"


def _check(logits, targets):
    if logits.shape[:-1] != targets.shape:
        raise ValueError("one target for each row of logits")


def _tokens(logits, targets, log_softmax=None, dtype=torch.float32):
    """The log-probability of each target, of token 0 where nothing counts."""
    _check(logits, targets)
    rows = logits.to(dtype) if dtype is not None else logits
    log_probs = rows.log_softmax(dim=-1) if log_softmax is None else log_softmax(rows)
    index = targets.masked_fill(targets == -100, 0)
    return log_probs.gather(-1, index[..., None])[..., 0]


def _summed(logits, targets, **how):
    return _tokens(logits, targets, **how).masked_fill(targets == -100, 0).sum(dim=1)


@mistake(
    SEQUENCE,
    "This is the mean over the answer's tokens: log π(answer) is their sum. With means, an answer of "
    "two tokens pulls as hard as one of a hundred, and no loss that calls itself DPO's is one. "
    "Answers of equal length would not have shown it.",
    seen_in="LLMs-from-scratch ch07/04",
)
def mean_of_tokens(logits, targets):
    return _summed(logits, targets) / (targets != -100).sum(dim=1).clamp(min=1)


@mistake(
    SEQUENCE,
    "This is the mean over the answer's tokens, and log π(answer) is their sum: an answer without "
    "tokens even gives 0 / 0. (Multiplying by the mask is a second slip: −inf times 0 is nan. Use "
    "masked_fill.)",
)
def mean_under_the_mask(logits, targets):
    counted = targets != -100
    return (_tokens(logits, targets) * counted).sum(dim=1) / counted.sum(dim=1)


@mistake(
    SEQUENCE,
    "This is the mean over the answer's tokens, and log π(answer) is their sum. An answer without "
    "tokens even gives 0 / 0.",
)
def mean_without_clamp(logits, targets):
    return _summed(logits, targets) / (targets != -100).sum(dim=1)


@mistake(
    SEQUENCE,
    "This is the mean over all places, those of prompt and padding included as zeros: add up over "
    "the tokens, .sum(dim=1).",
)
def mean_of_places(logits, targets):
    return _tokens(logits, targets).masked_fill(targets == -100, 0).mean(dim=1)


@mistake(
    SEQUENCE,
    "Prompt and padding count, as if token 0 had come there: set these places to 0 after picking, "
    "where targets == IGNORED.",
    seen_in="0xallam/Direct-Preference-Optimization#4",
)
def everything_counts(logits, targets):
    return _tokens(logits, targets).sum(dim=1)


@mistake(
    SEQUENCE,
    "The padding behind the answer counts, as if token 0 had come there: IGNORED marks it as it marks "
    "the prompt.",
)
def padding_counts(logits, targets):
    counted = targets != -100
    begun = counted.long().cumsum(dim=1) > 0
    return _tokens(logits, targets).masked_fill(~begun, 0).sum(dim=1)


@mistake(
    SEQUENCE,
    "The prompt counts, as if token 0 had come there: IGNORED marks it as it marks the padding. Only "
    "the answer is preferred, the prompt is the same for both.",
)
def prompt_counts(logits, targets):
    counted = targets != -100
    over = counted.long().flip(1).cumsum(dim=1).flip(1) == 0
    return _tokens(logits, targets).masked_fill(over, 0).sum(dim=1)


@mistake(
    SEQUENCE,
    "The mask is inverted: prompt and padding are counted, the answer is not. masked_fill writes "
    "where its mask is True.",
    seen_in="CosyVoice#1449",
)
def mask_inverted(logits, targets):
    return _tokens(logits, targets).masked_fill(targets != -100, 0).sum(dim=1)


@mistake(
    SEQUENCE,
    "Logits and targets are shifted once more: targets are the next tokens already, so that row and "
    "target of one place belong together.",
)
def shifted_again(logits, targets):
    _check(logits, targets)
    return _summed(logits[:, :-1], targets[:, 1:])


@mistake(
    SEQUENCE,
    "The first token of each answer is left out: the row that guesses it stands at the prompt's last "
    "token, and counts.",
)
def first_token_lost(logits, targets):
    counted = targets != -100
    first = counted & (counted.long().cumsum(dim=1) == 1)
    return _tokens(logits, targets).masked_fill(~counted | first, 0).sum(dim=1)


@mistake(
    SEQUENCE,
    "The last token of each answer is left out: it is the one that ends the turn, and when to stop is "
    "part of what is preferred.",
)
def last_token_lost(logits, targets):
    counted = targets != -100
    last = counted & (counted.long().flip(1).cumsum(dim=1).flip(1) == 1)
    return _tokens(logits, targets).masked_fill(~counted | last, 0).sum(dim=1)


@mistake(
    SEQUENCE,
    "softmax, then log: where a probability is too small for a float it is rounded to 0, and its log "
    "is -inf. log_softmax never makes the probability.",
)
def log_of_softmax(logits, targets):
    return _summed(logits, targets, log_softmax=lambda x: x.softmax(dim=-1).log())


@mistake(
    SEQUENCE,
    "A small number is added before the log so that it stays finite: what is very unlikely is then "
    "all alike, and gives no gradient. Use log_softmax.",
)
def log_with_epsilon(logits, targets):
    return _summed(logits, targets, log_softmax=lambda x: (x.softmax(dim=-1) + 1e-8).log())


@mistake(
    SEQUENCE,
    "The sum is in half precision: from 128 on, bfloat16 knows only whole numbers. Write "
    "logits.float() before the log_softmax.",
)
def half_precision(logits, targets):
    return _summed(logits, targets, dtype=None)


@mistake(
    SEQUENCE,
    "Only the sum is made in float32, the log_softmax before it in half precision: every token is "
    "rounded, and a hundred roundings add up. Write logits.float() first.",
)
def converted_too_late(logits, targets):
    return _tokens(logits, targets, dtype=None).float().masked_fill(targets == -100, 0).sum(dim=1)


@mistake(
    SEQUENCE,
    "The sign is wrong: this is the loss of the answer, a positive number. The logarithm of a "
    "probability is at most 0.",
)
def the_loss(logits, targets):
    return -_summed(logits, targets)


@mistake(
    SEQUENCE,
    "All answers of the batch are added up to one number: sum over the tokens only, dim=1.",
)
def one_number(logits, targets):
    return _summed(logits, targets).sum()


@mistake(
    SEQUENCE,
    "The numbers are not added up: one for each token, where one for each answer is asked for.",
)
def not_summed(logits, targets):
    return _tokens(logits, targets).masked_fill(targets == -100, 0)


@mistake(
    SEQUENCE,
    "These are the scores themselves: they become log-probabilities only by log_softmax over the "
    "vocabulary.",
)
def no_softmax(logits, targets):
    return _summed(logits, targets, log_softmax=lambda x: x)


@mistake(
    SEQUENCE,
    "The softmax runs over the places of the text: it belongs over the vocabulary, the last axis.",
)
def softmax_over_places(logits, targets):
    return _summed(logits, targets, log_softmax=lambda x: x.log_softmax(dim=1))


@mistake(
    SEQUENCE,
    "Probabilities are added up. Those of a sequence are multiplied, which is a sum of logarithms.",
)
def sum_of_probabilities(logits, targets):
    return _summed(logits, targets, log_softmax=lambda x: x.softmax(dim=-1))


@mistake(
    SEQUENCE,
    "The probability of the answer is returned: take its logarithm, or better, never leave it. Of "
    "long answers a float holds only 0.",
)
def probability(logits, targets):
    return _summed(logits, targets).exp()


@mistake(
    SEQUENCE,
    "Token 0 is left out wherever it stands in an answer: what does not count is marked −100, and 0 "
    "is a token like any other.",
)
def token_0_is_padding(logits, targets):
    return _tokens(logits, targets).masked_fill(targets <= 0, 0).sum(dim=1)


@mistake(
    SEQUENCE,
    "What is masked is multiplied by 0, and −inf times 0 is nan: write over it, with masked_fill.",
)
def multiplied_by_the_mask(logits, targets):
    return (_tokens(logits, targets) * (targets != -100)).sum(dim=1)


@mistake(
    SEQUENCE,
    "The targets are changed in place, so that the caller has no mask any more: work on a copy, "
    "masked_fill instead of masked_fill_ or targets[…] = 0.",
)
def targets_overwritten(logits, targets):
    _check(logits, targets)
    counted = targets != -100
    targets[~counted] = 0
    log_probs = logits.float().log_softmax(dim=-1).gather(-1, targets[..., None])[..., 0]
    return log_probs.masked_fill(~counted, 0).sum(dim=1)


@mistake(
    SEQUENCE,
    "With more rows of logits than targets it goes on as if they fitted: gather takes the first ones. "
    "Compare logits.shape[:-1] with targets.shape and raise a ValueError.",
)
def shapes_not_compared(logits, targets):
    index = targets.masked_fill(targets == -100, 0)
    log_probs = logits.float().log_softmax(dim=-1).gather(-1, index[..., None])[..., 0]
    return log_probs.masked_fill(targets == -100, 0).sum(dim=1)


# --- implicit_reward ------------------------------------------------------------------------------

REWARD = "lib.dpo.implicit_reward"


@mistake(
    REWARD,
    "The reference is missing: how likely an answer is says little about its reward, how much likelier "
    "it has become says all.",
)
def reward_without_reference(log_prob, ref_log_prob, beta):
    return beta * log_prob


@mistake(REWARD, "The sign is wrong: what has become likelier must have been rewarded.")
def reward_reversed(log_prob, ref_log_prob, beta):
    return beta * (ref_log_prob.detach() - log_prob)


@mistake(
    REWARD, "β is missing: the best policy is ref · exp(r / β), so r is β times the logarithm."
)
def reward_without_beta(log_prob, ref_log_prob, beta):
    return log_prob - ref_log_prob.detach()


@mistake(REWARD, "β divides. In exp(r / β) it does; solved for r, it multiplies.")
def reward_over_beta(log_prob, ref_log_prob, beta):
    return (log_prob - ref_log_prob.detach()) / beta


@mistake(
    REWARD,
    "One log-probability is divided by the other: the logarithm of a ratio is a difference.",
)
def ratio_of_logs(log_prob, ref_log_prob, beta):
    return beta * log_prob / ref_log_prob.detach()


@mistake(
    REWARD,
    "The logarithm is undone: the reward is β times the log of the ratio, not the ratio itself.",
)
def ratio_itself(log_prob, ref_log_prob, beta):
    return beta * (log_prob - ref_log_prob.detach()).exp()


@mistake(REWARD, "β multiplies the policy alone: it stands before the difference.")
def beta_on_the_policy(log_prob, ref_log_prob, beta):
    return beta * log_prob - ref_log_prob.detach()


@mistake(
    REWARD,
    "The rewards are normalised over the batch: an answer's reward must not depend on what stands "
    "beside it.",
)
def reward_centred(log_prob, ref_log_prob, beta):
    rewards = beta * (log_prob - ref_log_prob.detach())
    return rewards - rewards.mean()


@mistake(
    REWARD,
    "The gradient flows into the reference too, which would learn to move the other way: detach it.",
)
def reward_teaches_reference(log_prob, ref_log_prob, beta):
    return beta * (log_prob - ref_log_prob)


@mistake(
    REWARD,
    "No gradient reaches the policy: only the reference is fixed, only ref_log_prob is detached.",
)
def reward_without_gradient(log_prob, ref_log_prob, beta):
    return beta * (log_prob - ref_log_prob).detach()


@mistake(
    REWARD,
    "The wrong one is detached: the policy learns, so log_prob keeps its gradient, and ref_log_prob is "
    "fixed.",
)
def reward_detaches_policy(log_prob, ref_log_prob, beta):
    return beta * (log_prob.detach() - ref_log_prob)


@mistake(
    REWARD,
    "requires_grad_(False) changes the caller's tensor for good: the underscore says so. "
    "ref_log_prob.detach() gives a view without gradients and leaves the tensor as it was.",
)
def reward_switches_off(log_prob, ref_log_prob, beta):
    return beta * (log_prob - ref_log_prob.requires_grad_(False))


@mistake(REWARD, "All answers are put into one number: every answer has a reward of its own.")
def reward_averaged(log_prob, ref_log_prob, beta):
    return (beta * (log_prob - ref_log_prob.detach())).mean()


@mistake(REWARD, "All answers are added up to one number: every answer has a reward of its own.")
def reward_added_up(log_prob, ref_log_prob, beta):
    return (beta * (log_prob - ref_log_prob.detach())).sum()


# --- dpo_loss -------------------------------------------------------------------------------------

DPO = "lib.dpo.dpo_loss"


def _margins(chosen, rejected, ref_chosen, ref_rejected):
    return (chosen - ref_chosen.detach()) - (rejected - ref_rejected.detach())


@mistake(
    DPO,
    "This is the mean over the pairs. The sum is asked for, with their number beside it: only so do "
    "parts of a batch add up to the whole.",
)
def dpo_mean(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return -F.logsigmoid(beta * margins).mean(), len(chosen)


@mistake(
    DPO,
    "There is no reference: the answer that was likelier from the start would be taken for the better "
    "one, and nothing holds the policy back.",
)
def dpo_without_reference(chosen, rejected, ref_chosen, ref_rejected, beta):
    return -F.logsigmoid(beta * (chosen - rejected)).sum(), len(chosen)


@mistake(
    DPO,
    "The reference learns: a gradient flows into ref_chosen and ref_rejected, which lowers the loss by "
    "moving the mark instead of the policy. Detach both.",
)
def dpo_teaches_reference(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = (chosen - ref_chosen) - (rejected - ref_rejected)
    return -F.logsigmoid(beta * margins).sum(), len(chosen)


@mistake(
    DPO,
    "The sign is swapped: it rewards the policy for preferring the rejected answer.",
)
def dpo_swapped(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(rejected, chosen, ref_rejected, ref_chosen)
    return -F.logsigmoid(beta * margins).sum(), len(chosen)


@mistake(
    DPO,
    "The reference has the wrong sign, or ref_chosen and ref_rejected are crossed: from each answer's "
    "log-probability its own under the reference is subtracted.",
)
def dpo_adds_reference(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = (chosen - rejected) + (ref_chosen - ref_rejected).detach()
    return -F.logsigmoid(beta * margins).sum(), len(chosen)


@mistake(
    DPO,
    "The two rewards are added: what counts is how far the chosen answer is ahead, the difference of "
    "the two.",
)
def dpo_adds_rewards(chosen, rejected, ref_chosen, ref_rejected, beta):
    rewards = beta * (chosen - ref_chosen.detach()), beta * (rejected - ref_rejected.detach())
    return -F.logsigmoid(rewards[0] + rewards[1]).sum(), len(chosen)


@mistake(
    DPO,
    "Half of the reference learns: ref_chosen is detached, ref_rejected is not. Detach both.",
)
def dpo_detaches_chosen_only(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = (chosen - ref_chosen.detach()) - (rejected - ref_rejected)
    return -F.logsigmoid(beta * margins).sum(), len(chosen)


@mistake(
    DPO,
    "β stands outside of the sigmoid, where it only scales the learning rate: inside, it says how far "
    "the policy may go.",
)
def dpo_beta_outside(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return -beta * F.logsigmoid(margins).sum(), len(chosen)


@mistake(DPO, "β is missing: it multiplies the difference inside the sigmoid.")
def dpo_without_beta(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return -F.logsigmoid(margins).sum(), len(chosen)


@mistake(DPO, "β divides the difference: the implicit reward is β times the log-ratio.")
def dpo_over_beta(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return -F.logsigmoid(margins / beta).sum(), len(chosen)


@mistake(
    DPO,
    "β multiplies the policy's difference alone: the reference's belongs in the same bracket.",
)
def dpo_beta_on_the_policy(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = beta * (chosen - rejected) - (ref_chosen - ref_rejected).detach()
    return -F.logsigmoid(margins).sum(), len(chosen)


@mistake(
    DPO,
    "Sigmoid, then log: where the wrong answer leads by far, σ is rounded to 0 and its log is -inf, "
    "just where there is most to learn. F.logsigmoid does both in one step.",
)
def dpo_log_of_sigmoid(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return -(beta * margins).sigmoid().log().sum(), len(chosen)


@mistake(
    DPO,
    "A small number is added before the log to keep it finite: the loss then stops at 23 and has no "
    "gradient where the wrong answer leads by far. Use F.logsigmoid.",
)
def dpo_log_with_epsilon(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return -((beta * margins).sigmoid() + 1e-10).log().sum(), len(chosen)


@mistake(
    DPO,
    "The margin is clamped to keep exp in range: beyond it the loss is wrong and has no gradient. "
    "F.logsigmoid needs no clamp.",
)
def dpo_clamped(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return -F.logsigmoid((beta * margins).clamp(-80, 80)).sum(), len(chosen)


@mistake(DPO, "The minus is missing: this is what should grow, a loss should fall.")
def dpo_without_minus(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return F.logsigmoid(beta * margins).sum(), len(chosen)


@mistake(
    DPO,
    "The logarithm is missing: 1 − σ is hardly steeper for a pair that is quite wrong than for one "
    "that is right. The loss is −log σ.",
)
def dpo_without_log(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return (1 - (beta * margins).sigmoid()).sum(), len(chosen)


@mistake(
    DPO,
    "This is the hinge loss, max(0, 1 − βx): Bradley and Terry's is −log σ(βx).",
)
def dpo_hinge(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return (1 - beta * margins).relu().sum(), len(chosen)


@mistake(
    DPO,
    "Each answer is judged alone, −log σ(r_w) − log σ(−r_l): a pair says only which of the two is "
    "better, so one sigmoid takes their difference.",
)
def dpo_each_alone(chosen, rejected, ref_chosen, ref_rejected, beta):
    up, down = beta * (chosen - ref_chosen.detach()), beta * (rejected - ref_rejected.detach())
    return -(F.logsigmoid(up) + F.logsigmoid(-down)).sum(), len(chosen)


@mistake(
    DPO,
    "The margins are added up before the sigmoid, so that one pair can pay for another: every pair has "
    "a loss of its own, and these are added.",
)
def dpo_sum_inside(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return -F.logsigmoid(beta * margins.sum()), len(chosen)


@mistake(
    DPO,
    "The losses are not added up: one number for the batch is asked for, the sum over its pairs.",
)
def dpo_not_summed(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return -F.logsigmoid(beta * margins), len(chosen)


@mistake(
    DPO,
    "The number of answers is returned beside the sum: it is the number of pairs, half of that.",
)
def dpo_counts_answers(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return -F.logsigmoid(beta * margins).sum(), len(chosen) + len(rejected)


@mistake(
    DPO,
    "Only the loss is returned: the number of pairs belongs beside it, (sum, number).",
)
def dpo_without_count(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return -F.logsigmoid(beta * margins).sum()


# --- ipo_loss -------------------------------------------------------------------------------------

IPO = "lib.dpo.ipo_loss"


@mistake(IPO, "The distance is 1 / β here: it is 1 / (2β).")
def ipo_whole(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return (margins - 1 / beta).square().sum(), len(chosen)


@mistake(
    IPO, "The distance is β / 2 here: it is 1 / (2β), in brackets. 1 / 2 * beta is something else."
)
def ipo_without_brackets(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return (margins - 1 / 2 * beta).square().sum(), len(chosen)


@mistake(
    IPO,
    "The margin is multiplied by β, as in DPO, and compared with ½: the lowest point is the same, but "
    "the loss is β² of what it should be. In IPO, β stands in the distance alone.",
)
def ipo_scaled(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return (beta * margins - 0.5).square().sum(), len(chosen)


@mistake(
    IPO,
    "The margin is multiplied by β, as in DPO, and still compared with 1 / (2β): IPO takes the margin "
    "as it is.",
)
def ipo_of_rewards(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return (beta * margins - 1 / (2 * beta)).square().sum(), len(chosen)


@mistake(
    IPO,
    "There is no reference: the margin is how much further the policy has moved *from it* for one "
    "answer than for the other.",
)
def ipo_without_reference(chosen, rejected, ref_chosen, ref_rejected, beta):
    return (chosen - rejected - 1 / (2 * beta)).square().sum(), len(chosen)


@mistake(
    IPO,
    "The reference has the wrong sign, or ref_chosen and ref_rejected are crossed: from each answer's "
    "log-probability its own under the reference is subtracted.",
)
def ipo_adds_reference(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = (chosen - rejected) + (ref_chosen - ref_rejected).detach()
    return (margins - 1 / (2 * beta)).square().sum(), len(chosen)


@mistake(
    IPO,
    "Half of the reference learns: ref_chosen is detached, ref_rejected is not. Detach both.",
)
def ipo_detaches_chosen_only(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = (chosen - ref_chosen.detach()) - (rejected - ref_rejected)
    return (margins - 1 / (2 * beta)).square().sum(), len(chosen)


@mistake(
    IPO,
    "This is half of it, as where a factor ½ is put before a square: IPO has none.",
)
def ipo_halved(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return (margins - 1 / (2 * beta)).square().sum() / 2, len(chosen)


@mistake(
    IPO,
    "A sign is swapped, of the margin or of the distance: the loss is lowest where the rejected answer "
    "leads by 1 / (2β), and it should trail by that.",
)
def ipo_swapped(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(rejected, chosen, ref_rejected, ref_chosen)
    return (margins - 1 / (2 * beta)).square().sum(), len(chosen)


@mistake(IPO, "The square is missing: this has no lowest point, and falls for ever.")
def ipo_without_square(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return (1 / (2 * beta) - margins).sum(), len(chosen)


@mistake(IPO, "This is the absolute distance: the loss is its square.")
def ipo_absolute(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return (margins - 1 / (2 * beta)).abs().sum(), len(chosen)


@mistake(
    IPO,
    "Margins above 1 / (2β) cost nothing, as in a hinge: too much is as wrong as too little, and that "
    "is what keeps IPO from running away.",
)
def ipo_hinge(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return (1 / (2 * beta) - margins).relu().square().sum(), len(chosen)


@mistake(IPO, "This is DPO's loss: IPO has no sigmoid, but a square.")
def ipo_is_dpo(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return -F.logsigmoid(beta * margins).sum(), len(chosen)


@mistake(
    IPO,
    "The reference learns: a gradient flows into ref_chosen and ref_rejected. Detach both.",
)
def ipo_teaches_reference(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = (chosen - ref_chosen) - (rejected - ref_rejected)
    return (margins - 1 / (2 * beta)).square().sum(), len(chosen)


@mistake(
    IPO,
    "This is the mean over the pairs: the sum is asked for, with their number beside it.",
)
def ipo_mean(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return (margins - 1 / (2 * beta)).square().mean(), len(chosen)


@mistake(
    IPO,
    "The margins are added up before the square, so that one pair can pay for another: square the "
    "distance of every pair, then add.",
)
def ipo_sum_inside(chosen, rejected, ref_chosen, ref_rejected, beta):
    margins = _margins(chosen, rejected, ref_chosen, ref_rejected)
    return (margins - 1 / (2 * beta)).sum().square(), len(chosen)

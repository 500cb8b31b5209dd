"""Classic mistakes on the floor `lib.ppo`."""

import torch

import lib.course.checks.ppo  # the exercises must be known first
from lib.course.bank import mistake

# --- kl_estimates ---------------------------------------------------------------------------------

KL = "lib.ppo.kl_estimates"


@mistake(
    KL,
    "x has the wrong sign: it is log ref − log p. So k1 is minus the KL, a penalty that pays for "
    "running away, and k3 is no estimate of KL(p ‖ ref).",
)
def wrong_way_round(log_probs, ref_log_probs):
    x = log_probs - ref_log_probs
    return -x, x.square() / 2, torch.expm1(x) - x


@mistake(
    KL,
    "k1 has the wrong sign: it is −x, above 0 where the policy likes a token more than the reference "
    "does. As a penalty this one would pay for running away.",
)
def k1_negative(log_probs, ref_log_probs):
    x = ref_log_probs - log_probs
    return x, x.square() / 2, torch.expm1(x) - x


@mistake(
    KL,
    "k3's ratio is upside down: tokens were drawn from p, so eˣ is ref / p, whose mean is 1. The mean "
    "of p / ref is not.",
)
def k3_upside_down(log_probs, ref_log_probs):
    x = ref_log_probs - log_probs
    return -x, x.square() / 2, torch.expm1(-x) + x


@mistake(KL, "k2 lacks its half: near 0, x² is twice the KL. k2 = x² / 2.")
def k2_without_half(log_probs, ref_log_probs):
    x = ref_log_probs - log_probs
    return -x, x.square(), torch.expm1(x) - x


@mistake(
    KL,
    "k3 lacks its −x: the mean of eˣ − 1 is 0, however far apart the two are. k3 = eˣ − 1 − x.",
)
def k3_without_x(log_probs, ref_log_probs):
    x = ref_log_probs - log_probs
    return -x, x.square() / 2, torch.expm1(x)


@mistake(KL, "k3 lacks its −1: it would be 1 where the two are alike. k3 = eˣ − 1 − x.")
def k3_without_one(log_probs, ref_log_probs):
    x = ref_log_probs - log_probs
    return -x, x.square() / 2, x.exp() - x


@mistake(KL, "k3 adds x where it should take it away: eˣ − 1 − x is never below 0, eˣ − 1 + x is.")
def k3_plus_x(log_probs, ref_log_probs):
    x = ref_log_probs - log_probs
    return -x, x.square() / 2, torch.expm1(x) + x


@mistake(
    KL,
    "k1 is made positive: its mean is then far above the KL, for the tokens that the reference likes "
    "more no longer make up for the others.",
)
def k1_absolute(log_probs, ref_log_probs):
    x = ref_log_probs - log_probs
    return x.abs(), x.square() / 2, torch.expm1(x) - x


@mistake(
    KL,
    "Each estimate is multiplied by the token's probability. Likely tokens were drawn more often "
    "already: that is what the mean over draws does.",
)
def weighted_again(log_probs, ref_log_probs):
    x, p = ref_log_probs - log_probs, log_probs.exp()
    return -x * p, x.square() / 2 * p, (torch.expm1(x) - x) * p


@mistake(
    KL,
    "These are means: give one number for each token, for a penalty belongs where the policy strays, "
    "and padding must be left out first.",
)
def means(log_probs, ref_log_probs):
    x = ref_log_probs - log_probs
    return (-x).mean(), (x.square() / 2).mean(), (torch.expm1(x) - x).mean()


@mistake(
    KL,
    "No gradient flows back to the policy: k3 may stand in a loss, so leave out .detach() and "
    "torch.no_grad().",
)
def detached(log_probs, ref_log_probs):
    x = (ref_log_probs - log_probs).detach()
    return -x, x.square() / 2, torch.expm1(x) - x


@mistake(
    KL,
    "These are differences of probabilities, not of their logarithms: x = log ref − log p, as both "
    "come in.",
)
def probabilities(log_probs, ref_log_probs):
    x = ref_log_probs.exp() - log_probs.exp()
    return -x, x.square() / 2, torch.expm1(x) - x


# --- advantages -----------------------------------------------------------------------------------

GAE = "lib.ppo.advantages"


def _gae(rewards, values, mask, gamma, lam, *, bootstrap="masked", carry="masked", inside=True,
         decay=None, delta_gamma=None):  # fmt: skip
    """The right advantages, with one thing wrong."""
    decay = gamma * lam if decay is None else decay
    delta_gamma = gamma if delta_gamma is None else delta_gamma
    found = torch.zeros_like(values)
    next_value = advantage = values.new_zeros(len(values))
    for t in reversed(range(values.size(1))):
        here = mask[:, t]
        delta = rewards[:, t] + delta_gamma * next_value - values[:, t]
        advantage = delta + decay * advantage
        if carry == "masked":
            advantage = advantage.where(here, 0.0)
        next_value = values[:, t]
        if bootstrap == "masked":
            next_value = next_value.where(here, 0.0)
        found[:, t] = advantage
    return found.where(mask, 0.0) if inside else found


def _with_returns(found, values, mask):
    return found, (found + values).where(mask, 0.0)


@mistake(
    GAE,
    "The last token's δ takes in the value of the padding behind it: behind the end of an answer "
    "there is nothing to come, so V′ is 0 there.",
    seen_in="ROLL#447",
)
def padding_in_bootstrap(rewards, values, mask, gamma, lam):
    return _with_returns(_gae(rewards, values, mask, gamma, lam, bootstrap="any"), values, mask)


@mistake(
    GAE,
    "The padding is walked through as if it were answer: its rewards and values run on into the last "
    "token. Masking the result at the end is too late; set V′ and A′ to 0 where the mask is False.",
    seen_in="trl#3750",
)
def masked_at_the_end(rewards, values, mask, gamma, lam):
    found = _gae(rewards, values, mask, gamma, lam, bootstrap="any", carry="any")
    return _with_returns(found, values, mask)


@mistake(
    GAE,
    "V′ is 0 behind the end, A′ is not: what the padding got runs on into the last token. Where the "
    "mask is False set both to 0.",
)
def padding_in_advantage(rewards, values, mask, gamma, lam):
    return _with_returns(_gae(rewards, values, mask, gamma, lam, carry="any"), values, mask)


@mistake(
    GAE,
    "The first column is never reached: range(n - 1, 0, -1) ends before 0. Take reversed(range(n)).",
)
def first_column_missed(rewards, values, mask, gamma, lam):
    found = _gae(rewards, values, mask, gamma, lam)
    found[:, 0] = 0.0
    return _with_returns(found, values, mask)


@mistake(
    GAE,
    "Rewards and values of the padding were set to 0, as they must be, but the prompt's too late: "
    "outside of the answers both results should be 0.",
)
def prompt_left_in(rewards, values, mask, gamma, lam):
    rewards, values = rewards.where(mask, 0.0), values.where(mask, 0.0)
    found = _gae(rewards, values, mask, gamma, lam, bootstrap="any", carry="any", inside=False)
    return found, found + values


@mistake(
    GAE,
    "The returns are not 0 outside of the answers: there they are whatever the values were. Mask them "
    "as well.",
)
def returns_unmasked(rewards, values, mask, gamma, lam):
    found = _gae(rewards, values, mask, gamma, lam)
    return found, found + values


@mistake(
    GAE,
    "The advantages were whitened before the values were added: such returns are on no scale that the "
    "critic could learn. Returns first; who whitens does so afterwards, and elsewhere.",
)
def whitened_first(rewards, values, mask, gamma, lam):
    found = _gae(rewards, values, mask, gamma, lam)
    counted = found[mask]
    found = ((found - counted.mean()) / (counted.std() + 1e-8)).where(mask, 0.0)
    return _with_returns(found, values, mask)


@mistake(
    GAE,
    "The advantages are whitened here. That depends on the whole batch, and is done later, if at all: "
    "the returns are right, but give the advantages as they are.",
)
def whitened_after(rewards, values, mask, gamma, lam):
    found, returns = _with_returns(_gae(rewards, values, mask, gamma, lam), values, mask)
    counted = found[mask]
    return ((found - counted.mean()) / (counted.std() + 1e-8)).where(mask, 0.0), returns


@mistake(
    GAE,
    "The returns are the discounted rewards. Only with λ = 1 are they the same as A + V, which is "
    "what the critic should learn.",
)
def returns_of_rewards(rewards, values, mask, gamma, lam):
    found = _gae(rewards, values, mask, gamma, lam)
    return found, _gae(rewards, torch.zeros_like(values), mask, gamma, 1.0)


@mistake(
    GAE,
    "The returns are A + γ V′ or the like: they are advantages + values, of the same token.",
)
def returns_of_next(rewards, values, mask, gamma, lam):
    found = _gae(rewards, values, mask, gamma, lam)
    after = torch.cat([(values * mask)[:, 1:], torch.zeros_like(values[:, :1])], dim=1)
    return found, (found + gamma * after).where(mask, 0.0)


@mistake(GAE, "δ lacks its γ: the next token's value counts γ V′.")
def no_gamma_in_delta(rewards, values, mask, gamma, lam):
    return _with_returns(_gae(rewards, values, mask, gamma, lam, delta_gamma=1.0), values, mask)


@mistake(GAE, "A lacks its λ: the next token's advantage counts γ λ A′.")
def no_lambda(rewards, values, mask, gamma, lam):
    return _with_returns(_gae(rewards, values, mask, gamma, lam, decay=gamma), values, mask)


@mistake(GAE, "A lacks its γ: the next token's advantage counts γ λ A′, not λ A′.")
def no_gamma_in_sum(rewards, values, mask, gamma, lam):
    return _with_returns(_gae(rewards, values, mask, gamma, lam, decay=lam), values, mask)


@mistake(
    GAE,
    "Only δ: what the tokens further on earn is left out. A = δ + γ λ A′; this is λ = 0.",
)
def delta_alone(rewards, values, mask, gamma, lam):
    return _with_returns(_gae(rewards, values, mask, gamma, lam, decay=0.0), values, mask)


@mistake(
    GAE,
    "δ lacks V′: what is still to come belongs to what a token led to. δ = r + γ V′ − V.",
)
def no_next_value(rewards, values, mask, gamma, lam):
    return _with_returns(_gae(rewards, values, mask, gamma, lam, delta_gamma=0.0), values, mask)


@mistake(
    GAE,
    "The walk goes forward: each token gets what the tokens before it earned. A token can be praised "
    "only for what comes after it: begin at the last.",
)
def forward_in_time(rewards, values, mask, gamma, lam):
    found = torch.zeros_like(values)
    advantage = values.new_zeros(len(values))
    after = torch.cat([(values * mask)[:, 1:], torch.zeros_like(values[:, :1])], dim=1)
    for t in range(values.size(1)):
        delta = rewards[:, t] + gamma * after[:, t] - values[:, t]
        advantage = (delta + gamma * lam * advantage).where(mask[:, t], 0.0)
        found[:, t] = advantage
    return _with_returns(found, values, mask)


@mistake(
    GAE,
    "The sign is wrong: an advantage is what came, r + γ V′, less what was expected, V.",
)
def sign_wrong(rewards, values, mask, gamma, lam):
    found = -_gae(rewards, values, mask, gamma, lam)
    return _with_returns(found, values, mask)


@mistake(
    GAE,
    "The last token's V′ is its own value, as if the answer went on. It has ended, or was cut off and "
    "earns no more: V′ is 0.",
)
def goes_on_behind_the_end(rewards, values, mask, gamma, lam):
    after = torch.cat([mask[:, 1:], torch.zeros_like(mask[:, :1])], dim=1)
    last = mask & ~after
    return _with_returns(
        _gae(rewards + gamma * values.where(last, 0.0), values, mask, gamma, lam), values, mask
    )


# --- ppo_policy_loss ------------------------------------------------------------------------------

POLICY = "lib.ppo.ppo_policy_loss"


def _ratio(new, old, mask):
    return (new - old).masked_fill(~mask, 0.0).exp()


def _sum(gains, mask):
    return -gains.masked_fill(~mask, 0.0).sum(), int(mask.sum())


@mistake(
    POLICY,
    "max for min: the larger gain wins, so that leaving the band pays and coming back to it does not. "
    "In front of a minus, min of the gains is max of the losses.",
)
def max_for_min(log_probs, old_log_probs, advantages, mask, clip):
    ratio = _ratio(log_probs, old_log_probs, mask)
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return _sum(torch.maximum(ratio * advantages, clipped * advantages), mask)


@mistake(
    POLICY,
    "Only the clipped gain: a good token that has become too unlikely gets no gradient, and cannot "
    "come back. Take the smaller of both.",
)
def clipped_alone(log_probs, old_log_probs, advantages, mask, clip):
    ratio = _ratio(log_probs, old_log_probs, mask)
    return _sum(ratio.clamp(1 - clip, 1 + clip) * advantages, mask)


@mistake(
    POLICY,
    "The smaller of the two ratios is taken, and A comes in afterwards. Where A is below 0, the larger "
    "ratio makes the smaller gain: multiply both by A first.",
)
def smaller_ratio(log_probs, old_log_probs, advantages, mask, clip):
    ratio = _ratio(log_probs, old_log_probs, mask)
    return _sum(torch.minimum(ratio, ratio.clamp(1 - clip, 1 + clip)) * advantages, mask)


@mistake(
    POLICY,
    "The logarithms are divided by each other: ρ is the ratio of the probabilities themselves, exp of "
    "the difference of their logarithms.",
)
def ratio_of_logarithms(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs / old_log_probs).masked_fill(~mask, 1.0)
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return _sum(torch.minimum(ratio * advantages, clipped * advantages), mask)


@mistake(
    POLICY,
    "Nothing is clipped: nothing holds the policy near the one that wrote the answers.",
)
def not_clipped(log_probs, old_log_probs, advantages, mask, clip):
    return _sum(_ratio(log_probs, old_log_probs, mask) * advantages, mask)


@mistake(
    POLICY,
    "The sign is wrong: this is the gain, and training makes a loss smaller. Give minus its sum.",
)
def gain_for_loss(log_probs, old_log_probs, advantages, mask, clip):
    ratio = _ratio(log_probs, old_log_probs, mask)
    clipped = ratio.clamp(1 - clip, 1 + clip)
    total, n = _sum(torch.minimum(ratio * advantages, clipped * advantages), mask)
    return -total, n


@mistake(
    POLICY,
    "The old log-probabilities are those of the policy as it is now: ρ is always 1, and nothing is "
    "ever clipped. Take old_log_probs, noted when the answers were written.",
)
def old_recomputed(log_probs, old_log_probs, advantages, mask, clip):
    ratio = _ratio(log_probs, log_probs.detach(), mask)
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return _sum(torch.minimum(ratio * advantages, clipped * advantages), mask)


@mistake(
    POLICY,
    "The ratio is upside down: ρ is the new probability over the old, exp(log_probs − old_log_probs).",
)
def upside_down(log_probs, old_log_probs, advantages, mask, clip):
    ratio = _ratio(old_log_probs, log_probs, mask)
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return _sum(torch.minimum(ratio * advantages, clipped * advantages), mask)


@mistake(
    POLICY,
    "The difference of log-probabilities is taken for their ratio: ρ is exp of it, and 1 where the "
    "policy has not moved.",
)
def no_exp(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs).masked_fill(~mask, 0.0)
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return _sum(torch.minimum(ratio * advantages, clipped * advantages), mask)


@mistake(
    POLICY,
    "ρ is clipped to −ε … ε. It is a ratio, and 1 where nothing has moved: clip it to 1 − ε … 1 + ε.",
)
def clipped_around_zero(log_probs, old_log_probs, advantages, mask, clip):
    ratio = _ratio(log_probs, old_log_probs, mask)
    clipped = ratio.clamp(-clip, clip)
    return _sum(torch.minimum(ratio * advantages, clipped * advantages), mask)


@mistake(
    POLICY,
    "The logarithm of ρ is clipped to −ε … ε, which lets ρ go up to e^ε. Equation 7 clips ρ itself, to "
    "1 − ε … 1 + ε.",
)
def logarithm_clipped(log_probs, old_log_probs, advantages, mask, clip):
    log_ratio = (log_probs - old_log_probs).masked_fill(~mask, 0.0)
    clipped = log_ratio.clamp(-clip, clip).exp()
    return _sum(torch.minimum(log_ratio.exp() * advantages, clipped * advantages), mask)


@mistake(
    POLICY,
    "The product ρ A is clipped to 1 − ε … 1 + ε: clip ρ, and multiply by A afterwards.",
)
def product_clipped(log_probs, old_log_probs, advantages, mask, clip):
    gain = _ratio(log_probs, old_log_probs, mask) * advantages
    return _sum(torch.minimum(gain, gain.clamp(1 - clip, 1 + clip)), mask)


@mistake(
    POLICY,
    "This is REINFORCE, −A log p, without the ratio: right for one step from the policy that wrote "
    "the answers, wrong for every further one.",
)
def reinforce(log_probs, old_log_probs, advantages, mask, clip):
    return _sum(log_probs * advantages, mask)


@mistake(
    POLICY,
    "One ratio for the whole answer: the log-ratios of its tokens were added up. PPO has one for each "
    "token, next to that token's advantage.",
)
def ratio_of_answers(log_probs, old_log_probs, advantages, mask, clip):
    log_ratio = (log_probs - old_log_probs).masked_fill(~mask, 0.0)
    ratio = log_ratio.sum(dim=1, keepdim=True).exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return _sum(torch.minimum(ratio * advantages, clipped * advantages), mask)


@mistake(
    POLICY,
    "This is the mean over the tokens: give the sum, and the number beside it. The training loop "
    "divides, once, after the last part of a batch.",
)
def mean_of_tokens(log_probs, old_log_probs, advantages, mask, clip):
    ratio = _ratio(log_probs, old_log_probs, mask)
    clipped = ratio.clamp(1 - clip, 1 + clip)
    total, n = _sum(torch.minimum(ratio * advantages, clipped * advantages), mask)
    return total / n, n


@mistake(
    POLICY,
    "The number is that of all places, prompt and padding included: count where the mask is True.",
)
def counts_everything(log_probs, old_log_probs, advantages, mask, clip):
    ratio = _ratio(log_probs, old_log_probs, mask)
    clipped = ratio.clamp(1 - clip, 1 + clip)
    total, _ = _sum(torch.minimum(ratio * advantages, clipped * advantages), mask)
    return total, mask.numel()


@mistake(
    POLICY,
    "Prompt and padding are summed up too: set what stands there to 0, where the mask is False.",
)
def mask_forgotten(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs).exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    gains = torch.minimum(ratio * advantages, clipped * advantages)
    return -gains.sum(), int(mask.sum())


@mistake(
    POLICY,
    "Filled up with 0, ρ is 1 in prompt and padding, but A is not 0 there, and is summed up: set the "
    "gains to 0 as well, where the mask is False.",
)
def advantages_unmasked(log_probs, old_log_probs, advantages, mask, clip):
    ratio = _ratio(log_probs, old_log_probs, mask)
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return -torch.minimum(ratio * advantages, clipped * advantages).sum(), int(mask.sum())


@mistake(
    POLICY,
    "The mask comes after exp, as a factor: where ρ is infinite in the padding, infinity times 0 is "
    "nan. Fill the differences with 0 before exp.",
)
def times_mask(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs).exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    gains = torch.minimum(ratio * advantages, clipped * advantages)
    return -(gains * mask).sum(), int(mask.sum())


@mistake(
    POLICY,
    "The mask comes after exp: where ρ is infinite in the padding the sum is right, but its gradient "
    "is nan, 0 times infinity. Fill the differences with 0 before exp.",
)
def masked_after_exp(log_probs, old_log_probs, advantages, mask, clip):
    ratio = (log_probs - old_log_probs).exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return _sum(torch.minimum(ratio * advantages, clipped * advantages), mask)


@mistake(
    POLICY,
    "No gradient flows back to the policy: leave log_probs attached.",
)
def policy_detached(log_probs, old_log_probs, advantages, mask, clip):
    ratio = _ratio(log_probs.detach(), old_log_probs, mask)
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return _sum(torch.minimum(ratio * advantages, clipped * advantages), mask)


# --- ppo_value_loss -------------------------------------------------------------------------------

VALUE = "lib.ppo.ppo_value_loss"


def _near(values, old_values, clip):
    return old_values + (values - old_values).clamp(-clip, clip)


def _total(errors, mask):
    return errors.masked_fill(~mask, 0.0).sum(), int(mask.sum())


@mistake(
    VALUE,
    "min for max: the smaller error wins, so that the critic gains by leaving the band. A loss takes "
    "the larger, as a gain takes the smaller.",
)
def min_for_max(values, old_values, returns, mask, clip):
    near = _near(values, old_values, clip)
    return _total(torch.minimum((values - returns) ** 2, (near - returns) ** 2), mask)


@mistake(
    VALUE,
    "Only the clipped error: a value that has moved too far the wrong way gets no gradient, and "
    "cannot come back. Take the larger of both.",
)
def clipped_value_alone(values, old_values, returns, mask, clip):
    return _total((_near(values, old_values, clip) - returns) ** 2, mask)


@mistake(
    VALUE,
    "Nothing is clipped, or not around old_values: the larger of this error and of that of the clipped "
    "value is asked for.",
)
def value_not_clipped(values, old_values, returns, mask, clip):
    return _total((values - returns) ** 2, mask)


@mistake(
    VALUE,
    "A factor ½ is in it: here the loss is the plain square, and how much it counts is said elsewhere.",
)
def halved(values, old_values, returns, mask, clip):
    near = _near(values, old_values, clip)
    return _total(torch.maximum((values - returns) ** 2, (near - returns) ** 2) / 2, mask)


@mistake(
    VALUE,
    "The sign is wrong: squared errors are to become smaller as they are. A gain needs a minus to be a "
    "loss, these do not.",
)
def errors_negative(values, old_values, returns, mask, clip):
    near = _near(values, old_values, clip)
    total, n = _total(torch.maximum((values - returns) ** 2, (near - returns) ** 2), mask)
    return -total, n


@mistake(
    VALUE,
    "The clipped move starts at the new value and leads back: V_clipped is the old value plus the move, "
    "values − old_values held between −clip and clip.",
)
def clipped_from_the_new(values, old_values, returns, mask, clip):
    near = values + (old_values - values).clamp(-clip, clip)
    return _total(torch.maximum((values - returns) ** 2, (near - returns) ** 2), mask)


@mistake(
    VALUE,
    "The value itself is clipped to −clip … clip: what may be no larger is its move from old_values.",
)
def value_itself_clipped(values, old_values, returns, mask, clip):
    near = values.clamp(-clip, clip)
    return _total(torch.maximum((values - returns) ** 2, (near - returns) ** 2), mask)


@mistake(
    VALUE,
    "The error is clipped, and not the value: this is a loss that ends where the error is `clip`, far "
    "from any return there is nothing to learn.",
)
def error_clipped(values, old_values, returns, mask, clip):
    error = values - returns
    return _total(torch.minimum(error**2, error.clamp(-clip, clip) ** 2), mask)


@mistake(
    VALUE,
    "The value is clipped to a share of the old one, as if it were a ratio: it may move by `clip` up "
    "or down, whatever its size.",
)
def clipped_as_ratio(values, old_values, returns, mask, clip):
    low, high = old_values * (1 - clip), old_values * (1 + clip)
    near = torch.maximum(torch.minimum(values, high), low)
    return _total(torch.maximum((values - returns) ** 2, (near - returns) ** 2), mask)


@mistake(
    VALUE,
    "The errors are not squared: the critic would learn a median, and the size of an error would not "
    "matter.",
)
def absolute_errors(values, old_values, returns, mask, clip):
    near = _near(values, old_values, clip)
    return _total(torch.maximum((values - returns).abs(), (near - returns).abs()), mask)


@mistake(
    VALUE,
    "This is the mean over the tokens: give the sum, and the number beside it. The loop divides once, "
    "after the last part of a batch.",
)
def mean_of_errors(values, old_values, returns, mask, clip):
    near = _near(values, old_values, clip)
    total, n = _total(torch.maximum((values - returns) ** 2, (near - returns) ** 2), mask)
    return total / n, n


@mistake(
    VALUE,
    "Prompt and padding are summed up too, where values and returns mean nothing: set them to 0 where "
    "the mask is False.",
)
def value_mask_forgotten(values, old_values, returns, mask, clip):
    near = _near(values, old_values, clip)
    errors = torch.maximum((values - returns) ** 2, (near - returns) ** 2)
    return errors.sum(), int(mask.sum())


@mistake(
    VALUE,
    "The number is that of all places, prompt and padding included: count the tokens of the answers, "
    "where the mask is True.",
)
def value_counts_everything(values, old_values, returns, mask, clip):
    near = _near(values, old_values, clip)
    errors = torch.maximum((values - returns) ** 2, (near - returns) ** 2)
    return _total(errors, mask)[0], mask.numel()


@mistake(
    VALUE,
    "The maximum is taken over the two sums: it belongs to each token by itself, before they are "
    "added up.",
)
def maximum_of_sums(values, old_values, returns, mask, clip):
    near = _near(values, old_values, clip)
    free, n = _total((values - returns) ** 2, mask)
    bound, _ = _total((near - returns) ** 2, mask)
    return torch.maximum(free, bound), n


@mistake(
    VALUE,
    "No gradient flows back to the critic: it is values that learns, so leave it attached.",
)
def value_detached(values, old_values, returns, mask, clip):
    values = values.detach()
    near = _near(values, old_values, clip)
    return _total(torch.maximum((values - returns) ** 2, (near - returns) ** 2), mask)

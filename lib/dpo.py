"""Direct preference optimisation: from pairs to behaviour without a reward model (lesson "dpo").

PPO's best policy is known in closed form, π ∝ ref · exp(r / β). Read backwards, it says for which
reward a policy is the best: r = β (log π − log ref), but for a number that all answers to a prompt
share. So the language model is a reward model already, and Bradley and Terry's loss on its rewards
trains it at once. Shapes are told by one letter each: b pairs, t tokens, v the vocabulary.

    pair ─┬─ chosen ─── sequence_log_prob ─ implicit_reward ─┐
          └─ rejected ─ sequence_log_prob ─ implicit_reward ─┴─ dpo_loss

Rafailov et al. 2023, "Direct Preference Optimization" (arXiv 2305.18290): eq. 4 is the best policy,
eq. 5 the reward read from it, eq. 7 the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from lib._dpo_parts import in_turn, preference_batch, preference_batches
from lib._training_data import to_device
from lib.ppo import Rollout, kl_estimates, rollout_log_probs
from lib.reward import preference_loss
from lib.training import IGNORED, Loss, in_precision

__all__ = [
    "answer_kl",
    "answer_lengths",
    "dpo_loss",
    "dpo_objective",
    "evaluate_preferences",
    "implicit_reward",
    "in_turn",
    "ipo_loss",
    "pair_log_probs",
    "preference_accuracy",
    "preference_batch",
    "preference_batches",
    "reference_log_probs",
    "sequence_log_prob",
    "simpo_loss",
]

VARIANTS = ("dpo", "ipo", "simpo")
"""The losses that `dpo_objective` knows."""


# --- the losses -----------------------------------------------------------------------------------


def sequence_log_prob(logits: Tensor, targets: Tensor) -> Tensor:
    """How likely a whole answer is: log π(answer | prompt), the sum over its tokens.

    A probability of many tokens is a product, its logarithm a sum: a longer answer has more terms,
    and no mean makes up for it.

    Args:
        logits: a score for every possible next token, (b t v), in any precision.
        targets: the token that came at each of these places, (b t), shifted already; IGNORED
            (−100) where nothing counts: the prompt, and the padding behind the answer.

    Returns:
        (b) in float32, in nats, at most 0: one number for each answer.

    Raises:
        ValueError: there is not exactly one target for each row of logits.

    >>> sequence_log_prob(torch.zeros(1, 3, 4), torch.tensor([[-100, 2, 0]]))  # 2 · ln ¼
    tensor([-2.7726])
    """
    if logits.shape[:-1] != targets.shape:
        shapes = f"logits {tuple(logits.shape)} and targets {tuple(targets.shape)}"
        raise ValueError(f"expected one target for each row of logits, got {shapes}")
    counted = targets != IGNORED
    index = rearrange(targets.masked_fill(~counted, 0), "b t -> b t 1")
    # In float32 before the softmax: half precision would lose what the sum is to collect.
    log_probs = logits.float().log_softmax(dim=-1).gather(-1, index)
    return rearrange(log_probs, "b t 1 -> b t").masked_fill(~counted, 0).sum(dim=1)


def implicit_reward(log_prob: Tensor, ref_log_prob: Tensor, beta: float) -> Tensor:
    """The reward that a policy stands for: β (log π − log ref).

    The true one may differ from it by a number that is the same for every answer to a prompt, so
    only differences between two answers to one prompt mean anything.

    Args:
        log_prob: of whole answers under the policy, (b), as `sequence_log_prob` gives them.
        ref_log_prob: of the same answers under the reference, (b): fixed, no gradient flows back.
        beta: how dear it is to leave the reference; what divides the reward in exp(r / β).

    Returns:
        (b) rewards. arXiv 2305.18290, eq. 5 without its last term.

    >>> implicit_reward(torch.tensor([-8.0]), torch.tensor([-10.0]), beta=0.5)
    tensor([1.])
    """
    return beta * (log_prob - ref_log_prob.detach())


def dpo_loss(
    chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, beta: float
) -> tuple[Tensor, int]:
    """The loss of DPO: −log σ(β [(log π_w − log ref_w) − (log π_l − log ref_l)]).

    Args:
        chosen: log-probabilities of the better answers under the policy, (b), summed over tokens.
        rejected: of the worse answers, (b).
        ref_chosen: of the better answers under the reference, (b): fixed, no gradient flows back.
        ref_rejected: of the worse answers under the reference, (b): fixed as well.
        beta: how dear it is to leave the reference; small, and the policy may go far.

    Returns:
        The sum over all pairs, in nats, and their number. arXiv 2305.18290, eq. 7.

    >>> sums = torch.tensor([-8.0]), torch.tensor([-9.0])
    >>> dpo_loss(*sums, *sums, beta=0.1)  # the policy is the reference still: ln 2
    (tensor(0.6931), 1)
    """
    chosen_rewards = implicit_reward(chosen, ref_chosen, beta)
    rejected_rewards = implicit_reward(rejected, ref_rejected, beta)
    # The reward model's own loss, −log σ(r_w − r_l): only where the rewards come from is new.
    return preference_loss(chosen_rewards, rejected_rewards)


def ipo_loss(
    chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, beta: float
) -> tuple[Tensor, int]:
    """The loss of IPO: the margin should be 1 / (2β), no less and no more.

    Where people agree always, DPO's margin grows without end. IPO asks for a distance instead,
    ([(log π_w − log ref_w) − (log π_l − log ref_l)] − 1 / (2β))². By the letter of the paper these
    are sums over an answer's tokens, for π(y) is the probability of all of it; libraries take
    means, see `dpo_objective`.

    Args:
        chosen: log-probabilities of the better answers under the policy, (b).
        rejected: of the worse answers, (b).
        ref_chosen: of the better answers under the reference, (b): fixed, no gradient flows back.
        ref_rejected: of the worse answers under the reference, (b): fixed as well.
        beta: the paper's τ; small, and the policy goes far.

    Returns:
        The sum over all pairs and their number. Azar et al. 2023 (arXiv 2310.12036), eq. 17.

    >>> sums = torch.tensor([-8.0]), torch.tensor([-9.0])
    >>> ipo_loss(*sums, *sums, beta=0.25)  # the margin is 0 and should be 2
    (tensor(4.), 1)
    """
    margins = (chosen - ref_chosen.detach()) - (rejected - ref_rejected.detach())
    return (margins - 1 / (2 * beta)).square().sum(), len(chosen)


def simpo_loss(
    chosen: Tensor, rejected: Tensor, beta: float, margin: float = 0.0
) -> tuple[Tensor, int]:
    """The loss of SimPO: −log σ(β (mean log π_w − mean log π_l) − margin), without a reference.

    Args:
        chosen: mean log-probabilities of the better answers' tokens, (b): with means, an answer is
            not less likely for its length alone.
        rejected: of the worse answers' tokens, (b).
        beta: scales the difference; the paper's are 2 and above, for a mean is small.
        margin: by how much the better answer's reward should lead, the paper's γ.

    Returns:
        The sum over all pairs, in nats, and their number. Meng et al. 2024 (arXiv 2405.14734).
    """
    return -F.logsigmoid(beta * (chosen - rejected) - margin).sum(), len(chosen)


# --- on batches, for lib.training -----------------------------------------------------------------


def pair_log_probs(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """log π of both answers of each pair: (b 2), the chosen one first, summed over their tokens.

    Args:
        model: a transformer.
        batch: from `preference_batch`.
    """
    targets = rearrange(batch["targets"], "b two t -> (b two) t")
    logits = model(rearrange(batch["inputs"], "b two t -> (b two) t"))
    return rearrange(sequence_log_prob(logits, targets), "(b two) -> b two", two=2)


def answer_lengths(batch: dict[str, Tensor]) -> Tensor:
    """How many tokens each answer of a batch has, its end included: (b 2)."""
    return (batch["targets"] != IGNORED).sum(dim=-1)


@torch.no_grad()
def reference_log_probs(
    reference: nn.Module, batches: Sequence[dict[str, Tensor]], precision: str = "float32"
) -> list[dict[str, Tensor]]:
    """What the reference thinks of every answer, once and for all: it is not needed in training.

    Args:
        reference: the model that training starts from.
        batches: from `preference_batch`.
        precision: the one training will use. What rounding does to the reference and to the policy
            cancels only if both are rounded alike.

    Returns:
        The same batches, each with one more entry: "reference" (b 2), the chosen answer first.
    """
    answers, device = _log_probs_in(precision), next(reference.parameters()).device
    was_training = reference.training
    reference.eval()
    found = []
    for batch in batches:
        log_probs = answers(reference, to_device(batch, device))[0]
        found.append({**batch, "reference": log_probs.to(batch["inputs"].device)})
    reference.train(was_training)
    return found


def dpo_objective(
    beta: float,
    variant: str = "dpo",
    *,
    margin: float = 0.0,
    label_smoothing: float = 0.0,
    average: bool | None = None,
) -> Loss:
    """A loss on batches of pairs, for `lib.training.train`.

    Args:
        beta: see the losses.
        variant: "dpo", "ipo" or "simpo".
        margin: of SimPO, its γ.
        label_smoothing: how likely a label is to be the wrong way round, with "dpo" alone: the loss
            of the pair as it is, and of the pair turned round, in these shares ("conservative DPO",
            Mitchell 2023).
        average: compare means over tokens instead of sums over answers. Left out, what each is
            known for: sums with "dpo", means with "simpo" and also with "ipo". There the paper's
            π(y) is a sum; but then one distance, 1 / (2β), is asked of short and of long answers,
            so its authors and the libraries after them (trl#1265) ask for it a token.

    Returns:
        `loss(model, batch)`, the sum over the pairs of a batch and their number.

    Raises:
        ValueError: there is no such variant; beta is not above 0; an option belongs to another one.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant is one of {', '.join(VARIANTS)}, got {variant!r}")
    if beta <= 0:
        raise ValueError(f"expected a beta above 0, got {beta}")
    if margin and variant != "simpo":
        raise ValueError(f"margin is an option of 'simpo', got margin={margin} with {variant!r}")
    if (label_smoothing and variant != "dpo") or not 0 <= label_smoothing < 0.5:
        raise ValueError(
            "label_smoothing is an option of 'dpo', at least 0 and below 0.5, got "
            f"{label_smoothing} with {variant!r}"
        )
    average = variant != "dpo" if average is None else average

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        per = answer_lengths(batch) if average else 1
        chosen, rejected = (pair_log_probs(model, batch) / per).unbind(dim=1)
        if variant == "simpo":
            return simpo_loss(chosen, rejected, beta, margin)
        ref_chosen, ref_rejected = (_reference_of(batch) / per).unbind(dim=1)
        if variant == "ipo":
            return ipo_loss(chosen, rejected, ref_chosen, ref_rejected, beta)
        total, n = dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta)
        if label_smoothing:
            turned, _ = dpo_loss(rejected, chosen, ref_rejected, ref_chosen, beta)
            total = (1 - label_smoothing) * total + label_smoothing * turned
        return total, n

    return loss


# --- what to watch --------------------------------------------------------------------------------


def preference_accuracy(chosen: Tensor, rejected: Tensor) -> float:
    """In which share of pairs the better answer has the higher reward; a tie counts half.

    A policy that still is its reference ties everywhere, and so scores 0.5, as chance does.

    >>> preference_accuracy(torch.tensor([2.0, 1.0, 0.0]), torch.tensor([1.0, 1.0, 3.0]))
    0.5
    """
    wins = (chosen > rejected).double() + (chosen == rejected).double() / 2
    return wins.mean().item()


@torch.no_grad()
def evaluate_preferences(
    model: nn.Module,
    batches: Sequence[dict[str, Tensor]],
    beta: float,
    precision: str = "float32",
) -> dict[str, float]:
    """What to watch while preferences are learnt, as means over all pairs.

    A margin may grow because the better answer becomes likelier or because the worse one becomes
    less likely; DPO often makes *both* less likely, the worse one faster. The loss does not tell.

    Args:
        model: the policy.
        batches: with "reference" in them, from `reference_log_probs`.
        beta: of the implicit rewards.
        precision: the same as for the reference.

    Returns:
        "accuracy", the share of pairs whose better answer has the higher implicit reward; "margin",
        the difference of the two rewards; "chosen_reward" and "rejected_reward"; and in nats an
        answer "chosen_log_prob" and "rejected_log_prob".
    """
    answers, device = _log_probs_in(precision), next(model.parameters()).device
    log_probs, references = [], []
    for batch in batches:
        batch = to_device(batch, device)
        log_probs.append(answers(model, batch)[0])
        references.append(_reference_of(batch))
    now, before = torch.cat(log_probs), torch.cat(references)
    chosen, rejected = implicit_reward(now, before, beta).unbind(dim=1)
    return {
        "accuracy": preference_accuracy(chosen, rejected),
        "margin": (chosen - rejected).mean().item(),
        "chosen_reward": chosen.mean().item(),
        "rejected_reward": rejected.mean().item(),
        "chosen_log_prob": now[:, 0].mean().item(),
        "rejected_log_prob": now[:, 1].mean().item(),
    }


def answer_kl(
    reference: nn.Module, answers: Rollout, temperature: float = 1.0, precision: str = "float32"
) -> float:
    """How far a policy has gone from its reference: KL(π ‖ ref), in nats an answer.

    Measured on what the policy writes itself, for pairs do not tell: the probability that both
    answers of a pair have lost may be anywhere. It is the mean of log π − log ref of whole answers,
    k1 of `lib.ppo.kl_estimates` added up; so DPO and PPO can be compared at the same distance.

    Args:
        reference: the model that training started from.
        answers: written by the policy, from `lib.ppo.rollout`.
        temperature: the one they were drawn at.
        precision: see `lib.training.in_precision`.
    """
    ref_log_probs = rollout_log_probs(reference, answers, temperature, precision)
    k1, _, _ = kl_estimates(answers.log_probs, ref_log_probs)
    return (k1.sum() / len(answers)).item()


def _log_probs_in(precision: str) -> Loss:
    """`pair_log_probs` and the number of pairs, with matrix products in some precision."""

    def both(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
        return pair_log_probs(model, batch), len(batch["inputs"])

    return in_precision(both, precision)


def _reference_of(batch: dict[str, Tensor]) -> Tensor:
    if "reference" not in batch:
        raise ValueError(
            "the batch does not hold what the reference thinks of its answers: put it through "
            "reference_log_probs(reference, batches) once before training"
        )
    return batch["reference"]

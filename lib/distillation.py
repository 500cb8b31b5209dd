"""Distillation: a small model inherits what a large one knows (lesson "distillation").

A text says which token came next. A teacher says how likely every token was, and so tells with each
of them how much the others are alike. A student may learn from these numbers, on given texts or on
its own; from the texts that a teacher writes, which takes no common vocabulary; or from a teacher's
reasons. Shapes are told by one letter each: b texts, t tokens, v the vocabulary.

    texts ────────────────────────── teacher_logits ─┬─ distillation_loss ─┐
    prompts ─ on_policy_batch ─ the student's texts ─┴─ jensen_shannon ────┴─ a step
    questions ─ a teacher's answers and reasons ─ rationale_examples ─ example_loss ─ a step

Hinton, Vinyals and Dean 2015 (arXiv 1503.02531, soft targets); Kim and Rush 2016 (arXiv 1606.07947,
sequence level); Agarwal et al. 2023 (arXiv 2306.13649, on-policy, GKD); Hsieh et al. 2023 (arXiv
2305.02301, "Distilling step-by-step").
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lib._distillation_choices import (
    ANSWER,
    REASON,
    choose_by_generation,
    choose_by_log_prob,
    explain,
    good_reasons,
    question_of,
    reason_for,
    share_right,
)
from lib._distillation_parts import (
    Example,
    Interval,
    check_logits,
    check_taught,
    check_vocabularies,
    count_tokens,
    example_batch,
    example_batches,
    example_loss,
    family_config,
    family_tokenizer,
    fill_tokens,
    interaction,
    matched_logits,
    score_texts,
    sequence_level_examples,
    share_kept,
)
from lib.corpora.quiz import LETTERS, Question
from lib.generation import reading
from lib.ppo import Rollout, rollout
from lib.sft import token_log_probs
from lib.training import IGNORED, Loss
from lib.transformer import Transformer

__all__ = [
    "ANSWER",
    "REASON",
    "Example",
    "Interval",
    "choose_by_generation",
    "choose_by_log_prob",
    "count_tokens",
    "distillation_loss",
    "distillation_objective",
    "example_batch",
    "example_batches",
    "example_loss",
    "explain",
    "family_config",
    "family_tokenizer",
    "fill_tokens",
    "good_reasons",
    "interaction",
    "jensen_shannon",
    "on_policy_batch",
    "question_of",
    "rationale_examples",
    "reason_for",
    "score_texts",
    "scored_by",
    "sequence_level_examples",
    "share_kept",
    "share_right",
]

Batch = dict[str, Tensor]


# --- from a teacher's probabilities ---------------------------------------------------------------


def distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    targets: Tensor,
    temperature: float = 1.0,
    hard_weight: float = 0.0,
) -> tuple[Tensor, int]:
    """The loss of soft targets: T² · KL(teacher ‖ student) at temperature T, and cross-entropy.

    Both models' logits are divided by T before the softmax, which brings up what the teacher holds
    for unlikely. That makes the gradient smaller by T²: the factor makes up for it. The
    cross-entropy with the token that really came is taken at temperature 1. Of a token,

        (1 − w) · T² · Σ p_T (log p_T − log p_S)  +  w · (−log p_S of the target)

    Hinton, Vinyals and Dean 2015 (arXiv 1503.02531), section 2.

    Args:
        student_logits: (b t v), in any precision.
        teacher_logits: (b t v) of the same vocabulary; no gradient flows back to the teacher.
        targets: the token that came at each place, (b t), shifted already; IGNORED (−100) where
            nothing counts, neither soft nor hard. What the logits are there means nothing.
        temperature: T, above 0.
        hard_weight: w, from 0 to 1.

    Returns:
        The sum over all places that count, in nats, computed in float32, and their number.

    Raises:
        ValueError: the shapes do not fit, or the temperature is not above 0.

    >>> uniform, sure = torch.zeros(1, 1, 2), torch.tensor([[[0.0, 100.0]]])
    >>> distillation_loss(uniform, sure, torch.tensor([[1]]), temperature=2.0)  # 4 · ln 2
    (tensor(2.7726), 1)
    """
    check_logits(student_logits, teacher_logits, targets, temperature)
    counted = targets != IGNORED
    student = student_logits[counted].float()  # (n v)
    teacher = teacher_logits[counted].detach().float()
    log_student = (student / temperature).log_softmax(dim=-1)
    log_teacher = (teacher / temperature).log_softmax(dim=-1)
    kl = (log_teacher.exp() * (log_teacher - log_student)).sum(dim=-1)
    hard = -token_log_probs(student, targets[counted])
    losses = (1 - hard_weight) * temperature**2 * kl + hard_weight * hard
    return losses.sum(), int(counted.sum())


def jensen_shannon(
    student_logits: Tensor,
    teacher_logits: Tensor,
    targets: Tensor,
    beta: float,
    temperature: float = 1.0,
) -> tuple[Tensor, int]:
    """The generalised Jensen–Shannon divergence of teacher p and student q, between the two KLs.

    With the mixture m = β p + (1 − β) q:

        0 < β < 1    β · KL(p ‖ m) + (1 − β) · KL(q ‖ m)      at most ln 2, whatever p and q
        β = 0        KL(p ‖ q), forward: the student covers all that the teacher may say
        β = 1        KL(q ‖ p), reverse: the student says nothing that the teacher would not

    Put in as they are, 0 and 1 would make the first line 0 for any p and q: m is then one of the
    two. What it tends to is β · KL(p ‖ q) near 0 and (1 − β) · KL(q ‖ p) near 1, so at the ends
    themselves these are taken without the factor. Hence the value jumps there; its direction does
    not. Agarwal et al. 2023 (arXiv 2306.13649), equation 1.

    Args:
        student_logits: (b t v), in any precision.
        teacher_logits: (b t v) of the same vocabulary; no gradient flows back to the teacher.
        targets: (b t), IGNORED (−100) where nothing counts; which token it is does not matter.
        beta: β, from 0 to 1: the share of the teacher in the mixture.
        temperature: what both logits are divided by, above 0. There is no factor T².

    Returns:
        The sum over all places that count, in nats, computed in float32, and their number.

    Raises:
        ValueError: the shapes do not fit, β is not from 0 to 1, or the temperature not above 0.

    >>> p, q = torch.tensor([[[0.0, 100.0]]]), torch.zeros(1, 1, 2)
    >>> [round(jensen_shannon(q, p, torch.tensor([[1]]), beta)[0].item(), 4) for beta in (0, 0.5)]
    [0.6931, 0.2158]
    """
    check_logits(student_logits, teacher_logits, targets, temperature)
    if not 0 <= beta <= 1:
        raise ValueError(f"expected beta from 0 to 1, got {beta}")
    counted = targets != IGNORED
    log_q = (student_logits[counted].float() / temperature).log_softmax(dim=-1)  # (n v)
    log_p = (teacher_logits[counted].detach().float() / temperature).log_softmax(dim=-1)
    if beta == 0:
        losses = log_p.exp() * (log_p - log_q)
    elif beta == 1:
        losses = log_q.exp() * (log_q - log_p)
    else:
        # The logarithm of a sum of probabilities, without leaving logarithms.
        log_m = torch.logaddexp(log_p + math.log(beta), log_q + math.log1p(-beta))
        of_teacher, of_student = log_p.exp() * (log_p - log_m), log_q.exp() * (log_q - log_m)
        losses = beta * of_teacher + (1 - beta) * of_student
    return losses.sum(), int(counted.sum())


def on_policy_batch(
    student: Transformer,
    teacher: Transformer,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    stop: Collection[int] = (),
    generator: torch.Generator | None = None,
) -> Batch:
    """Let the student write, and ask the teacher what it would have said at every place.

    A student that learns from a teacher's texts alone never sees where its own mistakes lead. Here
    it meets them, and is told what to do there. Agarwal et al. 2023 (arXiv 2306.13649), section 3.

    Args:
        student: writes, by `lib.ppo.rollout`.
        teacher: scores, at temperature 1, with everything random in it switched off; afterwards it
            is in the mode it was in. No gradient reaches it.
        prompts: as ids, of any length.
        max_new_tokens: how many tokens an answer has at most.
        temperature: of the student's answers; as for `rollout`, and so are the others.
        stop: ids after which an answer is finished.
        generator: where the chance comes from.

    Returns:
        "inputs" (b t) and "targets" (b t), IGNORED outside of the answers, as in a `Rollout`;
        "teacher_logits" (b t v): of the token after each of the inputs, without a gradient.

    Raises:
        ValueError: the teacher has another vocabulary; or as `rollout`.
    """
    check_vocabularies(student, teacher)
    written = rollout(
        student, prompts, max_new_tokens, temperature=temperature, stop=stop, generator=generator
    )
    with reading(teacher, len(written)):
        logits = teacher(written.inputs)
    return {
        "inputs": written.inputs,
        "targets": written.targets,
        "teacher_logits": logits.clone(),  # made while reading, it could not be part of a loss
    }


# --- from a teacher's reasons ---------------------------------------------------------------------


def rationale_examples(
    questions: Sequence[Question],
    answers: Sequence[int | None],
    reasons: Sequence[Sequence[str]],
    weight: float = 1.0,
    every_option: bool = False,
) -> list[Example]:
    """Two tasks from each question: to answer it, and to give reasons. Both have the same input.

    The student learns to answer without having read a reason, for at test nobody gives it one: what
    it learns from reasons must be in its weights. Hsieh et al. 2023 (arXiv 2305.02301), section
    3.2.

    For each question that the teacher answered right, in order:
    - task "label": `question.prompt("Answer:")`, then a space and the right letter; weight 1;
    - task "rationale": `question.prompt("Reason:")`, then a space and the reason for the right
      option; weight `weight`. Or, with `every_option`, `question.prompt("Reason for A:")` and so on
      for each option in turn, whose weights add up to `weight`. Reasons that are blank are left
      out; and all are if `weight` is 0.

    Questions that the teacher got wrong give nothing: its reasons for them are wrong as well.

    Args:
        questions: what was asked.
        answers: for each question the number of the option that the teacher chose, from 0; None if
            it chose none.
        reasons: for each question the teacher's reasons, one for each option.
        weight: λ, how much a question's reasons count beside its label.
        every_option: reasons for all options, not for the right one alone.

    Returns:
        Dicts with "task", "prompt", "answer" and "weight".

    Raises:
        ValueError: there is not one answer and one reason for each option of every question, or
            the weight is below 0.
    """
    check_taught(questions, answers, reasons, weight)
    examples: list[Example] = []
    for question, chosen, whys in zip(questions, answers, reasons):
        if chosen != question.right:
            continue
        examples.append({"task": "label", "prompt": question.prompt("Answer:"),
                         "answer": f" {LETTERS[question.right]}", "weight": 1.0})  # fmt: skip
        if every_option:
            tasks = {f"Reason for {letter}:": why for letter, why in zip(LETTERS, whys)}
        else:
            tasks = {"Reason:": whys[question.right]}
        said = {task: why.strip() for task, why in tasks.items() if why.strip() and weight > 0}
        examples += [
            {"task": "rationale", "prompt": question.prompt(task), "answer": f" {why}",
             "weight": weight / len(said)}
            for task, why in said.items()
        ]  # fmt: skip
    return examples


# --- training -------------------------------------------------------------------------------------


def distillation_objective(
    teacher: nn.Module | None = None,
    *,
    temperature: float = 1.0,
    hard_weight: float = 0.0,
    beta: float | None = None,
) -> Loss:
    """A loss for `lib.training.train`: how far the student is from its teacher on a batch.

    Batches are dicts with "inputs" and "targets" (b t), of `lib.sft.pad_conversations`,
    `pack_conversations` or `on_policy_batch`; or pairs of those, as for pretraining. Logits are
    computed only where a target counts.

    Args:
        teacher: scores each batch as it comes; left out, batches bring "teacher_logits".
        temperature: see `distillation_loss`.
        hard_weight: likewise.
        beta: take `jensen_shannon` with this β instead.

    Raises:
        ValueError: with `beta` there is no `hard_weight`; or a batch has no teacher's logits, and
            there is no teacher.
    """
    if beta is not None and hard_weight:
        raise ValueError("hard_weight belongs to distillation_loss: leave it out, or beta")

    def loss(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
        student, from_teacher, targets = matched_logits(model, teacher, batch)
        if beta is not None:
            return jensen_shannon(student, from_teacher, targets, beta, temperature)
        return distillation_loss(student, from_teacher, targets, temperature, hard_weight)

    return loss


def scored_by(teacher: nn.Module) -> Any:
    """What `lib.ppo.learn_from_rollouts` takes as `make_batch` to distil on-policy in that loop.

    Beside what `on_policy_batch` gives, the batch has "log_probs" and "ref_log_probs" (b t), the
    tokens' under student and teacher: so the record's "kl" is that to the teacher.

    Args:
        teacher: as for `on_policy_batch`.
    """

    def make(written: Rollout) -> Batch:
        with reading(teacher, len(written)):
            logits = teacher(written.inputs)
        logits = logits.clone()
        return {
            "inputs": written.inputs,
            "targets": written.targets,
            "teacher_logits": logits,
            "log_probs": written.log_probs,
            "ref_log_probs": token_log_probs(logits, written.targets),
        }

    return make

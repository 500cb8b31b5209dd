"""Classic wrong answers for the floor `lib.distillation`."""

import math

import torch
import torch.nn.functional as F

from lib._distillation_parts import check_logits, check_taught
from lib.corpora.quiz import LETTERS
from lib.course.bank import mistake
from lib.generation import reading
from lib.ppo import rollout
from lib.sft import token_log_probs
from lib.training import IGNORED

# --- distillation_loss ----------------------------------------------------------------------------

SOFT = "lib.distillation.distillation_loss"


def _soft(
    student_logits, teacher_logits, targets, temperature, hard_weight, *, kl=None, factor=None,
    hard_temperature=1.0, of_student=None, of_teacher=None, detach=True, mix=None,
):  # fmt: skip
    """The right loss, but for what is given."""
    check_logits(student_logits, teacher_logits, targets, temperature)
    counted = targets != IGNORED
    student, teacher = student_logits[counted].float(), teacher_logits[counted].float()
    teacher = teacher.detach() if detach else teacher
    log_student = (student / (of_student or temperature)).log_softmax(dim=-1)
    log_teacher = (teacher / (of_teacher or temperature)).log_softmax(dim=-1)
    if kl is None:
        soft = (log_teacher.exp() * (log_teacher - log_student)).sum(dim=-1)
    else:
        soft = kl(log_student, log_teacher)
    soft = soft * (temperature**2 if factor is None else factor(temperature))
    hard = -token_log_probs(student / hard_temperature, targets[counted])
    if mix is None:
        losses = (1 - hard_weight) * soft + hard_weight * hard
    else:
        losses = mix(soft, hard, hard_weight)
    return losses.sum(), int(counted.sum())


@mistake(
    SOFT,
    "The divergence runs the other way, from student to teacher: F.kl_div(input, target) is "
    "KL(target ‖ input), so the student's log-probabilities come first and the teacher's second.",
)
def the_other_way(student_logits, teacher_logits, targets, temperature=1.0, hard_weight=0.0):
    return _soft(student_logits, teacher_logits, targets, temperature, hard_weight,
                 kl=lambda s, t: F.kl_div(t, s, reduction="none", log_target=True).sum(-1))  # fmt: skip


@mistake(
    SOFT,
    "The factor T² is missing: at a high temperature the gradient of the soft targets is T² times "
    "smaller, and the cross-entropy drowns it.",
)
def without_square(student_logits, teacher_logits, targets, temperature=1.0, hard_weight=0.0):
    return _soft(student_logits, teacher_logits, targets, temperature, hard_weight,
                 factor=lambda t: 1.0)  # fmt: skip


@mistake(SOFT, "The factor is T, not T²: one T comes from each of the two softmaxes.")
def not_squared(student_logits, teacher_logits, targets, temperature=1.0, hard_weight=0.0):
    return _soft(student_logits, teacher_logits, targets, temperature, hard_weight,
                 factor=lambda t: t)  # fmt: skip


@mistake(
    SOFT,
    'The divergence is a mean over the vocabulary, as reduction="mean" of F.kl_div gives it: a sum '
    "over all tokens is meant, which is thousands of times as much.",
)
def mean_over_the_vocabulary(
    student_logits, teacher_logits, targets, temperature=1.0, hard_weight=0.0
):
    return _soft(student_logits, teacher_logits, targets, temperature, hard_weight,
                 kl=lambda s, t: F.kl_div(s, t, reduction="none", log_target=True).mean(-1))  # fmt: skip


@mistake(
    SOFT,
    "Prompt and padding count as well: the soft loss belongs only where targets != IGNORED.",
)
def everywhere(student_logits, teacher_logits, targets, temperature=1.0, hard_weight=0.0):
    check_logits(student_logits, teacher_logits, targets, temperature)
    log_student = (student_logits.float() / temperature).log_softmax(-1)
    log_teacher = (teacher_logits.detach().float() / temperature).log_softmax(-1)
    kl = (log_teacher.exp() * (log_teacher - log_student)).sum(-1)
    hard = -token_log_probs(student_logits, targets)
    losses = (1 - hard_weight) * temperature**2 * kl + hard_weight * hard
    return losses.sum(), int((targets != IGNORED).sum())


@mistake(
    SOFT,
    "The cross-entropy is taken at the temperature too: only the soft targets are, the real token "
    "is judged by the probabilities that the student will use.",
)
def hard_at_temperature(student_logits, teacher_logits, targets, temperature=1.0, hard_weight=0.0):
    return _soft(student_logits, teacher_logits, targets, temperature, hard_weight,
                 hard_temperature=temperature)  # fmt: skip


@mistake(
    SOFT,
    "Only the teacher is softened: the student's logits must be divided by the temperature as well, "
    "or it learns to be as unsure as the softened teacher.",
)
def only_the_teacher(student_logits, teacher_logits, targets, temperature=1.0, hard_weight=0.0):
    return _soft(student_logits, teacher_logits, targets, temperature, hard_weight, of_student=1.0)


@mistake(
    SOFT,
    "Only the student is softened: the teacher's logits must be divided by the temperature as well, "
    "for what it holds of the unlikely is what softening is to show.",
)
def only_the_student(student_logits, teacher_logits, targets, temperature=1.0, hard_weight=0.0):
    return _soft(student_logits, teacher_logits, targets, temperature, hard_weight, of_teacher=1.0)


@mistake(
    SOFT,
    "This is the cross-entropy −Σ p_T log p_S: its gradient is right, but it does not fall to 0 when "
    "the student is the teacher. Σ p_T log p_T is missing.",
)
def without_entropy(student_logits, teacher_logits, targets, temperature=1.0, hard_weight=0.0):
    return _soft(student_logits, teacher_logits, targets, temperature, hard_weight,
                 kl=lambda s, t: -(t.exp() * s).sum(-1))  # fmt: skip


@mistake(
    SOFT,
    "A gradient flows into the teacher: it would learn to be like the student. Detach its logits.",
)
def teacher_learns(student_logits, teacher_logits, targets, temperature=1.0, hard_weight=0.0):
    return _soft(student_logits, teacher_logits, targets, temperature, hard_weight, detach=False)


@mistake(
    SOFT,
    "The softmax is computed in half precision, which keeps three digits: .float() first.",
)
def in_half(student_logits, teacher_logits, targets, temperature=1.0, hard_weight=0.0):
    check_logits(student_logits, teacher_logits, targets, temperature)
    counted = targets != IGNORED
    student, teacher = student_logits[counted], teacher_logits[counted].detach()
    log_student = (student / temperature).log_softmax(-1)
    log_teacher = (teacher / temperature).log_softmax(-1)
    kl = (log_teacher.exp() * (log_teacher - log_student)).sum(-1)
    hard = -student.log_softmax(-1).gather(-1, targets[counted][:, None])[:, 0]
    losses = (1 - hard_weight) * temperature**2 * kl + hard_weight * hard
    return losses.float().sum(), int(counted.sum())


@mistake(
    SOFT,
    "The logarithm of a softmax is infinite where a probability has become 0, and everything nan: "
    "take log_softmax, which stays with logarithms.",
)
def log_of_softmax(student_logits, teacher_logits, targets, temperature=1.0, hard_weight=0.0):
    def kl(log_student, log_teacher):
        p, q = log_teacher.exp(), log_student.exp()
        return (p * (p.log() - q.log())).sum(-1)

    return _soft(student_logits, teacher_logits, targets, temperature, hard_weight, kl=kl)


@mistake(SOFT, "T² multiplies the cross-entropy as well: it belongs to the soft targets alone.")
def square_on_both(student_logits, teacher_logits, targets, temperature=1.0, hard_weight=0.0):
    return _soft(student_logits, teacher_logits, targets, temperature, hard_weight,
                 mix=lambda soft, hard, w: (1 - w) * soft + w * temperature**2 * hard)  # fmt: skip


@mistake(
    SOFT,
    "The weights are swapped: hard_weight is that of the cross-entropy, 1 − hard_weight that of the "
    "soft targets.",
)
def weights_swapped(student_logits, teacher_logits, targets, temperature=1.0, hard_weight=0.0):
    return _soft(student_logits, teacher_logits, targets, temperature, hard_weight,
                 mix=lambda soft, hard, w: w * soft + (1 - w) * hard)  # fmt: skip


@mistake(SOFT, "The soft targets always count in full: they weigh 1 − hard_weight.")
def soft_in_full(student_logits, teacher_logits, targets, temperature=1.0, hard_weight=0.0):
    return _soft(student_logits, teacher_logits, targets, temperature, hard_weight,
                 mix=lambda soft, hard, w: soft + w * hard)  # fmt: skip


@mistake(
    SOFT,
    "The mean is given back in place of the sum: the training divides by the number itself, over all "
    "parts of a batch together.",
)
def a_mean(student_logits, teacher_logits, targets, temperature=1.0, hard_weight=0.0):
    total, n = _soft(student_logits, teacher_logits, targets, temperature, hard_weight)
    return total / max(n, 1), n


@mistake(SOFT, "The number is that of all places: it should be how many targets count.")
def counts_all(student_logits, teacher_logits, targets, temperature=1.0, hard_weight=0.0):
    total, _ = _soft(student_logits, teacher_logits, targets, temperature, hard_weight)
    return total, targets.numel()


# --- jensen_shannon -------------------------------------------------------------------------------

MIXED = "lib.distillation.jensen_shannon"


def _check_mixed(student_logits, teacher_logits, targets, beta, temperature):
    check_logits(student_logits, teacher_logits, targets, temperature)
    if not 0 <= beta <= 1:
        raise ValueError("beta is from 0 to 1")


def _kl(log_a, log_b):
    return (log_a.exp() * (log_a - log_b)).sum(-1)


def _mixture(log_p, log_q, beta):
    return torch.logaddexp(log_p + math.log(beta), log_q + math.log1p(-beta))


def _mixed(
    student_logits, teacher_logits, targets, beta, temperature, *, at_0=None, at_1=None,
    between=None, detach=True, of_teacher=None,
):  # fmt: skip
    """The right divergence, but for what is given: functions of log_p, log_q and beta."""
    _check_mixed(student_logits, teacher_logits, targets, beta, temperature)
    counted = targets != IGNORED
    teacher = teacher_logits[counted].float()
    teacher = teacher.detach() if detach else teacher
    log_q = (student_logits[counted].float() / temperature).log_softmax(-1)
    log_p = (teacher / (of_teacher or temperature)).log_softmax(-1)
    if beta == 0:
        losses = (at_0 or (lambda p, q: _kl(p, q)))(log_p, log_q)
    elif beta == 1:
        losses = (at_1 or (lambda p, q: _kl(q, p)))(log_p, log_q)
    else:
        losses = (between or _between)(log_p, log_q, beta)
    return losses.sum(), int(counted.sum())


def _between(log_p, log_q, beta):
    log_m = _mixture(log_p, log_q, beta)
    return beta * _kl(log_p, log_m) + (1 - beta) * _kl(log_q, log_m)


@mistake(
    MIXED,
    "At β = 0 and at β = 1 this is 0 for any two models, and nothing is learnt: the ends are the "
    "forward and the reverse KL.",
    seen_in="trl#3043",
)
def nothing_at_the_ends(student_logits, teacher_logits, targets, beta, temperature=1.0):
    return _mixed(student_logits, teacher_logits, targets, beta, temperature,
                  at_0=lambda p, q: _kl(q, q), at_1=lambda p, q: _kl(q, q) + 0 * p.sum(-1))  # fmt: skip


@mistake(
    MIXED,
    "A β near an end is taken for the end: only 0 and 1 themselves are apart, and between them the "
    "formula holds, however small its value is there.",
)
def ends_are_wide(student_logits, teacher_logits, targets, beta, temperature=1.0):
    nearest = round(beta) if min(abs(beta), abs(1 - beta)) < 1e-3 else beta
    return _mixed(student_logits, teacher_logits, targets, nearest, temperature)


@mistake(
    MIXED,
    "The ends are swapped: near β = 0 the mixture is the student, and what is left is the forward "
    "KL(teacher ‖ student); the reverse one belongs to β = 1.",
)
def ends_swapped(student_logits, teacher_logits, targets, beta, temperature=1.0):
    return _mixed(student_logits, teacher_logits, targets, beta, temperature,
                  at_0=lambda p, q: _kl(q, p), at_1=lambda p, q: _kl(p, q))  # fmt: skip


@mistake(
    MIXED,
    "Teacher and student are swapped everywhere: β is the share of the teacher in the mixture, and "
    "the weight of its divergence.",
)
def swapped(student_logits, teacher_logits, targets, beta, temperature=1.0):
    return _mixed(student_logits, teacher_logits, targets, beta, temperature,
                  at_0=lambda p, q: _kl(q, p), at_1=lambda p, q: _kl(p, q),
                  between=lambda p, q, beta: _between(p, q, 1 - beta))  # fmt: skip


@mistake(
    MIXED,
    "The mixture is always half and half: its shares are β of the teacher and 1 − β of the student.",
)
def half_and_half(student_logits, teacher_logits, targets, beta, temperature=1.0):
    def between(p, q, beta):
        m = _mixture(p, q, 0.5)
        return beta * _kl(p, m) + (1 - beta) * _kl(q, m)

    return _mixed(student_logits, teacher_logits, targets, beta, temperature, between=between)


@mistake(
    MIXED,
    "The two divergences weigh one half each: they weigh β, the teacher's, and 1 − β, the student's.",
)
def weights_of_a_half(student_logits, teacher_logits, targets, beta, temperature=1.0):
    def between(p, q, beta):
        m = _mixture(p, q, beta)
        return 0.5 * _kl(p, m) + 0.5 * _kl(q, m)

    return _mixed(student_logits, teacher_logits, targets, beta, temperature, between=between)


@mistake(
    MIXED,
    "The divergences run from the mixture: KL(m ‖ p) in place of KL(p ‖ m). In F.kl_div the mixture "
    "comes first.",
)
def from_the_mixture(student_logits, teacher_logits, targets, beta, temperature=1.0):
    def between(p, q, beta):
        m = _mixture(p, q, beta)
        return beta * _kl(m, p) + (1 - beta) * _kl(m, q)

    return _mixed(student_logits, teacher_logits, targets, beta, temperature, between=between)


@mistake(
    MIXED,
    "The mixture is one of logits, that is a product of powers: probabilities are mixed, β p + "
    "(1 − β) q.",
)
def mixture_of_logits(student_logits, teacher_logits, targets, beta, temperature=1.0):
    def between(p, q, beta):
        m = (beta * p + (1 - beta) * q).log_softmax(-1)
        return beta * _kl(p, m) + (1 - beta) * _kl(q, m)

    return _mixed(student_logits, teacher_logits, targets, beta, temperature, between=between)


@mistake(
    MIXED,
    "A gradient flows into the teacher: it would come to meet the student. Detach its logits.",
)
def teacher_comes_along(student_logits, teacher_logits, targets, beta, temperature=1.0):
    return _mixed(student_logits, teacher_logits, targets, beta, temperature, detach=False)


@mistake(MIXED, "Only the student's logits are divided by the temperature: the teacher's are, too.")
def student_at_temperature(student_logits, teacher_logits, targets, beta, temperature=1.0):
    return _mixed(student_logits, teacher_logits, targets, beta, temperature, of_teacher=1.0)


@mistake(
    MIXED,
    "It is multiplied by T²: that belongs to the soft targets of Hinton; GKD has no such factor.",
)
def times_square(student_logits, teacher_logits, targets, beta, temperature=1.0):
    total, n = _mixed(student_logits, teacher_logits, targets, beta, temperature)
    return temperature**2 * total, n


@mistake(MIXED, "Prompt and padding count as well: only places where targets != IGNORED do.")
def mixed_everywhere(student_logits, teacher_logits, targets, beta, temperature=1.0):
    _check_mixed(student_logits, teacher_logits, targets, beta, temperature)
    everything = torch.zeros_like(targets)
    total, _ = _mixed(student_logits, teacher_logits, everything, beta, temperature)
    return total, int((targets != IGNORED).sum())


@mistake(
    MIXED,
    "Probabilities so small that they have become 0 make this nan: mix logarithms, by logaddexp or "
    "logsumexp, and take log_softmax.",
)
def mixes_probabilities(student_logits, teacher_logits, targets, beta, temperature=1.0):
    def between(p, q, beta):
        p, q = p.exp(), q.exp()
        m = beta * p + (1 - beta) * q
        of_p, of_q = (p * (p / m).log()).sum(-1), (q * (q / m).log()).sum(-1)
        return beta * of_p + (1 - beta) * of_q

    return _mixed(student_logits, teacher_logits, targets, beta, temperature, between=between)


@mistake(MIXED, "The softmax is computed in half precision: turn logits into float32 first.")
def mixed_in_half(student_logits, teacher_logits, targets, beta, temperature=1.0):
    _check_mixed(student_logits, teacher_logits, targets, beta, temperature)
    counted = targets != IGNORED
    q = (student_logits[counted] / temperature).log_softmax(-1)
    p = (teacher_logits[counted].detach() / temperature).log_softmax(-1)
    losses = _kl(p, q) if beta == 0 else _kl(q, p) if beta == 1 else _between(p, q, beta)
    return losses.float().sum(), int(counted.sum())


@mistake(MIXED, "The mean is given back, not the sum: the training divides by the number itself.")
def mean_of_mixed(student_logits, teacher_logits, targets, beta, temperature=1.0):
    total, n = _mixed(student_logits, teacher_logits, targets, beta, temperature)
    return total / max(n, 1), n


# --- on_policy_batch ------------------------------------------------------------------------------

ON_POLICY = "lib.distillation.on_policy_batch"


def _check_vocabulary(logits, student):
    if logits.size(-1) != student.config.vocab_size:
        raise ValueError("another vocabulary")


def _scored(student, teacher, written, change=lambda logits: logits):
    """The right batch for what was written, but that the teacher's logits are changed."""
    with reading(teacher):
        logits = teacher(written.inputs)
    _check_vocabulary(logits, student)
    return {"inputs": written.inputs, "targets": written.targets,
            "teacher_logits": change(logits.clone())}  # fmt: skip


@mistake(
    ON_POLICY,
    "The teacher has written the answers: that is off-policy, and the student never sees where its "
    "own mistakes lead. The student writes, the teacher scores.",
)
def teacher_writes(
    student, teacher, prompts, max_new_tokens, *, temperature=1.0, stop=(), generator=None
):
    written = rollout(teacher, prompts, max_new_tokens, temperature=temperature, stop=stop,
                      generator=generator)  # fmt: skip
    return _scored(student, teacher, written)


@mistake(
    ON_POLICY,
    "The teacher scores in the mode that it was in: in train mode its dropout makes other numbers "
    "each time. reading(teacher) switches to eval mode for as long as it reads.",
)
def teacher_in_train_mode(
    student, teacher, prompts, max_new_tokens, *, temperature=1.0, stop=(), generator=None
):
    written = rollout(student, prompts, max_new_tokens, temperature=temperature, stop=stop,
                      generator=generator)  # fmt: skip
    with torch.no_grad():
        logits = teacher(written.inputs)
    _check_vocabulary(logits, student)
    return {"inputs": written.inputs, "targets": written.targets, "teacher_logits": logits}


@mistake(
    ON_POLICY,
    "The teacher is left in eval mode: put it back into the mode that it was in.",
)
def left_in_eval_mode(
    student, teacher, prompts, max_new_tokens, *, temperature=1.0, stop=(), generator=None
):
    written = rollout(student, prompts, max_new_tokens, temperature=temperature, stop=stop,
                      generator=generator)  # fmt: skip
    teacher.eval()
    return _scored(student, teacher, written)


@mistake(
    ON_POLICY,
    "The teacher is put into train mode afterwards, even if it was in eval mode before.",
)
def always_back_to_train_mode(
    student, teacher, prompts, max_new_tokens, *, temperature=1.0, stop=(), generator=None
):
    written = rollout(student, prompts, max_new_tokens, temperature=temperature, stop=stop,
                      generator=generator)  # fmt: skip
    batch = _scored(student, teacher, written)
    teacher.train()
    return batch


@mistake(
    ON_POLICY,
    "The teacher's logits carry a gradient, and with it everything that the teacher has computed: it "
    "only reads, in torch.no_grad() or reading(teacher).",
)
def with_a_gradient(
    student, teacher, prompts, max_new_tokens, *, temperature=1.0, stop=(), generator=None
):
    written = rollout(student, prompts, max_new_tokens, temperature=temperature, stop=stop,
                      generator=generator)  # fmt: skip
    was = teacher.training
    teacher.eval()
    logits = teacher(written.inputs)
    teacher.train(was)
    _check_vocabulary(logits, student)
    return {"inputs": written.inputs, "targets": written.targets, "teacher_logits": logits}


@mistake(
    ON_POLICY,
    "What is made within reading(...) is fit for reading alone: no loss can go backward through it. "
    "Clone it outside of the block.",
)
def made_while_reading(
    student, teacher, prompts, max_new_tokens, *, temperature=1.0, stop=(), generator=None
):
    written = rollout(student, prompts, max_new_tokens, temperature=temperature, stop=stop,
                      generator=generator)  # fmt: skip
    with reading(teacher):
        logits = teacher(written.inputs)
    _check_vocabulary(logits, student)
    return {"inputs": written.inputs, "targets": written.targets, "teacher_logits": logits}


@mistake(
    ON_POLICY,
    "The teacher has read the targets, which are one place further on: its scores are those of the "
    "token after the next. It reads the inputs, like the student.",
)
def reads_the_targets(
    student, teacher, prompts, max_new_tokens, *, temperature=1.0, stop=(), generator=None
):
    written = rollout(student, prompts, max_new_tokens, temperature=temperature, stop=stop,
                      generator=generator)  # fmt: skip
    with reading(teacher):
        logits = teacher(written.targets.clamp(min=0))
    _check_vocabulary(logits, student)
    return {"inputs": written.inputs, "targets": written.targets,
            "teacher_logits": logits.clone()}  # fmt: skip


@mistake(ON_POLICY, "The student scores itself: the logits are to be the teacher's.")
def student_scores(
    student, teacher, prompts, max_new_tokens, *, temperature=1.0, stop=(), generator=None
):
    written = rollout(student, prompts, max_new_tokens, temperature=temperature, stop=stop,
                      generator=generator)  # fmt: skip
    with reading(teacher):
        _check_vocabulary(teacher(written.inputs), student)
    return _scored(student, student, written)


@mistake(ON_POLICY, "The temperature is not passed on: the student writes at 1, whatever is asked.")
def at_temperature_1(
    student, teacher, prompts, max_new_tokens, *, temperature=1.0, stop=(), generator=None
):
    written = rollout(student, prompts, max_new_tokens, stop=stop, generator=generator)
    return _scored(student, teacher, written)


@mistake(
    ON_POLICY,
    "The teacher's logits are divided by the temperature that the student wrote at: they are wanted "
    "as they are, the loss has a temperature of its own.",
)
def teacher_at_temperature(
    student, teacher, prompts, max_new_tokens, *, temperature=1.0, stop=(), generator=None
):
    written = rollout(student, prompts, max_new_tokens, temperature=temperature, stop=stop,
                      generator=generator)  # fmt: skip
    return _scored(student, teacher, written, lambda logits: logits / temperature)


@mistake(ON_POLICY, "`stop` is not passed on: answers go on behind the token that ends them.")
def never_stops(
    student, teacher, prompts, max_new_tokens, *, temperature=1.0, stop=(), generator=None
):
    written = rollout(student, prompts, max_new_tokens, temperature=temperature,
                      generator=generator)  # fmt: skip
    return _scored(student, teacher, written)


@mistake(
    ON_POLICY,
    "`generator` is not passed on: the chance comes from elsewhere, and nobody gets the same answers "
    "again.",
)
def chance_from_elsewhere(
    student, teacher, prompts, max_new_tokens, *, temperature=1.0, stop=(), generator=None
):
    written = rollout(student, prompts, max_new_tokens, temperature=temperature, stop=stop)
    return _scored(student, teacher, written)


@mistake(
    ON_POLICY,
    "The prompts are targets as well: the student is to learn only what it has written itself.",
)
def prompts_count(
    student, teacher, prompts, max_new_tokens, *, temperature=1.0, stop=(), generator=None
):
    written = rollout(student, prompts, max_new_tokens, temperature=temperature, stop=stop,
                      generator=generator)  # fmt: skip
    batch = _scored(student, teacher, written)
    for row, text in enumerate(written.texts):
        batch["targets"][row, : len(text) - 1] = torch.tensor(text[1:])
    return batch


@mistake(
    ON_POLICY,
    "A teacher of another vocabulary goes through: its numbers would be compared with those of other "
    "tokens. Raise ValueError.",
)
def any_vocabulary(
    student, teacher, prompts, max_new_tokens, *, temperature=1.0, stop=(), generator=None
):
    written = rollout(student, prompts, max_new_tokens, temperature=temperature, stop=stop,
                      generator=generator)  # fmt: skip
    with reading(teacher):
        logits = teacher(written.inputs)
    return {"inputs": written.inputs, "targets": written.targets,
            "teacher_logits": logits.clone()}  # fmt: skip


# --- rationale_examples ---------------------------------------------------------------------------

REASONS = "lib.distillation.rationale_examples"


def _taught(
    questions, answers, reasons, weight, every_option, *, keep=lambda q, chosen: chosen == q.right,
    label=lambda q, chosen, whys: (q.prompt("Answer:"), f" {LETTERS[q.right]}"), whys_of=None,
    share=lambda weight, n: weight / n, blank=False, label_weight=lambda weight: 1.0,
    prompt=lambda q, task: q.prompt(task), zero=False, said_as=lambda q, why: f" {why}",
):  # fmt: skip
    """The right examples, but for what is given."""
    check_taught(questions, answers, reasons, weight)
    found = []
    for q, chosen, whys in zip(questions, answers, reasons):
        if not keep(q, chosen):
            continue
        before, letter = label(q, chosen, whys)
        found.append({"task": "label", "prompt": before, "answer": letter,
                      "weight": label_weight(weight)})  # fmt: skip
        if every_option:
            tasks = [(f"Reason for {letter}:", why) for letter, why in zip(LETTERS, whys)]
        else:
            why = whys[q.right] if whys_of is None else whys_of(q, chosen, whys)
            tasks = [("Reason:", why)]
        tasks = [(task, why.strip()) for task, why in tasks if blank or why.strip()]
        if weight == 0 and not zero:
            continue
        found += [{"task": "rationale", "prompt": prompt(q, task), "answer": said_as(q, why),
                   "weight": share(weight, len(tasks))} for task, why in tasks]  # fmt: skip
    return found


@mistake(
    REASONS,
    "The reason stands in the prompt of the label: at test nobody gives one, and the student has "
    "learnt to copy from it. Label and reason are two tasks with the same input.",
)
def reason_as_input(questions, answers, reasons, weight=1.0, every_option=False):
    return _taught(questions, answers, reasons, weight, every_option,
                   label=lambda q, chosen, whys: (
                       q.prompt(f"Reason: {whys[q.right].strip()}\nAnswer:"),
                       f" {LETTERS[q.right]}"))  # fmt: skip


@mistake(
    REASONS,
    "Questions that the teacher got wrong are kept: the label is right, but the reasons that led it "
    "astray are learnt as well.",
)
def errors_kept(questions, answers, reasons, weight=1.0, every_option=False):
    return _taught(questions, answers, reasons, weight, every_option, keep=lambda q, chosen: True)


@mistake(
    REASONS,
    "None is taken for option 0: a teacher that chose nothing was not right, even where A is.",
)
def none_is_the_first(questions, answers, reasons, weight=1.0, every_option=False):
    return _taught(questions, answers, reasons, weight, every_option,
                   keep=lambda q, chosen: (chosen or 0) == q.right)  # fmt: skip


@mistake(
    REASONS,
    "The teacher's errors are learnt: what it chose is the label, right or wrong. Leave out the "
    "questions that it got wrong.",
)
def teachers_label(questions, answers, reasons, weight=1.0, every_option=False):
    return _taught(questions, answers, reasons, weight, every_option,
                   keep=lambda q, chosen: chosen is not None,
                   label=lambda q, chosen, whys: (q.prompt("Answer:"), f" {LETTERS[chosen]}"),
                   whys_of=lambda q, chosen, whys: whys[chosen])  # fmt: skip


@mistake(
    REASONS,
    "Reason and letter are one answer: at test the student would have to write the reason first, and "
    "its answer would hang on it. They are two tasks.",
)
def reason_then_answer(questions, answers, reasons, weight=1.0, every_option=False):
    check_taught(questions, answers, reasons, weight)
    return [
        {"task": "label", "prompt": q.prompt("Answer:"), "weight": 1.0,
         "answer": f" {whys[q.right].strip()} {LETTERS[q.right]}"}
        for q, chosen, whys in zip(questions, answers, reasons)
        if chosen == q.right
    ]  # fmt: skip


@mistake(
    REASONS,
    "The reason is always that for the first option: asked for is the one for the right option.",
)
def first_reason(questions, answers, reasons, weight=1.0, every_option=False):
    return _taught(questions, answers, reasons, weight, every_option,
                   whys_of=lambda q, chosen, whys: whys[0])  # fmt: skip


@mistake(
    REASONS,
    "Both tasks have the same prompt: the student cannot know whether a letter or a reason is asked "
    'for. The last line says it, "Answer:" or "Reason:".',
)
def one_prompt(questions, answers, reasons, weight=1.0, every_option=False):
    return _taught(questions, answers, reasons, weight, every_option,
                   prompt=lambda q, task: q.prompt("Answer:"))  # fmt: skip


@mistake(
    REASONS,
    "Each reason weighs λ: with four options a question's reasons would weigh four times as much. "
    "Together they weigh λ.",
)
def weight_each(questions, answers, reasons, weight=1.0, every_option=False):
    return _taught(questions, answers, reasons, weight, every_option,
                   share=lambda weight, n: weight)  # fmt: skip


@mistake(
    REASONS,
    "λ is shared among all options, also those whose reasons are blank and left out: divide by how "
    "many reasons there are.",
)
def shared_with_blank_ones(questions, answers, reasons, weight=1.0, every_option=False):
    check_taught(questions, answers, reasons, weight)
    n = max(len(q.options) for q in questions)
    return _taught(questions, answers, reasons, weight, every_option,
                   share=lambda weight, found: weight / (4 if found == 3 and n == 4 else found))  # fmt: skip


@mistake(REASONS, "λ weighs the labels: it is the weight of the reasons, a label weighs 1.")
def weight_on_labels(questions, answers, reasons, weight=1.0, every_option=False):
    return _taught(questions, answers, reasons, weight, every_option,
                   label_weight=lambda weight: weight, share=lambda weight, n: 1.0 / n)  # fmt: skip


@mistake(
    REASONS,
    "Blank reasons are kept: the student would learn to give none. Leave them out.",
)
def blank_reasons(questions, answers, reasons, weight=1.0, every_option=False):
    return _taught(questions, answers, reasons, weight, every_option, blank=True)


@mistake(
    REASONS,
    "With λ = 0 the reasons are still there: they teach nothing, but cost their tokens, and the "
    "comparison at equal tokens is off.",
)
def zero_weights_kept(questions, answers, reasons, weight=1.0, every_option=False):
    return _taught(questions, answers, reasons, weight, every_option, zero=True)


@mistake(
    REASONS,
    "Answers begin without a space: after a colon that is another token than the one that models "
    "have read all their lives.",
)
def without_a_space(questions, answers, reasons, weight=1.0, every_option=False):
    return _taught(questions, answers, reasons, weight, every_option,
                   label=lambda q, chosen, whys: (q.prompt("Answer:"), LETTERS[q.right]),
                   said_as=lambda q, why: why)  # fmt: skip


@mistake(
    REASONS,
    "`every_option` is ignored: there is only the reason for the right one.",
)
def right_option_alone(questions, answers, reasons, weight=1.0, every_option=False):
    return _taught(questions, answers, reasons, weight, False)


@mistake(
    REASONS,
    "The letter stands before the reason: the student could write it without having understood why. "
    "A reason is the reason alone.",
)
def letter_before_the_reason(questions, answers, reasons, weight=1.0, every_option=False):
    return _taught(questions, answers, reasons, weight, every_option,
                   said_as=lambda q, why: f" {LETTERS[q.right]}, because {why}")  # fmt: skip

"""Other right answers for the floor `lib.distillation`."""

import math

import torch
import torch.nn.functional as F

from lib._distillation_parts import check_logits, check_taught
from lib.corpora.quiz import LETTERS
from lib.ppo import rollout
from lib.training import IGNORED
from tests.variants import right

SOFT = "lib.distillation.distillation_loss"


@right(SOFT)
def with_kl_div(student_logits, teacher_logits, targets, temperature=1.0, hard_weight=0.0):
    if student_logits.shape != teacher_logits.shape:
        raise ValueError("student and teacher do not score the same")
    if student_logits.shape[:2] != targets.shape or not temperature > 0:
        raise ValueError("bad targets or temperature")
    student, teacher = student_logits.float(), teacher_logits.detach().float()
    kl = F.kl_div(
        F.log_softmax(student / temperature, dim=-1),
        F.log_softmax(teacher / temperature, dim=-1),
        reduction="none",
        log_target=True,
    ).sum(-1)
    hard = F.cross_entropy(student.transpose(1, 2), targets, ignore_index=IGNORED, reduction="sum")
    mask = targets.ne(IGNORED)
    soft = torch.where(mask, kl, torch.zeros_like(kl)).sum() * temperature * temperature
    return (1 - hard_weight) * soft + hard_weight * hard, mask.sum().item()


@right(SOFT)
def as_two_cross_entropies(
    student_logits, teacher_logits, targets, temperature=1.0, hard_weight=0.0
):
    """KL is the cross-entropy less the teacher's own entropy."""
    if temperature <= 0:
        raise ValueError("a temperature is above 0")
    if student_logits.size(-1) != teacher_logits.size(-1):
        raise ValueError("two vocabularies")
    if teacher_logits.shape[:-1] != targets.shape or student_logits.shape[:-1] != targets.shape:
        raise ValueError("logits and targets do not fit")
    keep = (targets != -100).flatten()
    student = student_logits.flatten(0, 1)[keep].to(torch.float32)
    with torch.no_grad():
        teacher = teacher_logits.flatten(0, 1)[keep].to(torch.float32)
        p = torch.softmax(teacher / temperature, dim=-1)
        own = torch.distributions.Categorical(logits=teacher / temperature).entropy().sum()
    crossed = F.cross_entropy(student / temperature, p, reduction="sum")
    plain = F.cross_entropy(student, targets.flatten()[keep], reduction="sum")
    n = int(keep.sum())
    total = (1.0 - hard_weight) * temperature**2 * (crossed - own) + hard_weight * plain
    return total, n


MIXED = "lib.distillation.jensen_shannon"


@right(MIXED)
def with_logsumexp(student_logits, teacher_logits, targets, beta, temperature=1.0):
    """As TRL has it, in float32."""
    if beta < 0 or beta > 1 or temperature <= 0:
        raise ValueError("beta or temperature")
    if student_logits.shape != teacher_logits.shape:
        raise ValueError("two vocabularies")
    student = F.log_softmax(student_logits.float() / temperature, dim=-1)
    teacher = F.log_softmax(teacher_logits.detach().float() / temperature, dim=-1)
    if beta == 0:
        jsd = F.kl_div(student, teacher, reduction="none", log_target=True)
    elif beta == 1:
        jsd = F.kl_div(teacher, student, reduction="none", log_target=True)
    else:
        b = torch.tensor(beta)
        mixture = torch.logsumexp(
            torch.stack([student + torch.log1p(-b), teacher + torch.log(b)]), dim=0
        )
        of_teacher = F.kl_div(mixture, teacher, reduction="none", log_target=True)
        of_student = F.kl_div(mixture, student, reduction="none", log_target=True)
        jsd = b * of_teacher + (1 - b) * of_student
    mask = targets != -100
    return jsd[mask].sum(), int(mask.sum())


@right(MIXED)
def by_entropies(student_logits, teacher_logits, targets, beta, temperature=1.0):
    """H(m) − β H(p) − (1 − β) H(q), in float64."""
    if not 0.0 <= beta <= 1.0:
        raise ValueError("beta is a share")
    if student_logits.shape != teacher_logits.shape or temperature <= 0:
        raise ValueError("the logits do not fit, or the temperature")
    mask = targets.ne(IGNORED)
    log_q = (student_logits[mask].double() / temperature).log_softmax(1)
    log_p = (teacher_logits[mask].detach().double() / temperature).log_softmax(1)
    p, q = log_p.exp(), log_q.exp()
    if beta in (0, 1):
        rows = p * (log_p - log_q) if beta == 0 else q * (log_q - log_p)
        return rows.sum().float(), int(mask.sum())
    m = torch.clamp(beta * p + (1 - beta) * q, min=1e-300)
    rows = -(m * m.log()) + beta * p * log_p + (1 - beta) * q * log_q
    return rows.sum().to(torch.float32), int(mask.sum())


@right(MIXED)
def with_a_fixed_mixture(student_logits, teacher_logits, targets, beta, temperature=1.0):
    """The mixture is the best of all for this sum, so that no gradient comes through it."""
    check_logits(student_logits, teacher_logits, targets, temperature)
    if not 0 <= beta <= 1:
        raise ValueError("beta")
    counted = targets != IGNORED
    q = (student_logits[counted].float() / temperature).log_softmax(-1)
    p = (teacher_logits[counted].float().detach() / temperature).log_softmax(-1)
    if beta in (0, 1):
        a, b = (p, q) if beta == 0 else (q, p)
        return (a.exp() * (a - b)).sum(), len(q)
    m = torch.logaddexp(p + math.log(beta), q.detach() + math.log(1 - beta))
    total = beta * (p.exp() * (p - m)).sum() + (1 - beta) * (q.exp() * (q - m)).sum()
    return total, len(q)


ON_POLICY = "lib.distillation.on_policy_batch"


@right(ON_POLICY)
def with_no_grad(
    student, teacher, prompts, max_new_tokens, *, temperature=1.0, stop=(), generator=None
):
    if teacher.config.vocab_size != student.config.vocab_size:
        raise ValueError("two vocabularies")
    made = rollout(
        student,
        prompts,
        max_new_tokens,
        temperature=temperature,
        stop=stop,
        generator=generator,
    )
    was = teacher.training
    teacher.eval()
    try:
        with torch.no_grad():
            scores = teacher(made.inputs)
    finally:
        teacher.train(was)
    return dict(inputs=made.inputs, targets=made.targets, teacher_logits=scores)


@right(ON_POLICY)
def one_row_at_a_time(
    student, teacher, prompts, max_new_tokens, *, temperature=1.0, stop=(), generator=None
):
    made = rollout(student, prompts, max_new_tokens, temperature=temperature, stop=stop,
                   generator=generator)  # fmt: skip
    mode, rows = teacher.training, []
    teacher.train(False)
    for row in made.inputs:
        rows.append(teacher(row[None]).detach()[0].log_softmax(-1))
    teacher.train(mode)
    logits = torch.stack(rows)
    if logits.shape[2] != student.config.vocab_size:
        raise ValueError("the teacher knows other tokens")
    return {"teacher_logits": logits, "targets": made.targets, "inputs": made.inputs}


REASONS = "lib.distillation.rationale_examples"


@right(REASONS)
def in_two_passes(questions, answers, reasons, weight=1.0, every_option=False):
    if not (len(questions) == len(answers) == len(reasons)) or weight < 0:
        raise ValueError("what was taught does not fit")
    if any(len(q.options) != len(r) for q, r in zip(questions, reasons)):
        raise ValueError("a reason for each option, please")
    found = []
    for number in range(len(questions)):
        question = questions[number]
        if answers[number] is None or answers[number] != question.right:
            continue
        found.append(
            dict(
                task="label",
                prompt=question.prompt("Answer:"),
                answer=" " + question.letter,
                weight=1.0,
            )
        )
        if weight == 0:
            continue
        chosen = range(len(question.options)) if every_option else [question.right]
        chosen = [i for i in chosen if reasons[number][i].strip()]
        for i in chosen:
            task = "Reason for " + LETTERS[i] + ":" if every_option else "Reason:"
            found.append(
                dict(
                    task="rationale",
                    prompt=question.prompt(task),
                    answer=" " + reasons[number][i].strip(),
                    weight=weight / len(chosen),
                )
            )
    return found


@right(REASONS)
def with_a_helper(questions, answers, reasons, weight=1.0, every_option=False):
    if weight < 0:
        raise ValueError("weight")
    if len({len(questions), len(answers), len(reasons)}) > 1:
        raise ValueError("lengths")

    def example(task, prompt, answer, share):
        return {"task": task, "prompt": prompt, "answer": f" {answer}", "weight": float(share)}

    def of(question, whys):
        if len(whys) != len(question.options):
            raise ValueError("options")
        pairs = (
            [(f"Reason for {'ABCDEFGH'[i]}:", why) for i, why in enumerate(whys)]
            if every_option
            else [("Reason:", whys[question.right])]
        )
        pairs = [(last, " ".join(why.split())) for last, why in pairs if not why.isspace() and why]
        first = [example("label", question.prompt(), question.letter, 1)]
        if not weight:
            return first
        return first + [
            example("rationale", question.prompt(last), why, weight / len(pairs))
            for last, why in pairs
        ]

    everything = [of(q, r) for q, r in zip(questions, reasons)]
    return [e for found, q, a in zip(everything, questions, answers) if a == q.right for e in found]


@right(REASONS)
def reasons_as_they_stand(questions, answers, reasons, weight=1.0, every_option=False):
    check_taught(questions, answers, reasons, weight)
    found = []
    for q, chosen, whys in zip(questions, answers, reasons):
        if chosen != q.right:
            continue
        label = {"task": "label", "prompt": q.prompt("Answer:"), "answer": f" {q.letter}"}
        found.append({**label, "weight": 1.0})
        tasks = [(f"Reason for {x}:", why) for x, why in zip(LETTERS, whys)]
        if not every_option:
            tasks = [("Reason:", whys[q.right])]
        tasks = [(task, why) for task, why in tasks if why.strip() and weight]
        for task, why in tasks:
            reason = {"task": "rationale", "prompt": q.prompt(task), "answer": f" {why}"}
            found.append({**reason, "weight": weight / len(tasks)})
    return found

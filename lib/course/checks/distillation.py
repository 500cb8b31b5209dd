"""Checks of the floor `lib.distillation`. Oracles: plain Python numbers, one token after the other,
with the gradients written out; for on-policy batches, one text read by itself; for examples, the
texts as they should stand.

Texts are of unequal length, with prompts before the answers and padding behind; in both stand
logits that mean nothing and are not small.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.corpora.quiz import Question
from lib.course.bank import Case, Exercise
from lib.course.checks.attention import randn
from lib.course.checks.ngram import came_back
from lib.ppo import rollout
from lib.training import IGNORED
from lib.transformer import Config, Transformer

Loss = Callable[..., tuple[Tensor, int]]


# --- logits and targets ---------------------------------------------------------------------------


def targets_for(*spans: tuple[int, int], n_tokens: int, vocab_size: int, seed: int = 5) -> Tensor:
    """Targets that count from a place up to another in each row, IGNORED elsewhere."""
    chance = torch.Generator().manual_seed(seed)
    targets = torch.randint(vocab_size, (len(spans), n_tokens), generator=chance)
    places = torch.arange(n_tokens)
    first, last = torch.tensor(spans).T[..., None]
    return targets.masked_fill((places < first) | (places >= last), IGNORED)


def scored(*spans: tuple[int, int], n_tokens: int, vocab_size: int, seed: int = 0,
           scale: float = 1.5, dtype: Any = torch.float32) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Logits of a student and of a teacher, and targets."""
    shape = (len(spans), n_tokens, vocab_size)
    student = randn(*shape, seed=seed, scale=scale, dtype=dtype)
    teacher = randn(*shape, seed=seed + 1, scale=scale, dtype=dtype)
    return student, teacher, targets_for(*spans, n_tokens=n_tokens, vocab_size=vocab_size)


def moved(function: Loss, inputs: Sequence[Tensor], settings: dict[str, Any]) -> Any:
    """The sum, how many count, the student's gradient, and whether one reaches the teacher."""
    student, teacher, targets = inputs
    student, teacher = (x.clone().requires_grad_(True) for x in (student, teacher))
    total, count = function(student, teacher, targets, **settings)
    if not isinstance(total, Tensor) or not total.requires_grad:
        return total, count, "no gradient flows back"
    found = torch.autograd.grad(total, [student, teacher], allow_unused=True)
    if found[0] is None:
        return total, count, "no gradient reaches the student"
    reaches = found[1] is not None and found[1].abs().max().item() > 0
    return (
        total,
        count,
        found[0],
        "a gradient reaches the teacher" if reaches else "only the student",
    )


def summed(function: Loss, inputs: Sequence[Tensor], settings: dict[str, Any]) -> Any:
    """The sum and how many count."""
    return function(*inputs, **settings)


def probabilities(logits: Sequence[float], temperature: float) -> list[float]:
    high = max(logits)
    raised = [math.exp((x - high) / temperature) for x in logits]
    return [x / sum(raised) for x in raised]


def kl(p: Sequence[float], q: Sequence[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q) if a > 0)


def soft_token(
    s: list[float], t: list[float], target: int, temperature: float, hard_weight: float
) -> tuple[float, list[float]]:
    """The loss of one token and its derivative for each of the student's logits."""
    p, q, plain = probabilities(t, temperature), probabilities(s, temperature), probabilities(s, 1)
    w, square = hard_weight, temperature**2
    loss = (1 - w) * square * kl(p, q) - w * math.log(plain[target])
    slope = [
        (1 - w) * square * (b - a) / temperature + w * (c - (i == target))
        for i, (a, b, c) in enumerate(zip(p, q, plain))
    ]
    return loss, slope


def mixed_token(
    s: list[float], t: list[float], target: int, beta: float, temperature: float
) -> tuple[float, list[float]]:
    p, q = probabilities(t, temperature), probabilities(s, temperature)
    if beta == 0:
        return kl(p, q), [(b - a) / temperature for a, b in zip(p, q)]
    m = p if beta == 1 else [beta * a + (1 - beta) * b for a, b in zip(p, q)]
    share = 1.0 if beta == 1 else 1 - beta
    of_student = kl(q, m)
    loss = share * of_student + (0.0 if beta == 1 else beta * kl(p, m))
    return loss, [share * b * (math.log(b / c) - of_student) / temperature for b, c in zip(q, m)]


Token = Callable[..., tuple[float, list[float]]]


def token_by_token(token: Token, **defaults: float) -> Callable[..., Any]:
    def expected(inputs: Sequence[Tensor], settings: dict[str, Any]) -> Any:
        student, teacher, targets = inputs
        gradient = torch.zeros_like(student)
        total, count = 0.0, 0
        for row in range(targets.size(0)):
            for place in range(targets.size(1)):
                target = int(targets[row, place])
                if target == IGNORED:
                    continue
                s, t = (x[row, place].double().tolist() for x in (student, teacher))
                loss, slope = token(s, t, target, **{**defaults, **settings})
                total, count = total + loss, count + 1
                gradient[row, place] = torch.tensor(slope, dtype=torch.float64).to(gradient)
        return torch.tensor(total, dtype=torch.float32), count, gradient, "only the student"

    return expected


def loss_case(
    name: str,
    expected: Callable[..., Any],
    title: str,
    inputs: Callable[[], tuple[Tensor, Tensor, Tensor]],
    gradient: bool = True,
    **settings: float,
) -> Case:
    """A case on logits of student and teacher; without `gradient`, the sum and number alone."""
    shown = "".join(f", {k}={v}" for k, v in settings.items())
    more = ", gradient, whom it reaches" if gradient else ""
    return Case(
        title,
        lambda: (inputs(), settings),
        run=moved if gradient else summed,
        expected=expected if gradient else lambda *given: expected(*given)[:2],
        call=f"{name}(student_logits, teacher_logits, targets{shown})    # sum, count{more}",
    )


def refused(
    name: str, title: str, inputs: Callable[[], tuple[Tensor, ...]], **settings: float
) -> Case:
    return Case(
        title,
        lambda: (inputs(), settings),
        run=lambda function, inputs, settings: came_back(lambda: function(*inputs, **settings)),
        raises=ValueError,
        call=f"{name}(...{''.join(f', {k}={v}' for k, v in settings.items())})",
    )


def other_vocabulary() -> tuple[Tensor, Tensor, Tensor]:
    student, _, targets = scored((0, 3), n_tokens=3, vocab_size=6)
    return student, randn(1, 3, 7), targets


def shifted_teacher() -> tuple[Tensor, Tensor, Tensor]:
    student, teacher, targets = scored((0, 3), n_tokens=4, vocab_size=6)
    return student, teacher[:, 1:], targets


# --- distillation_loss ----------------------------------------------------------------------------

SOFT = "distillation_loss"
soft = token_by_token(soft_token, temperature=1.0, hard_weight=0.0)


def soft_case(title: str, *spans: tuple[int, int], n_tokens: int = 7, vocab_size: int = 5,
              gradient: bool = True, seed: int = 0, scale: float = 1.5,
              dtype: Any = torch.float32, **settings: float) -> Case:  # fmt: skip
    def inputs() -> tuple[Tensor, Tensor, Tensor]:
        return scored(*spans, n_tokens=n_tokens, vocab_size=vocab_size, seed=seed, scale=scale,
                      dtype=dtype)  # fmt: skip

    return loss_case(SOFT, soft, title, inputs, gradient, **settings)


def far_apart() -> tuple[Tensor, Tensor, Tensor]:
    """Sure of different tokens: probabilities underflow, logarithms do not."""
    student, teacher = torch.zeros(1, 2, 4), torch.zeros(1, 2, 4)
    student[0, 0, 1], teacher[0, 0, 2] = 150.0, 60.0
    student[0, 1, 3], teacher[0, 1, 3] = 90.0, -40.0
    return student, teacher, torch.tensor([[2, 3]])


DISTILLATION_LOSS = Exercise(
    "lib.distillation.distillation_loss",
    cases=[
        soft_case("one answer of 3 tokens, temperature 1", (2, 5)),
        soft_case("3 answers of unequal length", (2, 5), (1, 7), (4, 6)),
        soft_case("temperature 3", (2, 5), (1, 7), temperature=3.0),
        soft_case("temperature 0.5", (0, 4), (3, 7), temperature=0.5, seed=2),
        soft_case("a third of cross-entropy", (2, 5), (1, 7), hard_weight=1 / 3),
        soft_case("temperature 2, a quarter of cross-entropy", (2, 5), (1, 7), (6, 7),
                  temperature=2.0, hard_weight=0.25, seed=3),
        soft_case("temperature 2, cross-entropy alone", (1, 4), (0, 6), temperature=2.0,
                  hard_weight=1.0),
        soft_case("an answer of which nothing counts", (2, 5), (3, 3), temperature=1.5),
        loss_case(SOFT, soft, "each sure of another token", far_apart, temperature=2.0,
                  hard_weight=0.5),
        soft_case("bfloat16", (10, 60), (0, 33), n_tokens=64, vocab_size=40, gradient=False,
                  dtype=torch.bfloat16, temperature=1.5, hard_weight=0.3, scale=3.0),
        soft_case("float16, large logits", (4, 60), (0, 64), n_tokens=64, vocab_size=40,
                  gradient=False, dtype=torch.float16, scale=40.0, temperature=2.0),
        refused(SOFT, "a teacher of another vocabulary", other_vocabulary),
        refused(SOFT, "a teacher that read another text", shifted_teacher),
        refused(SOFT, "temperature 0", lambda: scored((0, 2), n_tokens=3, vocab_size=4),
                temperature=0.0),
    ],
    speed=lambda: scored(*[(32, 96)] * 4, n_tokens=96, vocab_size=2048),
    hints=(
        "Whose probabilities stand in front of the logarithms? The teacher's: where it holds nothing "
        "likely, nothing is asked of the student. Which places count at all?",
        "Take logits[targets != IGNORED] of both, in float32, the teacher's detached. Divide both by "
        "the temperature, log_softmax, then Σ p_T (log p_T − log p_S) over the vocabulary. The "
        "cross-entropy takes the student's logits as they are.",
        "(1 - hard_weight) * temperature**2 * kl + hard_weight * hard, for each token that counts, "
        "where hard = -token_log_probs(student, targets[counted]); give back the sum and how many "
        "count. check_logits refuses what does not fit.",
    ),
)  # fmt: skip

# --- jensen_shannon -------------------------------------------------------------------------------

MIXED = "jensen_shannon"
mixed = token_by_token(mixed_token, temperature=1.0)


def mixed_case(title: str, *spans: tuple[int, int], n_tokens: int = 7, vocab_size: int = 5,
               gradient: bool = True, seed: int = 0, scale: float = 1.5,
               dtype: Any = torch.float32, **settings: float) -> Case:  # fmt: skip
    def inputs() -> tuple[Tensor, Tensor, Tensor]:
        return scored(*spans, n_tokens=n_tokens, vocab_size=vocab_size, seed=seed, scale=scale,
                      dtype=dtype)  # fmt: skip

    return loss_case(MIXED, mixed, title, inputs, gradient, **settings)


JENSEN_SHANNON = Exercise(
    "lib.distillation.jensen_shannon",
    cases=[
        mixed_case("one answer of 3 tokens, β = 0.5", (2, 5), beta=0.5),
        mixed_case("2 answers of unequal length, β = 0.2", (2, 5), (1, 7), beta=0.2),
        mixed_case("β = 0.9", (2, 5), (1, 7), beta=0.9, seed=2),
        mixed_case("β = 0: the forward KL", (2, 5), (1, 7), (4, 6), beta=0.0),
        mixed_case("β = 1: the reverse KL", (2, 5), (1, 7), (4, 6), beta=1.0),
        mixed_case("β given as the whole number 1", (0, 4), (3, 7), beta=1, seed=3),
        mixed_case("temperature 2.5, β = 0.3", (2, 5), (1, 7), beta=0.3, temperature=2.5),
        mixed_case("temperature 0.5, β = 1", (2, 5), (1, 7), beta=1.0, temperature=0.5),
        mixed_case("temperature 2, β = 0", (0, 6), (5, 7), beta=0.0, temperature=2.0, seed=4),
        mixed_case("β = 0.0005, an answer of which nothing counts", (2, 5), (3, 3), beta=0.0005),
        loss_case(MIXED, mixed, "each sure of another token, β = 0.4", far_apart, beta=0.4,
                  gradient=False),
        mixed_case("bfloat16", (10, 60), (0, 33), n_tokens=64, vocab_size=40, gradient=False,
                   dtype=torch.bfloat16, beta=0.1, scale=3.0),
        mixed_case("float16, large logits", (4, 60), (0, 64), n_tokens=64, vocab_size=40,
                   gradient=False, dtype=torch.float16, scale=40.0, beta=0.3),
        refused(MIXED, "a teacher of another vocabulary", other_vocabulary, beta=0.5),
        refused(MIXED, "β = 1.5", lambda: scored((0, 2), n_tokens=3, vocab_size=4), beta=1.5),
        refused(MIXED, "β = −0.1", lambda: scored((0, 2), n_tokens=3, vocab_size=4), beta=-0.1),
    ],
    speed=lambda: (*scored(*[(32, 96)] * 4, n_tokens=96, vocab_size=2048), 0.5),
    hints=(
        "Three cases: between the ends, and at each of them. What would the formula give for β = 0, "
        "whatever the two models say? Which KL is meant to stand there?",
        "With log_p of the teacher and log_q of the student, the mixture's logarithm is "
        "torch.logaddexp(log_p + log β, log_q + log(1 − β)). A KL is Σ exp(log_a)·(log_a − log_b), "
        "and β weighs the teacher's, 1 − β the student's.",
        "beta == 0: exp(log_p)·(log_p − log_q); beta == 1: exp(log_q)·(log_q − log_p); else "
        "beta·exp(log_p)·(log_p − log_m) + (1 − beta)·exp(log_q)·(log_q − log_m); the sum over what "
        "counts, and how many. In float32, the teacher detached, β outside of 0 … 1 refused.",
    ),
)  # fmt: skip

# --- on_policy_batch ------------------------------------------------------------------------------

VOCAB = 11
PROMPTS = [[3, 1, 4], [1, 5, 9, 2, 6], [5]]


def tiny(
    seed: int, n_layer: int = 1, vocab_size: int = VOCAB, kind: type[Transformer] = Transformer
) -> Transformer:
    """A model of some hundred parameters, sure enough of itself that it matters whose it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind(Config(vocab_size, d_model=8, n_layer=n_layer, n_head=2, n_context=16))
    with torch.no_grad():
        model.embedding.weight.mul_(12.0)
    return model


class Forgetful(Transformer):
    """A teacher with dropout: in train mode it says something else each time."""

    def forward(self, *inputs: Any, **more: Any) -> Tensor:
        return F.dropout(super().forward(*inputs, **more), 0.5, self.training)


def asked(function: Callable[..., Any], n_new: int, settings: dict[str, Any],
          training: bool = True) -> Any:  # fmt: skip
    """What the batch holds, and what became of the models."""
    student, teacher = tiny(1), tiny(2, n_layer=2, kind=Forgetful).train(training)
    student.train(training)
    chance = torch.Generator().manual_seed(4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of the dropout, if it is on
        batch = function(student, teacher, PROMPTS, n_new, generator=chance, **settings)
    if not isinstance(batch, dict) or set(batch) != {"inputs", "targets", "teacher_logits"}:
        return batch
    inputs, targets, logits = (batch[key] for key in ("inputs", "targets", "teacher_logits"))
    if not isinstance(logits, Tensor) or logits.shape[:-1] != targets.shape or logits.ndim != 3:
        return inputs, targets, logits
    likely = logits.detach()[targets != IGNORED].softmax(dim=-1)  # by a constant logits may differ
    return {
        "inputs": inputs,
        "targets": targets,
        "teacher's probabilities where a target counts": likely,
        "the teacher's logits": "carry a gradient" if logits.requires_grad else "carry no gradient",
        "student and teacher are in train mode": (student.training, teacher.training),
        "gradient can flow through a loss": flows(logits),
    }


def flows(logits: Tensor) -> bool:
    """Whether these logits may be part of a loss (those made in inference mode may not)."""
    weight = torch.ones((), requires_grad=True)
    try:
        (weight * logits).sum().backward()
    except RuntimeError:
        return False
    return True


def one_after_the_other(n_new: int, settings: dict[str, Any], training: bool = True) -> Any:
    """The student's texts; then the teacher reads each by itself."""
    student, teacher = tiny(1), tiny(2, n_layer=2)
    chance = torch.Generator().manual_seed(4)
    made = rollout(student, PROMPTS, n_new, generator=chance, **settings)
    likely = []
    for prompt, answer in zip(made.prompts, made.answers):
        with torch.no_grad():
            logits = teacher(torch.tensor([[*prompt, *answer][:-1]]))[0, len(prompt) - 1 :]
        likely.append(logits.softmax(dim=-1))
    return {
        "inputs": made.inputs,
        "targets": made.targets,
        "teacher's probabilities where a target counts": torch.cat(likely),
        "the teacher's logits": "carry no gradient",
        "student and teacher are in train mode": (training, training),
        "gradient can flow through a loss": True,
    }


def asked_case(title: str, n_new: int, training: bool = True, **settings: Any) -> Case:
    shown = "".join(f", {k}={v}" for k, v in settings.items())
    return Case(
        title,
        lambda: (n_new, settings, training),
        run=asked,
        expected=one_after_the_other,
        call=f"on_policy_batch(student, teacher, prompts, {n_new}, generator=...{shown})",
    )


def with_other_teacher(function: Callable[..., Any], n_new: int) -> str:
    student, teacher = tiny(1), tiny(2, vocab_size=VOCAB + 2)
    return came_back(lambda: function(student, teacher, PROMPTS, n_new))


ON_POLICY_BATCH = Exercise(
    "lib.distillation.on_policy_batch",
    cases=[
        asked_case("3 prompts of unequal length, 4 new tokens", 4),
        asked_case("answers that stop", 6, stop=(0, 7, 8)),
        asked_case("temperature 0.4", 5, temperature=0.4),
        asked_case("temperature 3, answers that stop, models in eval mode", 6, training=False,
                   temperature=3.0, stop=(2, 10)),
        asked_case("1 new token", 1),
        Case("a teacher of another vocabulary", lambda: (3,), run=with_other_teacher,
             raises=ValueError, call="on_policy_batch(student, teacher, prompts, 3)"),
    ],
    hints=(
        "Who writes, and who only reads? Whose mistakes is the student to learn from?",
        "rollout(student, ...) gives inputs and targets as a loss wants them. The teacher reads the "
        "same inputs. What must be switched off while it reads, and be as before afterwards?",
        "with reading(teacher): logits = teacher(written.inputs); that is eval mode and no gradient. "
        "Clone them outside of the block, or no loss can use them. check_vocabularies refuses a teacher "
        "whose tokens are others.",
    ),
)  # fmt: skip

# --- rationale_examples ---------------------------------------------------------------------------


def questions() -> list[Question]:
    """Three questions, of four options, of four and of three; the third without a story."""
    return [
        Question("Cora gave the kite to Ted.", "Who has the kite at the end?",
                 ("Cora", "Ted", "Ada", "Otto"), 1),
        Question("Max was a hare. He found the flute under a desk.", "What is Max?",
                 ("a fox", "an owl", "a hen", "a hare"), 3),
        Question("", "Where do people keep milk?", ("in a fridge", "in a shoe", "on a hill"), 0),
    ]  # fmt: skip


def reasons() -> list[list[str]]:
    return [
        ["Cora gave it away.", "Cora gave the kite to Ted.", "Ada is not in the story.",
         "Otto is not in the story."],
        ["Max is not a fox.", "Max is not an owl.", "", "Max was a hare."],
        ["It stays cold there.", "Milk would run out.", "It would turn sour."],
    ]  # fmt: skip


def by_the_rule(
    questions: Sequence[Question],
    answers: Sequence[int | None],
    reasons: Sequence[Sequence[str]],
    weight: float = 1.0,
    every_option: bool = False,
) -> list[dict[str, Any]]:
    """Written out, line by line."""
    found: list[dict[str, Any]] = []
    for number, question in enumerate(questions):
        if answers[number] is None or answers[number] != question.right:
            continue
        lines = [question.story] if question.story else []
        lines += ["Question: " + question.question]
        lines += ["ABCD"[i] + ". " + option for i, option in enumerate(question.options)]
        text = "\n".join(lines) + "\n"
        found.append({"task": "label", "prompt": text + "Answer:",
                      "answer": " " + "ABCD"[question.right], "weight": 1.0})  # fmt: skip
        if weight == 0:
            continue
        if every_option:
            said = [(f"Reason for {'ABCD'[i]}:", why) for i, why in enumerate(reasons[number])]
        else:
            said = [("Reason:", reasons[number][question.right])]
        said = [(task, why.strip()) for task, why in said if why.strip() != ""]
        for task, why in said:
            found.append({"task": "rationale", "prompt": text + task, "answer": " " + why,
                          "weight": weight / len(said)})  # fmt: skip
    return found


def taught(title: str, answers: list[int | None], **settings: Any) -> Case:
    shown = "".join(f", {k}={v}" for k, v in settings.items())
    return Case(
        title,
        lambda: (questions(), answers, reasons()),
        run=lambda function, *given: function(*given, **settings),
        expected=lambda *given: by_the_rule(*given, **settings),
        call=f"rationale_examples(questions, {answers}, reasons{shown})",
    )


def not_taught(title: str, cut: Callable[[], tuple[Any, ...]], **settings: Any) -> Case:
    return Case(
        title,
        cut,
        run=lambda function, *given: came_back(lambda: function(*given, **settings)),
        raises=ValueError,
        call=f"rationale_examples(...{''.join(f', {k}={v}' for k, v in settings.items())})",
    )


def many_questions() -> tuple[list[Question], list[int | None], list[list[str]]]:
    return questions() * 400, [1, 3, 0] * 400, reasons() * 400


RATIONALE_EXAMPLES = Exercise(
    "lib.distillation.rationale_examples",
    cases=[
        taught("the teacher is right about all three", [1, 3, 0]),
        taught("the teacher is wrong about the first", [0, 3, 0]),
        taught("it has chosen nothing the second and the third time", [1, None, None]),
        taught("λ = 0.5", [1, 3, 0], weight=0.5),
        taught("reasons for every option, of which one is blank", [1, 3, 0], every_option=True),
        taught("the same, λ = 3, one wrong", [1, 3, 1], weight=3.0, every_option=True),
        taught("λ = 0: answers only", [1, 3, 0], weight=0.0),
        Case(
            "no reason for the right option",
            lambda: (questions()[:1], [1], [["No.", " ", "No.", "No."]]),
            expected=by_the_rule,
        ),
        Case(
            "no reasons at all, every option",
            lambda: (questions()[:1], [1], [["", "", " ", ""]]),
            run=lambda function, *given: function(*given, every_option=True),
            expected=lambda q, a, r: by_the_rule(q, a, r, every_option=True),
            call="rationale_examples(questions, [1], reasons, every_option=True)",
        ),
        Case(
            "the teacher is wrong about everything",
            lambda: (questions(), [2, 2, 2], reasons()),
            expected=by_the_rule,
        ),
        not_taught("2 answers to 3 questions", lambda: (questions(), [1, 3], reasons())),
        not_taught("3 reasons for 4 options",
                   lambda: (questions()[:1], [1], [["a", "b", "c"]])),
        not_taught("a weight below 0", lambda: (questions(), [1, 3, 0], reasons()), weight=-1.0),
    ],
    speed=many_questions,
    hints=(
        "What does the student see at test? Then what may stand before the answer in training? And "
        "what is a reason worth that led to a wrong answer?",
        'Skip a question unless the teacher chose question.right. Then one dict for the label, from '
        'question.prompt("Answer:"), and one for the reason, from question.prompt("Reason:"): the '
        "same text but for its last line.",
        "With every_option, pairs of f\"Reason for {letter}:\" and a reason, by zip(LETTERS, whys). "
        "Keep those whose reason is not blank once stripped; each weighs weight / len(kept). Answers "
        "begin with a space. check_taught refuses what does not fit.",
    ),
)  # fmt: skip

"""The parts of `lib.distillation` that no exercise builds: examples as batches, teachers of two
families, equal amounts of training, what is measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypedDict, cast

import torch
from einops import reduce
from torch import Tensor, nn

from lib._distillation_choices import end_of_text, write
from lib.attention import causal_mask
from lib.corpora.quiz import Question
from lib.generation import reading
from lib.sft import pad_conversations, token_log_probs
from lib.tokenizer import GPT2_PATTERN, PATTERN, Tokenizer
from lib.training import IGNORED, Loss
from lib.transformer import Config, Transformer


class Example(TypedDict):
    """Something to learn, as text: any student's tokenizer can read it.

    "task" says what sort it is; the student goes on from "prompt" with "answer", which begins with
    a space; "weight" is how much the example counts.
    """

    task: str
    prompt: str
    answer: str
    weight: float


# --- batches --------------------------------------------------------------------------------------


def example_batch(examples: Sequence[Example], tokenizer: Tokenizer) -> dict[str, Tensor]:
    """Examples as one batch, padded on the right. Each answer ends with the end of the text.

    Returns:
        "inputs" (b t); "targets" (b t), IGNORED outside of the answers; "weights" (b).

    Raises:
        ValueError: there are no examples, or the tokenizer has no token that ends a text.
    """
    if not examples:
        raise ValueError("a batch needs at least one example, got none")
    texts, masks = [], []
    for example in examples:
        prompt, answer = _encoded(example, tokenizer)
        texts.append([*prompt, *answer])
        masks.append([False] * len(prompt) + [True] * len(answer))
    rows = pad_conversations(texts, masks)
    weights = torch.tensor([example["weight"] for example in examples], dtype=torch.float32)
    return {"inputs": rows["inputs"], "targets": rows["targets"], "weights": weights}


def _encoded(example: Example, tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    prompt = tokenizer.encode_ordinary(example["prompt"])
    answer = tokenizer.encode_ordinary(example["answer"])
    return prompt, [*answer, end_of_text(tokenizer)]


def example_batches(
    examples: Sequence[Example], tokenizer: Tokenizer, batch_size: int = 16, seed: int = 0
) -> list[dict[str, Tensor]]:
    """All examples in batches of `batch_size`, for `lib.dpo.in_turn`: examples of about the same
    length together, which saves padding, and the batches shuffled."""
    chance = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(examples), generator=chance).tolist()
    order.sort(key=lambda i: len(examples[i]["prompt"]) + len(examples[i]["answer"]))
    firsts = range(0, len(order), batch_size)
    batches = [
        example_batch([examples[i] for i in order[first : first + batch_size]], tokenizer)
        for first in firsts
    ]
    return [batches[i] for i in torch.randperm(len(batches), generator=chance).tolist()]


def example_loss(average: Literal["example", "token"] = "example") -> Loss:
    """A loss on batches of `example_batch`.

    Args:
        average: "example": the mean over the tokens of each answer, times its weight; so labels and
            reasons count as their weights say, however long they are: L_label + λ L_rationale.
            "token": every token of an answer counts its weight, as is usual for whole texts.

    Raises:
        ValueError: it is neither.
    """
    if average not in ("example", "token"):
        raise ValueError(f'average is "example" or "token", got {average!r}')

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        targets, counted = batch["targets"], batch["targets"] != IGNORED
        head = cast(Any, model).head
        logits = model(batch["inputs"], head=lambda x: head(x[counted]))  # (n v)
        found = -token_log_probs(logits, targets[counted])
        losses = torch.zeros(targets.shape, device=targets.device).masked_scatter(counted, found)
        sums = reduce(losses, "b t -> b", "sum") * batch["weights"]
        if average == "token":
            return sums.sum(), int(counted.sum())
        return (sums / counted.sum(dim=1).clamp(min=1)).sum(), len(targets)

    return loss


def matched_logits(
    model: nn.Module, teacher: nn.Module | None, batch: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of student and teacher (1 n v) and targets (1 n), where targets count."""
    rows = batch if isinstance(batch, dict) else {"inputs": batch[0], "targets": batch[1]}
    inputs, targets = rows["inputs"], rows["targets"]
    counted = targets != IGNORED
    positions = mask = None
    if "conversation" in rows:  # packed: nobody looks at another conversation
        place, positions = rows["conversation"], rows["positions"]
        same = place[:, :, None] == place[:, None, :]
        mask = (same & causal_mask(inputs.size(1), device=inputs.device))[:, None]

    def read(reader: nn.Module) -> Tensor:
        head = cast(Any, reader).head
        logits: Tensor = reader(inputs, positions, mask, head=lambda x: head(x[counted]))
        return logits[None]

    if "teacher_logits" in rows:
        scores = rows["teacher_logits"][counted][None]
    elif teacher is None:
        raise ValueError("the batch has no teacher_logits: give the objective a teacher")
    else:
        with reading(teacher, len(inputs)):
            scores = read(teacher)
        scores = scores.clone()
    return read(model), scores, targets[counted][None]


# --- sequence level -------------------------------------------------------------------------------


def sequence_level_examples(
    teacher: Transformer,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    max_new_tokens: int,
    temperature: float = 0.0,
    at_once: int = 64,
    seed: int = 0,
) -> list[Example]:
    """What a teacher writes, as examples: no vocabulary need be shared. Kim and Rush 2016 (arXiv
    1606.07947), who take the teacher's likeliest text.

    Args:
        teacher: writes.
        tokenizer: of the teacher.
        prompts: as texts.
        max_new_tokens: how long a text may be.
        temperature: 0 takes the likeliest token each time.
        at_once: how many are written together.
        seed: of all chance.

    Returns:
        An example for each prompt, of the task "text"; none where nothing was written.
    """
    texts = write(teacher, tokenizer, prompts, max_new_tokens, temperature, at_once, seed)
    return [
        {"task": "text", "prompt": prompt, "answer": text, "weight": 1.0}
        for prompt, text in zip(prompts, texts)
        if text.strip()
    ]


# --- equal amounts --------------------------------------------------------------------------------


def count_tokens(examples: Iterable[Example], tokenizer: Tokenizer) -> int:
    """How many tokens a student reads, prompts, answers and their ends together."""
    return sum(map(len, (ids for e in examples for ids in _encoded(e, tokenizer))))


def fill_tokens(
    examples: Sequence[Example], tokenizer: Tokenizer, n_tokens: int, seed: int = 0
) -> list[Example]:
    """Examples of so many tokens together: the control without which more text looks like better
    text.

    They are shuffled; if there are too few, they come again in another order. The last one that
    would not fit is left out, so the number is missed by less than one example.

    Raises:
        ValueError: there are no examples, or not one fits.
    """
    sizes = [count_tokens([example], tokenizer) for example in examples]
    if not sizes or min(sizes) > n_tokens:
        raise ValueError(f"expected examples of at most {n_tokens} tokens, got {sizes[:3]}")
    chance = torch.Generator().manual_seed(seed)
    chosen: list[Example] = []
    left = n_tokens
    while True:
        for i in torch.randperm(len(examples), generator=chance).tolist():
            if sizes[i] > left:
                return chosen
            chosen.append(examples[i])
            left -= sizes[i]


# --- two families ---------------------------------------------------------------------------------

FAMILIES: dict[str, dict[str, Any]] = {
    "qwen": {},
    "gpt": {
        "norm": "layer", "norm_eps": 1e-5, "bias": True, "position": "learned", "gated": False,
        "activation": "gelu_tanh", "qk_norm": False,
    },
}  # fmt: skip
"""What models of a family have in common: "qwen" is as Qwen3, "gpt" as GPT-2."""


def family_config(
    family: str, size: str, vocab_size: int, n_context: int = 384, **changes: Any
) -> Config:
    """The shape of a model of a family: rotary positions, RMS norms and gates, or learnt positions,
    layer norms, biases and none.

    Args:
        family: "qwen" or "gpt".
        size: as for `Config.of_size`.
        vocab_size: of its tokenizer.
        n_context: tokens it reads at once.
        changes: other settings.

    Raises:
        ValueError: there is no such family or size.
    """
    if family not in FAMILIES:
        raise ValueError(f"the families are {', '.join(FAMILIES)}; got {family!r}")
    settings = {**FAMILIES[family], **changes}
    if family == "gpt":
        settings.setdefault("n_kv_head", None)  # as many as query heads
    return Config.of_size(size, vocab_size, n_context=n_context, **settings)


def family_tokenizer(
    family: str, texts: Iterable[str], vocab_size: int, special_tokens: Sequence[str] = ()
) -> Tokenizer:
    """A tokenizer of a family, trained on texts: "qwen" takes digits one by one, "gpt" cuts as
    GPT-2 did. Other texts or another size make them differ more.

    Args:
        family: "qwen" or "gpt".
        texts: what it is trained on.
        vocab_size: how many tokens, special ones counted.
        special_tokens: beside <|endoftext|>.
    """
    if family not in FAMILIES:
        raise ValueError(f"the families are {', '.join(FAMILIES)}; got {family!r}")
    special = list(dict.fromkeys(["<|endoftext|>", *special_tokens]))
    pattern = PATTERN if family == "qwen" else GPT2_PATTERN
    return Tokenizer.train(texts, vocab_size, special, pattern)


# --- what is measured -----------------------------------------------------------------------------


def score_texts(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """How alike texts are, from 0 to 1.

    Returns:
        "exact_match", the share that are equal but for capitals and spaces; "bleu" of the whole
        (Papineni et al. 2002) as sacrebleu computes it, divided by 100; "rouge_l", the mean F-score
        of the longest common subsequence (Lin 2004), as rouge-score computes it.

    Raises:
        ValueError: there is not one reference for each of at least one prediction.
        ImportError: the two packages are not there; the message says how to get them.
    """
    if not predictions or len(predictions) != len(references):
        raise ValueError(
            "expected one reference for each of at least one prediction, got "
            f"{len(predictions)} predictions and {len(references)} references"
        )
    try:
        import sacrebleu
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        raise ImportError(
            "BLEU and ROUGE come from two packages: pip install sacrebleu rouge-score"
        ) from None
    pairs = list(zip(predictions, references))
    scorer = RougeScorer(["rougeL"])
    rouge = [scorer.score(reference, text)["rougeL"].fmeasure for text, reference in pairs]
    return {
        "exact_match": statistics.fmean(_plain(text) == _plain(other) for text, other in pairs),
        "bleu": sacrebleu.corpus_bleu(list(predictions), [list(references)]).score / 100,
        "rouge_l": statistics.fmean(rouge),
    }


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def share_kept(student: float, teacher: float, chance: float = 0.0) -> float:
    """How much of its teacher's accuracy a student has kept.

    Args:
        student: its accuracy.
        teacher: the teacher's.
        chance: what guessing earns, which nobody need inherit: 0.25 with four options.

    Raises:
        ValueError: the teacher is no better than chance.

    >>> share_kept(0.55, 0.85, chance=0.25)
    0.5
    """
    if teacher <= chance:
        raise ValueError(f"a teacher of {teacher} is no better than chance, {chance}")
    return round((student - chance) / (teacher - chance), 12)


class Interval(NamedTuple):
    """An estimate, and the interval that holds the true value in 95 of 100 such experiments."""

    estimate: float
    low: float
    high: float


_T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179,
          2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086)  # fmt: skip
"""Quantiles of Student's t for 1, 2, ... degrees of freedom."""


def interaction(scores: Mapping[tuple[str, str], Sequence[float]]) -> Interval:
    """In a 2 × 2 of students and teachers of two families: how much better is one's own family?

    Of each seed, half of (own + own − other − other): what is left when good students and good
    teachers are taken out. Over the seeds, the mean and its t-interval at 95 %.

    Args:
        scores: (student's family, teacher's family) to the scores, one a seed, in the same order in
            all four cells.

    Raises:
        ValueError: there are not four cells of two families, with the same two seeds at least.

    >>> cells = {("a", "a"): [0.8, 0.9], ("b", "b"): [0.7, 0.7],
    ...          ("a", "b"): [0.7, 0.8], ("b", "a"): [0.6, 0.6]}
    >>> interaction(cells).estimate
    0.1
    """
    families = sorted({family for cell in scores for family in cell})
    lengths = {len(values) for values in scores.values()}
    if len(families) != 2 or len(scores) != 4 or len(lengths) != 1 or min(lengths) < 2:
        raise ValueError(
            "expected four cells of two families, each with the same two seeds at least; got "
            f"{ {cell: len(values) for cell, values in scores.items()} }"
        )
    a, b = families
    effects = [
        (aa + bb - ab - ba) / 2
        for aa, bb, ab, ba in zip(scores[a, a], scores[b, b], scores[a, b], scores[b, a])
    ]
    n, mean = len(effects), statistics.fmean(effects)
    t = _T_975[n - 2] if n - 2 < len(_T_975) else 1.96
    half = t * statistics.stdev(effects) / math.sqrt(n)
    return Interval(round(mean, 12), mean - half, mean + half)


# --- arguments ------------------------------------------------------------------------------------


def check_logits(student: Tensor, teacher: Tensor, targets: Tensor, temperature: float) -> None:
    """Raises `ValueError` if logits and targets do not fit, or the temperature is not above 0."""
    if student.shape[-1] != teacher.shape[-1]:
        raise ValueError(
            f"the student scores {student.shape[-1]} tokens, the teacher {teacher.shape[-1]}: "
            "without a common vocabulary, learn from its texts (sequence_level_examples)"
        )
    if student.shape != teacher.shape or student.shape[:-1] != targets.shape:
        raise ValueError(
            f"expected logits (b t v) twice and targets (b t), got {tuple(student.shape)}, "
            f"{tuple(teacher.shape)} and {tuple(targets.shape)}"
        )
    if temperature <= 0:
        raise ValueError(f"expected a temperature above 0, got {temperature}")


def check_vocabularies(student: Transformer, teacher: Transformer) -> None:
    """Raises `ValueError` unless both models have equally many tokens."""
    ours, theirs = student.config.vocab_size, teacher.config.vocab_size
    if ours != theirs:
        raise ValueError(
            f"the teacher has {theirs} tokens, the student {ours}: without a common vocabulary, "
            "learn from its texts (sequence_level_examples)"
        )


def check_taught(
    questions: Sequence[Question],
    answers: Sequence[int | None],
    reasons: Sequence[Sequence[str]],
    weight: float,
) -> None:
    """Raises `ValueError` unless there are an answer and the reasons of all options each time."""
    if not len(questions) == len(answers) == len(reasons):
        raise ValueError(
            f"expected an answer and reasons for each of {len(questions)} questions, got "
            f"{len(answers)} answers and {len(reasons)} times reasons"
        )
    for number, (question, whys) in enumerate(zip(questions, reasons)):
        if len(whys) != len(question.options):
            raise ValueError(
                f"question {number} has {len(question.options)} options and {len(whys)} reasons: "
                "expected one for each option, empty where the teacher gave none"
            )
    if weight < 0:
        raise ValueError(f"expected a weight of 0 or more, got {weight}")

"""Students and teachers of lesson "distillation", more of them than a notebook has time for.

    python -m lib.course.distillation_study

Three questions, a "part" each. "families": teachers of two families that are equally good write
stories, and a student of either family learns from the texts. "reasons": does `mini` learn to
answer the quiz from answers alone, or from answers and reasons, at equally many tokens? "sizes":
how much of `mini` is left in students with some of its blocks, and does it matter which divergence
they learn by? Lessons read it by `study("distillation")`. Runs that are there already are not run
again.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lib.checkpoint import DATA, load, load_tokenizer, shipped
from lib.corpora import read
from lib.corpora.quiz import Question, in_short, quiz
from lib.corpora.town import check_story
from lib.course.studies import run_missing
from lib.distillation import (
    Example,
    choose_by_generation,
    count_tokens,
    distillation_objective,
    example_batches,
    example_loss,
    explain,
    family_config,
    family_tokenizer,
    fill_tokens,
    rationale_examples,
    sequence_level_examples,
    share_right,
)
from lib.dpo import in_turn
from lib.generation import reading
from lib.ngram import bits_per_byte
from lib.optim import make_optimizer
from lib.tokenizer import Tokenizer
from lib.training import (
    Loss,
    best_precision,
    document_starts,
    encode_documents,
    evaluate_loss,
    next_token_batch,
    train,
)
from lib.transformer import Transformer

Spec = dict[str, Any]

PATH = DATA / "studies" / "distillation.json"
SEEDS = (0, 1, 2)
END = "<|endoftext|>"


def specs() -> list[Spec]:
    """The runs, the cheapest questions first."""
    families = [{"part": "families", "teacher": family, "seed": seed}
                for seed in SEEDS for family in ("qwen", "gpt")]  # fmt: skip
    reasons = [{"part": "reasons", "with_reasons": taught, "seed": seed}
               for seed in SEEDS for taught in (False, True)]  # fmt: skip
    sizes = [{"part": "sizes", "layers": list(layers), "loss": loss, "seed": 0}
             for layers, loss in LEFT]  # fmt: skip
    return [*families, *reasons, *sizes]


LEFT: list[tuple[tuple[int, ...], str]] = [
    ((0,), "forward"), ((0, 3), "forward"), ((0, 2, 4), "forward"), ((0, 2, 4), "reverse"),
    ((0, 2, 4), "at 4"),
]  # fmt: skip
"""Which of `mini`'s blocks are left, and what the student learns by."""


# --- two families ---------------------------------------------------------------------------------

GOOD_ENOUGH = 1.15
"""Bits a byte on unread stories at which a teacher stops to learn: so all are equally good."""
TEACHER: Spec = {"d_model": 64, "n_layer": 3}
STUDENT: Spec = {"d_model": 64, "n_layer": 2}
N_WRITTEN, N_TAUGHT = 256, 120
"""Stories that a teacher writes, and steps that a student learns."""


@cache
def _village(split: str, n: int, seed: int = 0) -> tuple[str, ...]:
    return tuple(read("town", part="village", split=split, size=n, seed=seed))


@cache
def _tokenizer(family: str) -> Tokenizer:
    return family_tokenizer(family, _village("train", 400), 512)


@cache
def _encoded(family: str, split: str, n: int) -> tuple[Tensor, Tensor]:
    tokenizer = _tokenizer(family)
    tokens = encode_documents(_village(split, n), tokenizer, progress=False)
    return tokens, document_starts(tokens, tokenizer.special_tokens[END])


def _bits(model: Any, family: str, n: int = 60) -> float:
    tokens, starts = _encoded(family, "held_out", n)
    loss = evaluate_loss(model, tokens, 256, starts=starts)
    return bits_per_byte(loss, len(tokens), sum(len(t.encode()) for t in _village("held_out", n)))


def _new(family: str, shape: Spec, seed: int) -> Transformer:
    torch.manual_seed(seed)
    size = _tokenizer(family).vocab_size
    return Transformer(family_config(family, "nano", size, n_context=320, **shape))


def _draw(tokens: Tensor, starts: Tensor, n_context: int = 192) -> Callable[..., Any]:
    def draw(step: int, chance: torch.Generator) -> tuple[Tensor, Tensor]:
        return next_token_batch(tokens, 16, n_context, chance, starts)

    return draw


def _good_teacher(family: str, seed: int, target: float, longest: int) -> tuple[Transformer, int]:
    """A teacher that has read the village until it is good enough, and for how many steps."""
    model = _new(family, TEACHER, seed)
    draw = _draw(*_encoded(family, "train", 3000))
    optimizer = make_optimizer(model, "muon", lr=0.02, embedding_lr=0.01)
    done, bits = 0, 9.0
    while done < longest and bits > target:
        n_steps = 20 if bits > target + 0.15 else 5  # smaller pieces towards the end
        train(model, draw, n_steps, optimizer, schedule=_warmed_up(done),
              precision=best_precision(), seed=1000 * seed + done, progress=False)  # fmt: skip
        done, bits = done + n_steps, _bits(model, family)
    return model, done


def _warmed_up(done: int) -> Callable[[int], float]:
    return lambda step: min(1.0, (done + step + 1) / 20)


def _families(spec: Spec, quick: bool) -> Spec:
    """A teacher writes stories, its slips are counted; a student of either family reads them."""
    family, seed = spec["teacher"], spec["seed"]
    teacher, steps = _good_teacher(family, seed, GOOD_ENOUGH, 20 if quick else 600)
    n = 16 if quick else N_WRITTEN
    prompts = [" ".join(story.split()[:5]) for story in _village("train", 3000 + n)[3000:]]
    written = sequence_level_examples(teacher, _tokenizer(family), prompts, 8 if quick else 200,
                                      temperature=0.5, at_once=128, seed=seed)  # fmt: skip
    texts = [example["prompt"] + example["answer"] for example in written]
    found: Spec = {"teacher_steps": steps, "teacher_bits": _bits(teacher, family)}
    found["with_slip"] = statistics.fmean(not check_story(text).consistent for text in texts)
    for student in ("qwen", "gpt"):
        tokenizer, model = _tokenizer(student), _new(student, STUDENT, seed + 10)
        tokens = encode_documents(texts, tokenizer, progress=False)
        starts = document_starts(tokens, tokenizer.special_tokens[END])
        train(model, _draw(tokens, starts, 32 if quick else 192), 2 if quick else N_TAUGHT,
              make_optimizer(model, "muon", lr=0.02, embedding_lr=0.01),
              precision=best_precision(), seed=seed, progress=False)  # fmt: skip
        found[student] = _bits(model, student)
    return found


# --- reasons --------------------------------------------------------------------------------------

N_TOKENS, N_ASKED = 80_000, 240
"""Tokens that a student reads, with reasons or without; questions that it is asked."""


def in_words(examples: Sequence[Example], questions: Sequence[Question]) -> list[Example]:
    """The same examples, but a label names the option itself in place of its letter."""
    named = {question.prompt("Answer:"): question.answer for question in questions}
    return [
        {**e, "answer": f" {named[e['prompt']]}"} if e["task"] == "label" else e for e in examples
    ]


@cache
def _questions(n: int, split: str) -> tuple[Question, ...]:
    return tuple(in_short(quiz(i, split, kinds=("kind_of_one",))) for i in range(n))


def _reasons(spec: Spec, quick: bool) -> Spec:
    """`mini` learns the quiz in short from answers in words, or from answers and reasons."""
    model, tokenizer = load(shipped("mini")), load_tokenizer(shipped("mini"))
    taught = _questions(64 if quick else 2500, "train")
    asked = _questions(8 if quick else N_ASKED, "held_out")
    examples = rationale_examples(
        taught, [q.right for q in taught], [q.reasons for q in taught],
        weight=1.0 if spec["with_reasons"] else 0.0,
    )  # fmt: skip
    examples = in_words(examples, taught)
    chosen = fill_tokens(examples, tokenizer, 3000 if quick else N_TOKENS, spec["seed"])
    batches = example_batches(chosen, tokenizer, 16, spec["seed"])

    def measure(model: Any) -> dict[str, float]:
        options = choose_by_generation(model, tokenizer, asked, 8)
        there = [o is not None and q.options[o] in q.story for q, o in zip(asked, options)]
        return {"accuracy": share_right(asked, options), "told_of": statistics.fmean(there)}

    history = train(
        model, in_turn(batches, spec["seed"]), len(batches),
        make_optimizer(model, "muon", lr=0.01, embedding_lr=0.005), example_loss(),
        precision=best_precision(), evaluate=measure, evaluate_every=max(1, -(-len(batches) // 4)),
        seed=spec["seed"], progress=False,
    )  # fmt: skip
    found: Spec = {"tokens": count_tokens(chosen, tokenizer), "examples": len(chosen)}
    if spec["with_reasons"]:
        some = asked[:60]
        whys = explain(model, tokenizer, some, 24, every_option=False)
        found["good_reasons"] = statistics.fmean(
            q.check_reason(q.right, why[q.right]).right for q, why in zip(some, whys)
        )
    names = ("accuracy", "told_of")
    return {**found, "steps": history.steps("accuracy"),
            **{name: history.column(name) for name in names}}  # fmt: skip


# --- sizes ----------------------------------------------------------------------------------------


def with_layers(model: Transformer, layers: Sequence[int]) -> Transformer:
    """A copy of a model that has only some of its blocks."""
    smaller = Transformer(dataclasses.replace(model.config, n_layer=len(layers)))
    found = smaller.state_dict()
    for name in found:
        there = name.split(".")
        if there[0] == "blocks":
            there[1] = str(layers[int(there[1])])
        found[name] = model.state_dict()[".".join(there)]
    smaller.load_state_dict(found)
    return smaller


def _sizes(spec: Spec, quick: bool) -> Spec:
    """Some blocks of `mini` learn stories anew, from texts or from `mini`."""
    mini, tokenizer = load(shipped("mini")), load_tokenizer(shipped("mini"))
    stories = list(read("town", size=60 if quick else 1500, seed=50))
    unread = list(read("town", split="held_out", size=60))
    tokens, rest = (
        encode_documents(texts, tokenizer, progress=False) for texts in (stories, unread)
    )
    end = tokenizer.special_tokens[END]
    n_bytes, starts = sum(len(text.encode()) for text in unread), document_starts(rest, end)

    def right(model: Transformer) -> float:
        """The share of unread tokens of which the model holds the true one for likeliest."""

        def hits(model: Any, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, int]:
            counted = batch[1] >= 0
            found = (model(batch[0]).argmax(dim=-1) == batch[1]) & counted
            return found.sum().float(), int(counted.sum())

        with reading(model, 16):
            return evaluate_loss(model, rest, 192, loss=hits, starts=starts)

    student = with_layers(mini, spec["layers"])
    losses: dict[str, Loss] = {
        "forward": distillation_objective(mini),
        "reverse": distillation_objective(mini, beta=1),
        "at 4": distillation_objective(mini, temperature=4.0),
    }  # fmt: skip
    draw = _draw(tokens, document_starts(tokens, end), 32 if quick else 192)
    train(student, draw, 2 if quick else 25,
          make_optimizer(student, "muon", lr=0.01, embedding_lr=0.003), losses[spec["loss"]],
          precision=best_precision(), seed=spec["seed"], progress=False)  # fmt: skip
    return {
        "parameters": sum(p.numel() for p in student.parameters()),
        "bits": bits_per_byte(evaluate_loss(student, rest, 192, starts=starts), len(rest), n_bytes),
        "right": right(student), "teacher_right": right(mini),
    }  # fmt: skip


# --- runs -----------------------------------------------------------------------------------------

PARTS: dict[str, Callable[[Spec, bool], Spec]] = {
    "families": _families, "reasons": _reasons, "sizes": _sizes,
}  # fmt: skip


def run(spec: Spec, quick: bool = False) -> Spec:
    """One run: the spec, what was measured, and "seconds".

    Args:
        spec: see `specs`.
        quick: hardly any steps: to see that it runs.
    """
    start = time.process_time()
    torch.manual_seed(spec["seed"])
    found = PARTS[spec["part"]](spec, quick)
    record = {**spec, **found, "seconds": time.process_time() - start}
    return {name: _rounded(value) for name, value in record.items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(x) for x in value]
    return round(value, 4) if isinstance(value, float) else value


def main(arguments: Sequence[str] | None = None, one: Callable[[Spec], Spec] = run) -> int:
    """The command line; returns the exit status."""
    made_by = "python -m lib.course.distillation_study"
    return run_missing(PATH, made_by, specs(), one, arguments)


if __name__ == "__main__":
    raise SystemExit(main())

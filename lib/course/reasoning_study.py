"""Runs of lesson "reasoning" that are too long for its notebook: the study "reasoning".

    python -m lib.course.studies reasoning

Each run is a whole one: `mini` learns from a few worked sums to think when it is told to, then from
its own answers to think well; some at a steady pace, others so fast that they break. Lessons
read them by `study("reasoning")`. The model of the first run comes with the course, as
data/reasoning. A `group_size` of 1 makes it SPO: one answer to each prompt.
"""

from __future__ import annotations

import copy
import random
import statistics
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lib.checkpoint import DATA, load, load_tokenizer, save, shipped
from lib.corpora._town_sums import Problem
from lib.corpora.town import arithmetic
from lib.optim import make_optimizer
from lib.ppo import Rollout, learn_from_rollouts, rollout_log_probs
from lib.reasoning import (
    SinglestreamTracker,
    SumTask,
    grpo_batch,
    is_right,
    policy_loss,
    problem_messages,
    solve_sums,
    spo_batch,
)
from lib.sft import draw_rows, encode_conversations, pack_rows, sft_loss
from lib.tokenizer import Tokenizer
from lib.training import History, best_precision, train
from lib.transformer import Transformer

Spec = dict[str, Any]

USUAL: Spec = {
    "name": "GRPO", "n_steps": 40, "n_prompts": 8, "group_size": 8, "lr": 5e-5, "warmup": 4,
    "n_updates": 1, "clip": 0.2, "clip_high": 0.28, "kl_weight": 0.0, "average": "token",
    "normalise": "std", "drop_uniform": True, "evaluate_every": 20, "n_held_out": 80,
    "watch_kl": False, "seed": 0,
}  # fmt: skip
"""What a run is: the settings of lib.reasoning by their names. Two runs of one spec are alike."""

FAST: Spec = {"lr": 1e-4, "warmup": 1, "n_updates": 4, "n_steps": 8, "evaluate_every": 4,
              "n_held_out": 60, "watch_kl": True}  # fmt: skip
"""Twice the rate, no warm-up, four updates from each batch of answers."""

WATCHED: Spec = {"evaluate_every": 10, "n_held_out": 200, "watch_kl": True}
"""Looked at more often, and on more problems, than the run whose model comes with the course."""

RUNS: list[tuple[Spec, Sequence[int]]] = [
    ({}, (0,)),
    ({**FAST, "name": "fast, not clipped", "clip": 1e9, "clip_high": 1e9}, (0, 1, 2)),
    ({**FAST, "name": "fast, clipped"}, (0, 1, 2)),
    ({**WATCHED, "name": "GRPO, watched"}, (0, 1, 2)),
    ({**WATCHED, "name": "SPO", "n_prompts": 64, "group_size": 1}, (0, 1, 2)),
]
"""What differs from the usual, and the seeds."""

SHIPPED: Spec = USUAL
"""The run whose model comes with the course."""


def specs() -> list[Spec]:
    """The runs of the study."""
    return [
        {**USUAL, **differs, "seed": seed}
        for seed in (0, 1, 2)
        for differs, seeds in RUNS
        if seed in seeds
    ]


MAX_NEW = 96
"""Tokens that an answer has at most."""

MEASURED = ("greedy", "sampled", "at_once", "think_obeyed", "no_think_obeyed")
"""What `measure` gives."""

KEPT = ("reward", "length", "kl", "entropy", "uniform", "clip_share", "step_kl", "gradient_norm")
"""What is kept of every step."""


@cache
def _tokenizer() -> Tokenizer:
    return load_tokenizer(shipped("mini"))


@cache
def _problems(split: str, seed: int, n: int, most_steps: int = 9) -> tuple[Problem, ...]:
    """The first n problems of at most so many steps."""
    found: list[Problem] = []
    number = 0
    while len(found) < n:
        problem = arithmetic(number, split, seed=seed)
        number += 1
        if len(problem.steps) <= most_steps:
            found.append(problem)
    return tuple(found)


def in_manners(problems: Sequence[Problem], share: float = 0.5, seed: int = 0) -> dict[str, Tensor]:
    """These problems as rows of a training set: a share of them thought about, the rest not."""
    chance = random.Random(seed)
    messages = [problem_messages(p, think=chance.random() < share) for p in problems]
    return pack_rows(*encode_conversations(messages, _tokenizer()), 256, seed)


@cache
def think_when_told(
    seed: int = 0, device: str = "cpu", n_steps: int = 45, share: float = 0.5, lr: float = 3e-4
) -> Transformer:
    """`mini`, after some steps on sums of one step or two: what all runs start from."""
    torch.manual_seed(seed)
    model = load(shipped("mini"), device)
    rows = in_manners(_problems("train", 21, 2000, most_steps=2), share, seed)
    optimizer = make_optimizer(model, "adamw", lr, embedding_lr=1e-2)
    train(model, draw_rows(rows, 8, seed), n_steps, optimizer, sft_loss,
          precision=best_precision(device), progress=False)  # fmt: skip
    return model


def measure(model: Transformer, n: int) -> dict[str, float]:
    """Of n held-out problems: the share that is right when it is told to think, with the likeliest
    tokens and by lot at temperature 1, and when it is told not to; and how often it thinks or not,
    as it is told."""
    problems = _problems("held_out", 5, n)

    def replies(think: bool, temperature: float = 0.0, longest: int = MAX_NEW) -> list[str]:
        found = solve_sums(model, _tokenizer(), problems, think, temperature=temperature,
                           max_new_tokens=longest)  # fmt: skip
        return [reply for (reply,) in found]

    def right(texts: list[str]) -> float:
        return statistics.fmean(map(is_right, texts, problems))

    thoughts, by_lot = replies(True), replies(True, 1.0)
    at_once = replies(False, longest=4)  # three digits and an end, or how a thought begins
    return {
        "greedy": right(thoughts),
        "sampled": right(by_lot),
        "at_once": right(at_once),
        "think_obeyed": statistics.fmean("<think>" in text for text in thoughts),
        "no_think_obeyed": statistics.fmean("<think>" not in text for text in at_once),
    }


def learn(spec: Spec, device: str = "cpu", progress: bool = True) -> tuple[Transformer, History]:
    """One run.

    Args:
        spec: see `USUAL`.
        device: where.
        progress: show a bar.

    Returns:
        The model, and what was measured on the way.
    """
    seed, n, g = spec["seed"], spec["n_prompts"], spec["group_size"]
    reference = think_when_told(seed, device).eval()
    policy = copy.deepcopy(reference)
    task = SumTask(_problems("train", 33, 2000), _tokenizer(), think=True)
    tracker = SinglestreamTracker(torch.full((len(task),), 0.5)) if g == 1 else None
    precision = best_precision(device)

    def draw(step: int, chance: torch.Generator) -> list[list[int]]:
        if tracker is None:
            return task.draw(n, g, chance)
        return [task.prompts[i] for i in tracker.draw(n * g, chance).tolist()]

    def batch(written: Rollout) -> tuple[dict[str, Tensor], dict[str, float]]:
        rewards = task.rewards(written.prompts, written.answers)
        ref = None
        if spec["watch_kl"]:
            ref = rollout_log_probs(reference, written, 1.0, precision)
        if tracker is None:
            return grpo_batch(written, rewards, g, normalise=spec["normalise"],
                              drop_uniform=spec["drop_uniform"], ref_log_probs=ref)  # fmt: skip
        numbers = task.numbers(written.prompts)
        found, record = spo_batch(tracker, numbers, written, rewards, policy, ref_log_probs=ref)
        return found, {**record, "reward": rewards.mean().item()}

    loss = policy_loss(
        clip=spec["clip"], clip_high=spec["clip_high"], kl_weight=spec["kl_weight"],
        average=spec["average"], max_length=MAX_NEW,
    )  # fmt: skip
    history = learn_from_rollouts(
        policy, draw, batch, loss,
        make_optimizer(policy, "adamw", spec["lr"], embedding_lr=None, weight_decay=0.0),
        spec["n_steps"], n_updates=spec["n_updates"], max_new_tokens=MAX_NEW, stop=[task.end],
        schedule=lambda step: min(1.0, (step + 1) / spec["warmup"]),
        evaluate=lambda model: measure(model, spec["n_held_out"]),
        evaluate_every=spec["evaluate_every"], seed=seed, progress=progress,
        precision=precision,
    )  # fmt: skip
    return policy, history


def run(spec: Spec, device: str = "cpu", progress: bool = True) -> dict[str, Any]:
    """One run, and what the study keeps of it.

    Returns:
        The spec, and "seconds", "steps" with what `measure` says at these, and for each step what
        `KEPT` names.
    """
    start = time.perf_counter()
    model, history = learn(spec, device, progress)
    measured = {key: [round(x, 4) for x in history.column(key)] for key in (*MEASURED, *KEPT)}
    record = {
        **spec,
        "seconds": round(time.perf_counter() - start, 1),
        "steps": history.steps("greedy"),
        **measured,
    }
    if spec == SHIPPED:
        card = {
            "recipe": {"start": "mini", **spec},
            "command": "python -m lib.course.studies reasoning",
            "results": {key: record[key] for key in ("seconds", "steps", *MEASURED)},
        }
        save(DATA / "reasoning", model, _tokenizer(), card, dtype=torch.float16)
    return record

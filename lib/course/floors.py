"""The house: which lesson builds which floors of `lib`, from the ground up.

The one place that knows the order. Lessons are named by slug; their numbers stand in file names.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds lessons/, solutions/, lib/ and data/."""

LESSONS: dict[str, tuple[str, ...]] = {
    "start_here": (),
    "tokenization": ("tokenizer",),
    "language_models": ("ngram",),
    "attention": ("attention",),
    "transformer": ("transformer",),
    "pretraining": ("optim", "training"),
    "generation": ("generation",),
    "supervised_fine_tuning": ("chat", "sft"),
    "lora": ("lora",),
    "rlhf": ("reward", "ppo"),
    "dpo": ("dpo",),
    "reasoning": ("reasoning",),
    "distillation": ("distillation",),
    "speculative_decoding": ("speculative",),
    "watermarking": ("watermark",),
}
"""Lesson slug to the floors of `lib` that it builds."""

FLOORS: tuple[str, ...] = tuple(floor for floors in LESSONS.values() for floor in floors)
"""The floors from the ground up: each may use those before it."""

GIVEN: tuple[str, ...] = ("corpora", "checkpoint", "hub", "course")
"""Modules of `lib` that no lesson builds."""


def floors_open_to(slug: str) -> set[str]:
    """The floors that the lesson `slug` may use: its own and all below; the start page, every one.

    Raises `ValueError` for a slug that is no lesson.
    """
    if slug not in LESSONS:
        raise ValueError(f"there is no lesson {slug!r}; known: {', '.join(LESSONS)}")
    slugs = list(LESSONS)
    if slug == slugs[0]:
        return set(FLOORS)  # the start page shows finished things
    return {floor for s in slugs[: slugs.index(slug) + 1] for floor in LESSONS[s]}


def is_built(floor: str) -> bool:
    """Whether the floor exists today, or is still to come."""
    return (ROOT / "lib" / f"{floor}.py").exists() or (ROOT / "lib" / floor).is_dir()


def source_of(slug: str) -> Path | None:
    """The percent script of a lesson, or None while it is still to come."""
    found = sorted((ROOT / "lessons" / "source").glob(f"[0-9][0-9]_{slug}.py"))
    return found[0] if found else None

"""The whole arc in one run: train, align, distil, decode, watermark, detect, and a page about it.

    python -m lib.course tour

Five stages (in `_tour_stages`), each one of the course's ideas at work, as short as it can be and
still show what it does. After the first they rest on each other: what was aligned is distilled, the
student guesses for its teacher, and the last one asks whether a text is the aligned model's.
Whatever the page says was measured in this run, with the functions that `lib` holds at that moment,
the learner's own among them.

    noise ─ stories ─ nano
    mini ─ conversations ─ preferences ─ aligned ─┬─ soft targets ─ student ─ speculate
                                                  └─ watermark ─ detect
"""

from __future__ import annotations

import contextlib
import copy
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from lib.course.figures import use_style
from lib.course.machine import fit_steps
from lib.course.short import is_short
from lib.optim import Optimizer, learning_rate
from lib.training import History, Loss, best_precision, train
from lib.transformer import Transformer

Draw = Callable[[int, torch.Generator], Any]


@dataclass(frozen=True)
class Found:
    """What a stage has found.

    Attributes:
        value: the number that says most, as it is to be read.
        meaning: what that number is, in a few words.
        sentences: what was done, and what came of it.
        figure: of matplotlib.
        alt: the figure in words.
        numbers: all that was measured, as plain values.
    """

    value: str
    meaning: str
    sentences: str
    figure: Any
    alt: str
    numbers: dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """One part of the tour.

    Attributes:
        name: one word.
        title: what happens, in a line.
        run: does it.
        seconds: how long it takes on two cores, about: its share of the bar.
        floors: of `lib`, those that it is about.
    """

    name: str
    title: str
    run: Callable[[Tour], Found]
    seconds: float
    floors: tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """A stage that is done.

    Attributes:
        stage: which.
        found: what it has found.
        seconds: how long it took.
        steps: of each training in it, how many were done and how many planned.
    """

    stage: Stage
    found: Found
    seconds: float
    steps: tuple[tuple[int, int], ...] = ()


@dataclass
class Tour:
    """What all stages need, and what they leave for the next ones.

    Attributes:
        seed: of the texts to learn from, and of all chance.
        short: a few steps and texts only: to see that it runs, not what it shows.
        moved: is told how much of a stage is done, from 0 to 1.
        left: models and texts, by name.
        steps: of each training since the stage began, how many were done and how many planned.
    """

    seed: int = 0
    short: bool = False
    moved: Callable[[float], None] = lambda share: None
    left: dict[str, Any] = field(default_factory=dict)
    steps: list[tuple[int, int]] = field(default_factory=list)
    precision: str = field(default_factory=best_precision)

    def some(self, n: int, least: int = 4) -> int:
        """How many texts to take where `n` are wanted."""
        return min(n, least) if self.short else n

    def chance(self, number: int = 0) -> torch.Generator:
        """Where chance comes from; another number, other chance."""
        return torch.Generator().manual_seed(1000 * self.seed + number)

    def train(
        self,
        model: Transformer,
        draw: Draw,
        optimizer: Callable[[Transformer], Optimizer],
        loss: Loss,
        *,
        planned: int,
        within: float,
        share: tuple[float, float],
        **settings: Any,
    ) -> History:
        """Train by `lib.training.train`: as many steps as planned, or as many as fit.

        Args:
            model: moved in place.
            draw: gives the batch of a step.
            optimizer: makes one for a model.
            loss: of a model on a batch.
            planned: how many steps, where they are quick enough.
            within: so many seconds.
            share: from where to where the stage moves on meanwhile.
            settings: others of `lib.training.train`; it measures at the beginning and
                after each quarter of the steps; in a short tour, at both ends.
        """
        n_steps = 8
        if not self.short:
            trial = copy.deepcopy(model)
            records = train(
                trial, draw, 4, optimizer(trial), loss,
                precision=self.precision, loss_limit=1e9, progress=False,
            )  # fmt: skip
            with contextlib.redirect_stdout(io.StringIO()):  # the page says it
                n_steps = fit_steps(planned, min(records.column("seconds")), within)
        first, last = share

        def drawn(step: int, generator: torch.Generator) -> Any:
            self.moved(first + (last - first) * step / n_steps)
            return draw(step, generator)

        history = train(
            model, drawn, n_steps, optimizer(model), loss,
            schedule=lambda step: learning_rate(step, n_steps, n_warmup=n_steps // 25, final=0.0),
            evaluate_every=n_steps // (1 if self.short else 4), precision=self.precision,
            loss_limit=1e9, seed=self.seed, progress=False, **settings,
        )  # fmt: skip
        self.moved(last)
        self.steps.append((n_steps, planned))
        return history


def tour(
    stages: Sequence[Stage], seed: int = 0, short: bool = False, progress: bool = True
) -> list[Told]:
    """Go through all stages.

    Args:
        stages: in this order.
        seed: see `Tour`.
        short: likewise.
        progress: show a bar, for all of them together.
    """
    use_style()
    total = sum(stage.seconds for stage in stages)
    bar = tqdm(
        total=total, disable=not progress, smoothing=0,
        bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}",
    )  # fmt: skip
    going, told, before = Tour(seed, short), list[Told](), 0.0
    with bar:
        for number, stage in enumerate(stages, 1):
            bar.set_description_str(f"{number}/{len(stages)} {stage.name}")

            def moved(share: float, stage: Stage = stage, before: float = before) -> None:
                bar.update(before + share * stage.seconds - bar.n)

            going.moved, going.steps = moved, []
            start = time.perf_counter()
            found = stage.run(going)
            moved(1.0)
            before += stage.seconds
            took = time.perf_counter() - start
            told.append(Told(stage, found, took, tuple(going.steps)))
            if progress:
                bar.write(f"{stage.name:10} {found.value:>8}  {found.meaning}")
    return told


def run(out: str | Path, seed: int = 0, short: bool = False, progress: bool = True) -> Path:
    """The tour, and its page in the folder `out`.

    Args:
        out: where; what an earlier tour has left there is replaced.
        seed: see `Tour`.
        short: likewise; also if TOKENS_SHORT=1 is set.
        progress: show a bar.

    Returns:
        The page.

    Raises:
        PlaceError: a `ValueError`: there is something else at that place. It is said before
            anything is trained.
    """
    from lib.course._tour_report import PAGE, place, report
    from lib.course._tour_stages import STAGES

    short = short or is_short()
    with place(out) as folder:
        start = time.perf_counter()
        told = tour(STAGES, seed, short, progress)
        report(folder, told, time.perf_counter() - start, seed, short)
    return Path(out) / PAGE

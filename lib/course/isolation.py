"""Running a learner's code without a trace: random states come back, `lib`'s own answer cannot be
called, and an endless loop ends.
"""

from __future__ import annotations

import contextlib
import random
import signal
import threading
import time
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

import numpy as np
import torch

from lib.course.bank import Exercise
from lib.course.reference import installed, reference


class TimeIsUp(BaseException):
    """Raised inside a function that has used up the time of its check."""


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Random states and torch's default dtype come back as they were."""
    python, array = random.getstate(), np.random.get_state()
    dtype = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            random.setstate(python)
            np.random.set_state(array)


def _use_of_reference(*_: Any, **__: Any) -> Any:
    raise RuntimeError("this calls the very function of lib that the exercise is to build")


@contextlib.contextmanager
def sealed(exercise: Exercise) -> Iterator[None]:
    """While a learner's function runs, the function it is to replace cannot be called: neither
    through `lib` nor through a name that was imported earlier."""
    originals: list[tuple[FunctionType, CodeType]] = []
    candidates = [reference(exercise.name), installed(exercise.name)]
    for candidate in candidates:
        if isinstance(candidate, FunctionType) and not candidate.__code__.co_freevars:
            if all(candidate is not f for f, _ in originals):
                originals.append((candidate, candidate.__code__))
    try:
        for function, _ in originals:
            function.__code__ = _use_of_reference.__code__
        yield
    finally:
        for function, code in originals:
            function.__code__ = code


class Clock:
    """When time is up, and whether a learner's code is running that could be stopped now."""

    def __init__(self, seconds: float = float("inf")) -> None:
        self.seconds = seconds
        self.end = time.monotonic() + seconds
        self.stoppable = False

    def is_up(self) -> bool:
        """Whether the time is used up."""
        return time.monotonic() >= self.end

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """While inside, the code may be stopped."""
        self.stoppable = True
        try:
            yield
        finally:
            self.stoppable = False


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[Clock]:
    """Raise `TimeIsUp` in the running code after `seconds`, where the platform can (the main thread
    of Linux and macOS); elsewhere an endless loop needs the notebook's stop button."""
    clock = Clock(seconds)
    can_stop = hasattr(signal, "setitimer") and (
        threading.current_thread() is threading.main_thread()
    )
    if not can_stop:
        yield clock
        return

    def stop(*_: Any) -> None:
        if clock.stoppable:
            raise TimeIsUp

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.5)
    try:
        yield clock
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)

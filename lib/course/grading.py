"""Marks: one number for a function, which nothing that the function does can sway."""

from __future__ import annotations

import contextlib
import io

from lib.course.bank import Exercise, Function, find
from lib.course.isolation import undisturbed
from lib.course.judge import judge
from lib.course.outcome import failure_of, observe, right_outcome
from lib.course.reference import installed, reference


def grade(function: Function, name: str | None = None) -> float:
    """The share of an exercise's cases that `function` passes, from 0.0 to 1.0.

    Silent, for graders: nothing is printed, nothing is saved, `lib` stays as it is. Whatever the
    function prints, warns or patches does not count. Code that was never written (the reference
    itself, or a call of it) earns nothing. `name` says which exercise, when the function does not
    come from an `@exercise` cell ("attention.causal_mask").

    Raises:
        ValueError: no exercise is named.
        RuntimeError: torch or numpy were patched so that even the reference fails its own check;
            grade in a fresh process.
    """
    name = name or getattr(function, "__exercise__", None)
    function = getattr(function, "__answer__", function)  # right, but too slow to be bound
    if name is None and str(getattr(function, "__module__", "")).startswith("lib."):
        name = f"{function.__module__}.{function.__qualname__}"  # a blank: the reference itself
    if name is None:
        raise ValueError(
            "grade(function) needs to know the exercise: expected a function from an @exercise "
            'cell, or its name as in grade(function, "attention.causal_mask")'
        )
    exercise = find(name)
    right_answer = reference(exercise.name)
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        if function is right_answer or function is installed(exercise.name):
            return 0.0
        verdict = judge(function, exercise, timing=False)
        _refuse_patched_process(exercise, right_answer)
    return verdict.passed / verdict.total


def _refuse_patched_process(exercise: Exercise, right_answer: Function) -> None:
    """The check itself is checked: the reference must pass, and every known mistake must fail."""
    with undisturbed():
        expected = [(case, right_outcome(case, exercise)) for case in exercise.cases]
        sound = all(
            failure_of(case, exercise, right, observe(right_answer, case, None)) is None
            for case, right in expected
        )
        for known in exercise.mistakes if sound else []:
            sound = sound and any(
                failure_of(case, exercise, right, observe(known.function, case, None))
                for case, right in expected
            )
    if not sound:
        raise RuntimeError(
            f"the check of {exercise.name} no longer tells right from wrong in this process: torch "
            "or numpy has been patched; grade in a fresh process"
        )

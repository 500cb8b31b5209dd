"""Every exercise of the course: the reference passes, every classic mistake is caught and called by
its name, right answers written differently pass, a blank falls back."""

from __future__ import annotations

import importlib
import types

import pytest

from lib.course import exercise as exercise_cell
from lib.course.bank import Exercise, Mistake, all_exercises
from lib.course.grading import grade
from lib.course.judge import judge
from lib.course.reference import reference
from tests.variants import VARIANTS

EXERCISES = all_exercises()
for group in sorted({e.group for e in EXERCISES}):
    importlib.import_module(f"tests.variants.{group}")
MISTAKES = [(e, m) for e in EXERCISES for m in e.mistakes]
RIGHT = [(e, f) for e in EXERCISES for f in VARIANTS.get(e.name, [])]


def ids(pairs):
    return [f"{e.short}-{getattr(x, 'function', x).__name__}" for e, x in pairs]


def twin(function):
    """The same function as another object, as if a learner had typed it."""
    copy = types.FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


@pytest.mark.parametrize("entry", EXERCISES, ids=lambda e: e.name)
def test_exercise_is_complete(entry: Exercise) -> None:
    assert len(entry.mistakes) >= 4, "at least four classic mistakes"
    assert len(VARIANTS.get(entry.name, [])) >= 2, "at least two other right answers"
    assert len(set(entry.hints)) == 3
    assert all(len(hint.split()) >= 8 for hint in entry.hints)
    assert reference(entry.name).__doc__, "the docstring is what learners see above the blank"
    sentences = [m.sentence for m in entry.mistakes]
    assert len(set(sentences)) == len(sentences)
    assert all(s.endswith((".", "?", "!", ")")) for s in sentences)


@pytest.mark.parametrize("entry", EXERCISES, ids=lambda e: e.name)
def test_reference_passes(entry: Exercise) -> None:
    verdict = judge(twin(reference(entry.name)), entry)
    assert verdict.right, verdict.failure
    assert verdict.quick, f"{verdict.times_slower} times slower than itself"


@pytest.mark.parametrize(("entry", "known"), MISTAKES, ids=ids(MISTAKES))
def test_mistake_is_caught_and_named(entry: Exercise, known: Mistake, capsys) -> None:
    """Run as a learner would: through an exercise cell."""
    bound = exercise_cell(entry.name)(twin(known.function))
    said = capsys.readouterr().out
    assert said.startswith("✗"), said
    assert known.sentence in " ".join(said.split()), said
    assert bound.__code__ is known.function.__code__, "the name stays the learner's own function"
    if known is entry.mistakes[0]:  # marks come from the same verdict
        assert grade(twin(known.function), entry.name) < 1.0


@pytest.mark.parametrize(("entry", "function"), RIGHT, ids=ids(RIGHT))
def test_other_right_answers_pass(entry: Exercise, function, capsys) -> None:
    exercise_cell(entry.name)(twin(function))
    said = capsys.readouterr().out
    assert said.startswith("✓"), said
    if function is VARIANTS[entry.name][0]:
        assert grade(twin(function), entry.name) == 1.0


@pytest.mark.parametrize("entry", EXERCISES, ids=lambda e: e.name)
def test_blank_falls_back(entry: Exercise, capsys) -> None:
    original = reference(entry.name)

    def blank(*args, **kwargs):
        raise NotImplementedError

    blank.__name__ = original.__name__
    bound = exercise_cell(entry.name)(blank)
    said = capsys.readouterr().out
    assert said.startswith("○")
    assert bound is original
    assert grade(bound, entry.name) == 0.0, "what was not written earns nothing"
    assert grade(blank, entry.name) == 0.0
    assert grade(original, entry.name) == 0.0

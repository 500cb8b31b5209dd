"""Running a function against an exercise's cases: right, wrong and where, or not started."""

from __future__ import annotations

import contextlib
import inspect
import io
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lib.course.bank import Case, Exercise, Function
from lib.course.compare import KINDS, brief
from lib.course.isolation import deadline, sealed, undisturbed
from lib.course.outcome import Failure, Outcome, alike, failure_of, observe, right_outcome
from lib.course.portable import NotPortable, standalone_source
from lib.course.reference import reference

TIME_LIMIT = 20.0
"""Seconds that all cases of one check may take together."""


@dataclass(frozen=True)
class Verdict:
    """What a check found. `failure` is None when all is right; `mistake` names a known mistake."""

    exercise: Exercise
    passed: int
    total: int
    blank: bool = False
    failure: Failure | None = None
    mistake: str | None = None
    times_slower: float | None = None

    @property
    def right(self) -> bool:
        return not self.blank and self.failure is None and self.passed == self.total

    @property
    def quick(self) -> bool:
        """Quick enough to stand in for the reference."""
        return self.times_slower is None or self.times_slower <= self.exercise.slowest


def judge(function: Function, exercise: Exercise, *, timing: bool = True) -> Verdict:
    """Run `function` on every case of `exercise`; all of them, whatever fails."""
    total = len(exercise.cases) + 1  # the last: it stands on its own
    problem = _signature_problem(function, exercise)
    if problem:
        failure = Failure("signature", "the signature", exercise.short, problem)
        return Verdict(exercise, 0, total, failure=failure)

    failures: list[tuple[int, Failure]] = []
    passed = 0
    with undisturbed():
        expected = [right_outcome(case, exercise) for case in exercise.cases]
        with sealed(exercise), deadline(TIME_LIMIT) as clock:
            outcomes = []
            for number, case in enumerate(exercise.cases, 1):
                outcome = observe(function, case, clock)
                outcomes.append(outcome)
                if number == 1 and _is_blank(function, outcome):
                    return Verdict(exercise, 0, total, blank=True)
                found = failure_of(case, exercise, expected[number - 1], outcome)
                if found is None:
                    passed += 1
                else:
                    failures.append((number, found))
        if not failures:
            try:
                standalone_source(function)
                passed += 1
            except NotPortable as problem_:
                detail = str(problem_)
                failure = Failure("not alone", "it stands on its own", exercise.short, detail)
                return Verdict(exercise, passed, total, failure=failure)
            slower = _times_slower(function, exercise) if timing else None
            return Verdict(exercise, passed, total, times_slower=slower)
        aside = {n for n, case in enumerate(exercise.cases, 1) if case.aside}
        number, failure = min(failures, key=lambda f: (f[0] in aside, KINDS.index(f[1].kind), f[0]))
        with sealed(exercise), deadline(TIME_LIMIT) as clock:
            again = observe(function, exercise.cases[number - 1], clock)
        note = _note(function, exercise.cases[number - 1], outcomes[number - 1], again)
        failure = replace(failure, note=note)
        # Who forgets the device as well has still made the other mistake.
        elsewhere = {number for number, f in failures if f.kind == "device"}
        named = _known_mistake(exercise, outcomes, elsewhere)
        if named is None and aside:
            named = _known_mistake(exercise, outcomes, elsewhere | (aside - {number}))
    return Verdict(exercise, passed, total, failure=failure, mistake=named)


def _note(function: Function, case: Case, first: Outcome, again: Outcome) -> str:
    """What a learner should know about a wrong function besides the case that fails."""
    try:
        standalone_source(function)
    except NotPortable as problem:
        return str(problem)
    stopped = first.stopped_after is not None or again.stopped_after is not None
    if not stopped and not alike(case, first, again):
        return (
            "called twice with the same input, it answers differently: something outside the "
            "function keeps what earlier calls left, or chance or the order of a set decides"
        )
    return ""


def _is_blank(function: Function, outcome: Outcome) -> bool:
    """Whether the learner's own code raised NotImplementedError (torch raises it as well)."""
    if not isinstance(outcome.error, NotImplementedError):
        return False
    trace = outcome.error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    code = getattr(inspect.unwrap(function), "__code__", None)
    return trace is None or code is None or trace.tb_frame.f_code is code


def _signature_problem(function: Function, exercise: Exercise) -> str | None:
    """How the signature differs from the reference's, if callers would notice."""
    if not callable(function):
        return f"expected a function, got {brief(function)}"
    try:
        wanted = inspect.signature(reference(exercise.name)).parameters
        got = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None  # a builtin: its calls will tell
    if any(p.kind is p.VAR_POSITIONAL for p in got.values()) and any(
        p.kind is p.VAR_KEYWORD for p in got.values()
    ):
        return None
    written = f"({', '.join(wanted)})"
    missing = [name for name in wanted if name not in got]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        return f"expected parameters {written}, but {', '.join(missing)} {verb} missing"
    for name, parameter in got.items():
        if name not in wanted:
            if parameter.default is parameter.empty and parameter.kind not in (
                parameter.VAR_POSITIONAL,
                parameter.VAR_KEYWORD,
            ):
                return f"expected parameters {written}, but {name!r} is new and has no default"
        elif wanted[name].default is not parameter.empty and parameter.default is parameter.empty:
            return f"the parameter {name!r} must keep its default, {wanted[name].default!r}"
    if [n for n in got if n in wanted] != list(wanted):
        return f"expected the parameters in the order {written}"
    return None


def _known_mistake(
    exercise: Exercise, outcomes: Sequence[Outcome], leave_out: set[int]
) -> str | None:
    """The sentence of the known mistake that behaves like the learner's function on every case
    (but those whose numbers are in `leave_out`).

    No message beats a misleading one: where several mistakes fit, or none, it stays silent.
    """
    fitting = []
    for known in exercise.mistakes:
        for number, (case, outcome) in enumerate(zip(exercise.cases, outcomes, strict=True), 1):
            if number not in leave_out and not alike(
                case, observe(known.function, case, None), outcome
            ):
                break
        else:
            fitting.append(known.sentence)
    return fitting[0] if len(fitting) == 1 else None


def _times_slower(function: Function, exercise: Exercise) -> float | None:
    if exercise.speed is None:
        return None
    run = exercise.speed_run
    make = exercise.speed

    def seconds(candidate: Function, limit: float) -> float:
        best, spent = float("inf"), 0.0
        while spent < limit and (spent == 0.0 or spent < 5 * best):
            inputs = make()
            with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                start = time.perf_counter()
                run(candidate, *inputs) if run else candidate(*inputs)
                took = time.perf_counter() - start
            best, spent = min(best, took), spent + took
        return best

    ours = seconds(reference(exercise.name), 0.5)
    try:
        with sealed(exercise), deadline(TIME_LIMIT) as clock, clock.running():
            theirs = seconds(function, 0.5)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return float("inf")
    return theirs / max(ours, 1e-9)

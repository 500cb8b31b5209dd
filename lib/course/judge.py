"""Running a function against an exercise's cases: right, wrong and where, or not started.

`judge` tells a learner everything; `grade` tells a grader one number. Neither is moved by what the
function prints, warns or patches, and neither moves anything: random states come back as they were.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import random
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

import numpy as np
import torch

from lib.course.bank import Case, Exercise, Function, find
from lib.course.compare import KINDS, Difference, brief, difference, snapshot, unchanged
from lib.course.portable import NotPortable, standalone_source
from lib.course.reference import installed, reference

TIME_LIMIT = 20.0
"""Seconds that all cases of one check may take together."""


@dataclass(frozen=True)
class Failure:
    """One failing case: what was called, and a line or more on what came back."""

    kind: str
    case: str
    call: str
    detail: str
    picture: tuple[str, ...] = ()
    printed: str = ""


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


@dataclass
class _Outcome:
    """What a function did with one case."""

    value: Any = None
    error: BaseException | None = None
    gradients: list[torch.Tensor | None] | None = None
    mutated: str | None = None
    printed: str = ""
    stopped: bool = False


class TimeIsUp(BaseException):
    """Raised inside a function that has used up the time of its check."""


def judge(function: Function, exercise: Exercise, *, timing: bool = True) -> Verdict:
    """Run `function` on every case of `exercise`; all of them, whatever fails."""
    total = len(exercise.cases) + 1  # the last: it stands on its own
    problem = _signature_problem(function, exercise)
    if problem:
        failure = Failure("signature", "the signature", exercise.short, problem)
        return Verdict(exercise, 0, total, failure=failure)

    failures: list[tuple[int, Failure]] = []
    passed = 0
    with _undisturbed():
        expected = [_expected(case, exercise) for case in exercise.cases]
        with _sealed(exercise), _deadline(TIME_LIMIT) as clock:
            outcomes = []
            for number, case in enumerate(exercise.cases, 1):
                outcome = _observe(function, case, clock)
                outcomes.append(outcome)
                if number == 1 and _is_blank(function, outcome):
                    return Verdict(exercise, 0, total, blank=True)
                found = _failure(case, exercise, expected[number - 1], outcome)
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
        number, failure = min(failures, key=lambda f: (KINDS.index(f[1].kind), f[0]))
        failure = Failure(
            failure.kind,
            f"case {number} of {len(exercise.cases)}: {failure.case}",
            failure.call,
            failure.detail,
            failure.picture,
            failure.printed,
        )
        named = _known_mistake(exercise, outcomes)
    return Verdict(exercise, passed, total, failure=failure, mistake=named)


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
    with _undisturbed():
        sound = all(
            _failure(c, exercise, _expected(c, exercise), _observe(right_answer, c, None)) is None
            for c in exercise.cases
        )
        for known in exercise.mistakes if sound else []:
            sound = sound and any(
                _failure(c, exercise, _expected(c, exercise), _observe(known.function, c, None))
                for c in exercise.cases
            )
    if not sound:
        raise RuntimeError(
            f"the check of {exercise.name} no longer tells right from wrong in this process: torch "
            "or numpy has been patched; grade in a fresh process"
        )


# --- one case -------------------------------------------------------------------------------------


def _expected(case: Case, exercise: Exercise) -> _Outcome:
    """The right outcome of a case, from its `expected`, else the oracle, else the reference."""
    if case.raises:
        return _Outcome(error=case.raises())
    answer = case.expected or exercise.oracle
    if answer is not None:
        # `expected` and oracles take the inputs themselves, never a function under test.
        plain = Case(case.title, case.inputs, gradient=case.gradient)
        outcome = _observe(answer, plain, None)
    else:
        outcome = _observe(reference(exercise.name), case, None)
    if outcome.error is not None:
        raise RuntimeError(
            f"the check of {exercise.name} is broken: its own answer to {case.title!r} raised "
            f"{type(outcome.error).__name__}: {outcome.error}"
        ) from outcome.error
    return outcome


def _observe(function: Function, case: Case, clock: _Clock | None) -> _Outcome:
    """Run one case, catching whatever the function does."""
    clock = clock or _Clock(float("inf"))
    if clock.is_up():
        return _Outcome(stopped=True)
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    inputs = case.inputs()
    floating = [x for x in inputs if isinstance(x, torch.Tensor) and x.is_floating_point()]
    if case.gradient:
        for x in floating:
            x.requires_grad_(True)
    before = [snapshot(x) for x in inputs]
    outcome = _Outcome()
    printed = io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(printed),
            warnings.catch_warnings(),
            torch.enable_grad(),
        ):
            warnings.simplefilter("ignore")
            run = case.run
            with clock.running():
                outcome.value = run(function, *inputs) if run else function(*inputs)
            if case.gradient:
                outcome.gradients = _gradients(outcome.value, floating)
    except KeyboardInterrupt:
        raise
    except TimeIsUp:
        outcome.stopped = True
    except BaseException as error:  # a learner's sys.exit() must not end the notebook either
        outcome.error = error
    outcome.printed = printed.getvalue()
    if case.keeps_inputs:
        for index, (old, new) in enumerate(zip(before, inputs, strict=True)):
            if not unchanged(old, new):
                outcome.mutated = f"argument {index + 1} was changed in place"
                break
    return outcome


def _gradients(value: Any, floating: list[torch.Tensor]) -> list[torch.Tensor | None]:
    """Gradients of a fixed weighted sum of the result with respect to each floating input."""
    tensors = value if isinstance(value, tuple | list) else [value]
    total = torch.zeros(())
    for tensor in tensors:
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point():
            weights = torch.linspace(-1, 1, tensor.numel(), dtype=torch.float64).view(tensor.shape)
            total = total + (tensor.double() * weights).sum()
    if not total.requires_grad:
        return [None for _ in floating]
    return list(torch.autograd.grad(total, floating, allow_unused=True))


def _failure(
    case: Case, exercise: Exercise, expected: _Outcome, outcome: _Outcome
) -> Failure | None:
    found = _judge_outcome(case, expected, outcome)
    if found is None:
        return None
    call = case.call or f"{exercise.short}({', '.join(brief(x) for x in case.inputs())})"
    return Failure(found.kind, case.title, call, found.detail, found.picture, outcome.printed)


def _judge_outcome(case: Case, expected: _Outcome, outcome: _Outcome) -> Difference | None:
    if outcome.stopped:
        return Difference("too slow", f"not finished after {TIME_LIMIT:.0f} seconds")
    if expected.error is not None:
        wanted = type(expected.error)
        if outcome.error is None:
            detail = f"expected a {wanted.__name__}, got {brief(outcome.value)}"
            return Difference("did not raise", detail)
        if isinstance(outcome.error, wanted):
            return None
        return Difference("raised", f"expected a {wanted.__name__}, got {_describe(outcome.error)}")
    if outcome.error is not None:
        return Difference("raised", _describe(outcome.error))
    found = difference(expected.value, outcome.value, case.rtol, case.atol)
    if found:
        return found
    if outcome.mutated:
        return Difference("mutated", f"{outcome.mutated}: work on a copy")
    if case.gradient and expected.gradients is not None:
        for index, (a, b) in enumerate(
            zip(expected.gradients, outcome.gradients or [], strict=True)
        ):
            found = None
            if b is None and a is not None:
                detail = (
                    "no gradient flows back: is there a .detach(), .data or .item() on the way?"
                )
                found = Difference("gradient", f"input {index + 1}: {detail}")
            elif a is not None:
                wrong = difference(a, b, max(case.rtol, 1e-4), max(case.atol, 1e-5))
                if wrong:
                    found = Difference("gradient", f"gradient of input {index + 1}: {wrong.detail}")
            if found:
                return found
    return None


def _describe(error: BaseException) -> str:
    """The error and the learner's own line it came from."""
    if isinstance(error, RecursionError):
        return "RecursionError: the function calls itself without end"
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/lib/course/" not in f.filename.replace("\\", "/")]
    own = [f for f in own if "site-packages" not in f.filename] or own
    line = f"  (at: {own[-1].line})" if own and own[-1].line else ""
    text = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {text}{line}" if text else f"{type(error).__name__}{line}"


def _is_blank(function: Function, outcome: _Outcome) -> bool:
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
        return f"expected parameters {written}, but {', '.join(missing)} is missing"
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


# --- known mistakes and speed ---------------------------------------------------------------------


def _known_mistake(exercise: Exercise, outcomes: Sequence[_Outcome]) -> str | None:
    """The sentence of the known mistake that behaves like the learner's function on every case.

    No message beats a misleading one: where several mistakes fit, or none, it stays silent.
    """
    fitting = []
    for known in exercise.mistakes:
        for case, outcome in zip(exercise.cases, outcomes, strict=True):
            if not _alike(case, _observe(known.function, case, None), outcome):
                break
        else:
            fitting.append(known.sentence)
    return fitting[0] if len(fitting) == 1 else None


def _alike(case: Case, known: _Outcome, outcome: _Outcome) -> bool:
    if known.stopped or outcome.stopped:
        return False
    if known.error is not None or outcome.error is not None:
        if type(known.error) is not type(outcome.error):
            return False
        return case.raises is not None or str(known.error) == str(outcome.error)
    if (known.mutated is None) != (outcome.mutated is None):
        return False
    if difference(known.value, outcome.value, case.rtol, case.atol) is not None:
        return False
    if not case.gradient:
        return True
    a, b = known.gradients or [], outcome.gradients or []
    return difference(a, b, 1e-4, 1e-5) is None


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
        with _sealed(exercise), _deadline(TIME_LIMIT) as clock, clock.running():
            theirs = seconds(function, 0.5)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return float("inf")
    return theirs / max(ours, 1e-9)


# --- leaving no trace -----------------------------------------------------------------------------


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
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
def _sealed(exercise: Exercise) -> Iterator[None]:
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


class _Clock:
    """When time is up, and whether a learner's code is running that could be stopped now."""

    def __init__(self, end: float) -> None:
        self.end = end
        self.stoppable = False

    def is_up(self) -> bool:
        return time.monotonic() >= self.end

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        self.stoppable = True
        try:
            yield
        finally:
            self.stoppable = False


@contextlib.contextmanager
def _deadline(seconds: float) -> Iterator[_Clock]:
    """Raise `TimeIsUp` in the running code after `seconds`, where the platform can (the main thread
    of Linux and macOS); elsewhere an endless loop needs the notebook's stop button."""
    clock = _Clock(time.monotonic() + seconds)
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

"""One case of an exercise: what the right answer is, what a function did, and how they differ."""

from __future__ import annotations

import contextlib
import inspect
import io
import random
import traceback
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lib.course.bank import Case, Exercise, Function
from lib.course.compare import Difference, brief, difference, snapshot, unchanged
from lib.course.isolation import Clock, TimeIsUp
from lib.course.reference import reference


@dataclass
class Outcome:
    """What a function did with one case."""

    value: Any = None
    error: BaseException | None = None
    came_back: bool = False
    """The error came from the check, which could not use what the function had returned."""
    gradients: list[torch.Tensor | None] | None = None
    mutated: str | None = None
    printed: str = ""
    stopped_after: float | None = None
    """The seconds after which it had to be stopped."""


@dataclass(frozen=True)
class Failure:
    """One failing case: what was called, and a line or more on what came back."""

    kind: str
    case: str
    call: str
    detail: str
    picture: tuple[str, ...] = ()
    printed: str = ""
    note: str = ""
    """What else was noticed about the function: a variable of the notebook, a memory of its own."""


def right_outcome(case: Case, exercise: Exercise) -> Outcome:
    """The right outcome of a case, from its `expected`, else the oracle, else the reference."""
    if case.raises:
        return Outcome(error=case.raises())
    answer = case.expected or exercise.oracle
    if answer is not None:
        # `expected` and oracles take the inputs themselves, never a function under test.
        plain = Case(case.title, case.inputs, gradient=case.gradient)
        outcome = observe(answer, plain, None)
    else:
        outcome = observe(reference(exercise.name), case, None)
    if outcome.error is not None:
        raise RuntimeError(
            f"the check of {exercise.name} is broken: its own answer to {case.title!r} raised "
            f"{type(outcome.error).__name__}: {outcome.error}"
        ) from outcome.error
    return outcome


def observe(function: Function, case: Case, clock: Clock | None) -> Outcome:
    """Run one case, catching whatever the function does."""
    clock = clock or Clock()
    if clock.is_up():
        return Outcome(stopped_after=clock.seconds)
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    inputs = case.inputs()
    floating = [x for x in inputs if isinstance(x, torch.Tensor) and x.is_floating_point()]
    if case.gradient:
        for x in floating:
            x.requires_grad_(True)
    before = [snapshot(x) for x in inputs]
    outcome = Outcome()
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
        outcome.stopped_after = clock.seconds
    except BaseException as error:  # a learner's sys.exit() must not end the notebook either
        outcome.error = error
        outcome.came_back = not _on_the_way(function, error)
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


def failure_of(
    case: Case, exercise: Exercise, expected: Outcome, outcome: Outcome
) -> Failure | None:
    """What is wrong with an outcome, for the learner; None if it is right."""
    found = _judge_outcome(case, expected, outcome)
    if found is None:
        return None
    call = case.call or f"{exercise.short}({', '.join(_argument(x) for x in case.inputs())})"
    return Failure(found.kind, case.title, call, found.detail, found.picture, outcome.printed)


def _argument(value: Any) -> str:
    """An argument in as few words as will do: "2×3 tensor"."""
    if isinstance(value, torch.Tensor) and value.numel() > 6:
        kind = "" if value.dtype == torch.float32 else f" {value.dtype}".replace("torch.", "")
        return "×".join(map(str, value.shape)) + kind + " tensor"
    return brief(value)


def _judge_outcome(case: Case, expected: Outcome, outcome: Outcome) -> Difference | None:
    if outcome.stopped_after is not None:
        return Difference("too slow", f"not finished after {outcome.stopped_after:.0f} seconds")
    if expected.error is not None:
        wanted = type(expected.error)
        if outcome.error is None:
            detail = f"expected a {wanted.__name__}, got {brief(outcome.value)}"
            return Difference("did not raise", detail)
        if isinstance(outcome.error, wanted):
            return None
        return Difference("raised", f"expected a {wanted.__name__}, got {_describe(outcome.error)}")
    if outcome.error is not None and outcome.came_back:
        said = str(outcome.error).strip().split("\n")[0]
        detail = (
            "it ran to its end, but what it gave back or left behind cannot be used: look at types "
            f"and shapes ({type(outcome.error).__name__}: {said})"
        )
        return Difference("type", detail)
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


def _on_the_way(function: Function, error: BaseException) -> bool:
    """Whether `function` was running when an error was raised, as far as can be told."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None or (isinstance(error, TypeError) and f"{code.co_name}() " in str(error)):
        return True  # the second: it was called with arguments that it does not take
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return any(frame.f_code.co_filename == code.co_filename for frame in frames)


def _describe(error: BaseException) -> str:
    """The error and the learner's own line it came from."""
    if isinstance(error, RecursionError):
        return "RecursionError: the function calls itself without end"
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/lib/course/" not in f.filename.replace("\\", "/")]
    own = [f for f in own if "site-packages" not in f.filename] or own
    line = f"  (at: {own[-1].line})" if own and own[-1].line else ""
    said = str(error).strip().split("\n")
    if isinstance(error, KeyError) and error.args and isinstance(error.args[0], torch.Tensor):
        said = [f"there is no entry for this tensor of shape {tuple(error.args[0].shape)}"]
    # einops and others begin with what they were doing and end with what was wrong.
    text = said[0] if len(said) == 1 else f"{said[0].strip()} {said[-1].strip()}"
    return f"{type(error).__name__}: {text}{line}" if text else f"{type(error).__name__}{line}"


def alike(case: Case, known: Outcome, outcome: Outcome) -> bool:
    """Whether two functions did the same with a case: same value, error, gradients, side effect."""
    if known.stopped_after is not None or outcome.stopped_after is not None:
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

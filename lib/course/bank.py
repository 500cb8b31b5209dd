"""What an exercise is: the cases that judge it, its hints, its classic mistakes.

Each floor has one module in `lib.course.checks`, which makes an `Exercise` for each of its
exercises, and one in `lib.course.mistakes`, which holds the wrong answers that people really give.

    Exercise(
        "lib.attention.causal_mask",
        oracle=lambda n_query, n_key: ...,            # independent of lib wherever one exists
        cases=[Case("2 queries over 5 keys", lambda: (2, 5))],
        hints=("a nudge", "a step", "nearly there"),
    )

    @mistake("lib.attention.causal_mask", "The mask is upside down: ...")
    def inverted(n_query, n_key): ...
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

Function = Callable[..., Any]


@dataclass(frozen=True)
class Case:
    """One question put to a learner's function.

    `inputs` makes fresh arguments at every call (seed what is random: everyone must get the same).
    `run(function, *inputs)` says what to do with them; left out, `function(*inputs)`.
    `expected(*inputs)` is the right answer; left out, the exercise's oracle. Where an error is
    the right answer, `raises` names its type.
    """

    title: str
    inputs: Callable[[], Sequence[Any]]
    run: Callable[..., Any] | None = None
    expected: Callable[..., Any] | None = None
    raises: type[Exception] | None = None
    rtol: float = 1e-4
    atol: float = 1e-5
    gradient: bool = False
    """Compare the gradients of all floating-point tensors among the inputs as well."""
    keeps_inputs: bool = True
    """Arguments must come back unchanged."""
    call: str | None = None
    """How the failing call is written; left out, `name(arguments)`."""
    aside: bool = False
    """Asks for something apart from the main matter: who fails here as well has still made the
    other mistake, and is told of that first."""


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that real people and projects gave, and the sentence that explains it."""

    exercise: str
    sentence: str
    function: Function
    seen_in: str | None = None


@dataclass(frozen=True)
class Exercise:
    """An exercise: `name` is the symbol in `lib` ("lib.attention.causal_mask",
    "lib.attention.MultiHeadAttention.forward"), or "slug.name" if it belongs to a lesson alone."""

    name: str
    cases: Sequence[Case]
    hints: tuple[str, str, str]
    """A nudge, a step, nearly there."""
    oracle: Function | None = None
    speed: Callable[[], Sequence[Any]] | None = None
    """Inputs of a realistic size, to time the learner's function against the reference."""
    speed_run: Callable[..., Any] | None = None
    """`run` for the timing, as in `Case`; left out, `function(*inputs)`."""
    slowest: float = 10.0
    """A right answer this many times slower than the reference passes, but stays out of `lib`."""
    quicker: str = ""
    """What a right answer that is too slow should do instead, in one sentence."""
    mistakes: list[Mistake] = field(default_factory=list)

    @property
    def local(self) -> bool:
        """True if the exercise belongs to its lesson alone and builds nothing in `lib`."""
        return not self.name.startswith("lib.")

    @property
    def group(self) -> str:
        """The module of `lib.course.checks` and `.mistakes` it stands in."""
        return group_of(self.name)

    @property
    def short(self) -> str:
        """The name without its module: "causal_mask", "MultiHeadAttention.forward"."""
        return self.name.split(".", 2)[2] if not self.local else self.name.split(".", 1)[1]

    def __post_init__(self) -> None:
        if not self.cases:
            raise ValueError(f"exercise {self.name!r} has no cases: a check that cannot fail")
        _exercises[self.name] = self


_exercises: dict[str, Exercise] = {}


def group_of(name: str) -> str:
    """The check module of an exercise: "attention" for "lib.attention.causal_mask"."""
    parts = name.split(".")
    return parts[1] if parts[0] == "lib" else parts[0]


def mistake(
    exercise: str, sentence: str, *, seen_in: str | None = None
) -> Callable[[Function], Function]:
    """Enter the decorated function as a classic wrong answer to `exercise`.

    `sentence` tells the learner what is wrong, in one sentence; `seen_in` names a project where the
    bug was real ("trl#1623").
    """

    def enter(function: Function) -> Function:
        if exercise not in _exercises:
            raise ValueError(
                f"mistake {function.__name__!r} is for {exercise!r}, which is no exercise; "
                f"known here: {', '.join(sorted(_exercises))}"
            )
        entry = Mistake(exercise, sentence, function, seen_in)
        _exercises[exercise].mistakes.append(entry)
        return function

    return enter


def with_method(cls: type, name: str, method: Function) -> type:
    """A subclass of `cls` whose method `name` is `method`: how a method exercise is run."""
    body = {name: method, "__module__": cls.__module__, "__of_a_check__": True}
    return type(cls.__name__, (cls,), body)


def load_group(group: str) -> list[Exercise]:
    """The exercises of one check module with their mistakes; empty if there is no such module."""
    for package in ("checks", "mistakes"):
        module = f"lib.course.{package}.{group}"
        if importlib.util.find_spec(module) is None:
            return []
        importlib.import_module(module)
    return [e for e in _exercises.values() if e.group == group]


def all_groups() -> list[str]:
    """The names of all check modules."""
    checks = importlib.import_module("lib.course.checks")
    return sorted(m.name for m in pkgutil.iter_modules(checks.__path__))


def all_exercises() -> list[Exercise]:
    """Every exercise of the course."""
    return [e for group in all_groups() for e in load_group(group)]


def find(name: str) -> Exercise:
    """The exercise called `name`: whole, or any ending that is unique ("causal_mask").

    Raises `ValueError` that lists what there is when nothing or more than one thing fits.
    """
    load_group(group_of(name))
    if name in _exercises:
        return _exercises[name]
    everything = all_exercises()
    fitting = [e for e in everything if f".{e.name}".endswith(f".{name}")]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ValueError(f"{name!r} could be {' or '.join(e.name for e in fitting)}: say which")
    import difflib

    close = difflib.get_close_matches(name, [e.short for e in everything], n=3, cutoff=0.4)
    guess = f"; did you mean {' or '.join(close)}?" if close else ""
    raise ValueError(f"there is no exercise called {name!r}{guess}")


def owner_of(name: str) -> tuple[ModuleType | type, str]:
    """Where a symbol of `lib` lives: (module or class, attribute name).

    Raises `ValueError` when there is no such symbol.
    """
    parts = name.split(".")
    if len(parts) < 3 or parts[0] != "lib":
        raise ValueError(f"{name!r} is no symbol of lib: expected lib.<module>.<name>[.<method>]")
    # The longest prefix that is a module; what is left are attributes.
    for cut in range(len(parts) - 1, 1, -1):
        path = ".".join(parts[:cut])
        try:
            found = importlib.util.find_spec(path)
        except ModuleNotFoundError:
            found = None
        if found is None:
            continue
        owner: Any = importlib.import_module(path)
        for part in parts[cut:-1]:
            owner = getattr(owner, part, None)
        if not (inspect.ismodule(owner) or inspect.isclass(owner)) or not hasattr(owner, parts[-1]):
            raise ValueError(f"{path} has no {'.'.join(parts[cut:])!r}")
        return owner, parts[-1]
    raise ValueError(f"there is no module {'.'.join(parts[:-1])!r}")

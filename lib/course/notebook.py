"""What a learner meets: `exercise`, `given`, `hint`, `solution`, `settle`.

    @exercise("lib.attention.causal_mask")
    def causal_mask(n_query, n_key=None, device=None):
        raise NotImplementedError

Running such a cell says at once how it stands: `○` not started, `✗` wrong and where, `✓` right, and
from then on `lib.attention.causal_mask` is the learner's own.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from lib.course import workbook
from lib.course.bank import Exercise, Function, find, owner_of
from lib.course.judge import Verdict, judge
from lib.course.portable import function_source, standalone_source
from lib.course.reference import installed, reference
from lib.course.short import leave_claims_out

leave_claims_out()

T = TypeVar("T")

_last: list[str] = []
_hints_given: dict[str, int] = {}


def exercise(name: str) -> Callable[[Function], Function]:
    """Check the decorated function as the exercise `name` and say how it stands.

    What the name is bound to afterwards: blank, to what `lib` uses (the lesson goes on); wrong, to
    the learner's own function (to be debugged); right, to the learner's own function, which is kept
    in the workbook and put into `lib`; right but far too slow, to what `lib` uses, since the cells
    that follow count on its speed (`grade` still sees the learner's own).

    Args:
        name: "lib.<module>.<symbol>", or "<lesson>.<name>" for what belongs to a lesson alone.
    """

    def check(function: Function) -> Function:
        entry = find(name)
        _last[:] = [entry.name]
        function.__exercise__ = entry.name  # type: ignore[attr-defined]
        verdict = judge(function, entry)
        if verdict.blank:
            return _fall_back(entry)
        if not verdict.right:
            print(describe(verdict))
            return function
        print(f"✓ {verdict.passed}/{verdict.total} {entry.short}{_keep(function, entry, verdict)}")
        return function if verdict.quick else _stand_in(function, entry)

    return check


def _stand_in(answer: Function, entry: Exercise) -> Function:
    """What `lib` uses, in the place of a right answer that would make the lesson crawl."""
    quick = installed(entry.name)

    @functools.wraps(quick)
    def stand_in(*args: Any, **kwargs: Any) -> Any:
        return quick(*args, **kwargs)

    stand_in.__exercise__ = entry.name  # type: ignore[attr-defined]
    stand_in.__answer__ = answer  # type: ignore[attr-defined]
    return stand_in


def _fall_back(entry: Exercise) -> Function:
    """What stands in for a blank: the one that the learner passed earlier, or the reference."""
    stand_in = installed(entry.name)
    if entry.local and workbook.is_on():  # nothing in lib holds it, but the workbook may
        with contextlib.suppress(workbook.Skipped):
            stand_in = workbook.load(entry.name, stand_in)
    if stand_in is not reference(entry.name):
        print(f"○ {entry.short} is blank here: the one you passed earlier is used")
    else:
        name = f'hint("{entry.short}")'
        print(f"○ {entry.short} not started: the reference stands in · {name} for a nudge")
    return stand_in


def describe(verdict: Verdict) -> str:
    """A wrong answer in words: the case, what was called, what came back, the likely mistake."""
    failure = verdict.failure
    assert failure is not None
    lines = [f"✗ {verdict.passed}/{verdict.total} {verdict.exercise.short} · fails: {failure.case}"]
    if failure.call != verdict.exercise.short:
        lines.extend(_wrapped("    you ran    ", failure.call))
    lines.extend(_wrapped("    the check  ", failure.detail))
    lines.extend("               " + line for line in failure.picture)
    if verdict.mistake:
        lines.extend(_wrapped("    it seems   ", verdict.mistake))
    if failure.note and failure.note != failure.detail:
        lines.extend(_wrapped("    note       ", failure.note))
    printed = failure.printed.rstrip().splitlines()
    if printed:
        lines.append("    it printed " + printed[0][:100])
        lines.extend("               " + line[:100] for line in printed[1:8])
    entry = verdict.exercise
    until = "until it passes, this notebook uses your version"
    if not entry.local:
        own = installed(entry.name) is not reference(entry.name)
        until += f"; lib goes on with the {'one you passed' if own else 'reference'}"
    lines.append(f"    {until}")
    lines.append(f'    hint("{entry.short}") for a nudge')
    return "\n".join(lines)


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(text, width=96, initial_indent=head, subsequent_indent=" " * len(head))


def _keep(function: Function, entry: Exercise, verdict: Verdict) -> str:
    """Save and install a right answer; the end of the line that tells so."""
    slower = verdict.times_slower
    if not workbook.is_on():
        return ""
    source = standalone_source(function)
    if not source:
        return " · right, but its source cannot be read here, so lib keeps the reference"
    signature = workbook.signature_of(reference(entry.name))
    if not verdict.quick and _passed_before(entry):
        return " · right, but slower than the one you passed before, which stays in its place"
    try:
        workbook.keep(entry.name, source, signature, slower, entry.slowest)
    except OSError as error:
        return f" · right, but it could not be saved: {error.strerror}: {workbook.folder()}"
    if entry.local and verdict.quick:
        return ""
    if not verdict.quick:
        assert slower is not None
        size = "far slower" if slower == float("inf") else f"{slower:.0f} × slower"
        return (
            f" · right, but {size} than the reference. The rest of this lesson, and lib, use the "
            f"reference until yours is at most {entry.slowest:.0f} × slower"
            + (f". {entry.quicker}" if entry.quicker else "")
        )
    try:
        unreached = workbook.install(entry.name, workbook.load(entry.name))
    except workbook.Skipped as reason:
        return f" · right, but lib keeps the reference: its file {reason}"
    line = f" · from here on, {entry.name} is yours"
    if unreached:
        line += "\n    until the kernel is restarted, " + "; ".join(unreached)
    return line


def _passed_before(entry: Exercise) -> bool:
    try:
        workbook.load(entry.name, reference(entry.name))
    except workbook.Skipped:
        return False
    return True


def given(name: str) -> Callable[[T], T]:
    """Mark code that is shown for reading: as long as it is unchanged, its name is `lib`'s own.

    Change it, and the cell's own version is used in this notebook; `lib` stays as it is.
    """

    def show(shown: T) -> T:
        owner, attribute = owner_of(name)
        original = vars(owner)[attribute]
        if _same_code(shown, original):
            return original
        print(f"✎ {name} is changed in this notebook only; lib keeps its own")
        if inspect.isclass(shown):  # methods that the cell did not show
            for key, value in vars(original).items():
                if key not in vars(shown):
                    setattr(shown, key, value)
        return shown

    return show


def _same_code(shown: Any, original: Any) -> bool:
    """Whether two functions, or the methods that two classes share, have the same source."""
    if inspect.isclass(shown):
        return inspect.isclass(original) and all(
            key in vars(original) and _same_code(value, vars(original)[key])
            for key, value in vars(shown).items()
            if inspect.isfunction(value)
        )
    a, b = function_source(shown), function_source(original)
    return a is None or b is None or ast.dump(ast.parse(a)) == ast.dump(ast.parse(b))


def _named(name: str | Function | None) -> Exercise | None:
    if name is None:
        if not _last:
            print('No exercise was tried yet. Run its cell first, or name it: hint("causal_mask")')
            return None
        return find(_last[0])
    return find(name if isinstance(name, str) else getattr(name, "__exercise__", name.__name__))


def hint(name: str | Function | None = None) -> None:
    """Print the next hint for an exercise: a nudge, then a step, then nearly there.

    Args:
        name: the exercise; left out, the one tried last.
    """
    entry = _named(name)
    if entry is None:
        return
    level = min(_hints_given.get(entry.name, 0), 2)
    _hints_given[entry.name] = level + 1
    kind = ("a nudge", "a step", "nearly there")[level]
    again, end = f'hint("{entry.short}") again', f'solution("{entry.short}")'
    more = f"{again} for more" if level < 2 else f"{end} shows the reference"
    print(f"{entry.short}, {kind}:")
    print(textwrap.indent(textwrap.fill(entry.hints[level], 92), "    "))
    print(f"    ({more})")


def solution(name: str | Function | None = None) -> None:
    """Print the reference answer of an exercise.

    Args:
        name: the exercise; left out, the one tried last.
    """
    entry = _named(name)
    if entry is not None:
        source = textwrap.dedent(inspect.getsource(reference(entry.name))).rstrip()
        print("\n".join(x for x in source.splitlines() if not x.strip().startswith("### ")))


def settle(
    prediction: object, truth: object, because: str = "", options: Sequence[object] = ()
) -> None:
    """Compare a learner's prediction with what was measured.

    Args:
        prediction: what the learner wrote; "" or None is taken as no prediction.
        truth: what was measured. Texts are compared by their letters and digits alone, whatever
            the case; numbers count as right within 10 %.
        because: a sentence that explains the truth.
        options: what could have been chosen; anything else is told apart from a wrong guess.
    """
    if prediction is None or str(prediction).strip() == "":
        verdict = f"○ no prediction made. Measured: {truth}."
    elif options and not any(_agree(prediction, option) for option in options):
        known = ", ".join(map(str, options))
        verdict = f"○ {prediction!r} is none of: {known}. Measured: {truth}."
    elif _agree(prediction, truth):
        verdict = f"✓ You predicted {prediction}, and so it is."
    else:
        verdict = f"✗ You predicted {prediction}; measured: {truth}."
    print(textwrap.fill(f"{verdict} {because}".strip(), 96))


def _agree(prediction: object, truth: object) -> bool:
    numbers = (int, float)
    if isinstance(prediction, numbers) and isinstance(truth, numbers):
        return abs(prediction - truth) <= 0.1 * abs(truth)
    return _letters(prediction) == _letters(truth)


def _letters(text: object) -> str:
    return "".join(c for c in str(text).lower() if c.isalnum())

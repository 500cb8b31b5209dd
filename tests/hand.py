"""A learner's hand: the cells of somebody who solves every exercise in another way than `lib`.

What is typed counts its own calls, so that a test can see which lesson really runs on it.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections import Counter

from lib.course.bank import Exercise, all_exercises
from lib.course.floors import LESSONS
from lib.course.portable import standalone_source
from tests.variants import QUICK

CALLS: Counter[str] = Counter()
"""How often each exercise's answer was called in this process."""


def note_call(name: str) -> None:
    """Note a call of the answer to the exercise `name`; every typed answer begins with this."""
    CALLS[name] += 1


def exercises_of(slug: str) -> list[Exercise]:
    """The exercises that a lesson holds: of its floors, and of its own."""
    groups = (slug, *LESSONS[slug])
    return [e for e in all_exercises() if e.group in groups]


def typed(entry: Exercise) -> str:
    """The cell in which the learner solves an exercise: its first quick variant under its name.

    >>> typed(find("lib.attention.causal_mask"))
    import torch
    from tests.hand import note_call


    @exercise("lib.attention.causal_mask")
    def causal_mask(n_query, n_key=None, device=None):
        note_call('lib.attention.causal_mask')
        ...
    """
    importlib.import_module(f"tests.variants.{entry.group}")
    answer = QUICK[entry.name][0]
    text = standalone_source(answer)
    # Without what enters it into the list of variants: learners type `@exercise` there.
    for part in (r"@right\(.*\)", r"from tests\.variants import right", rf"\w+ = '{entry.name}'"):
        text = re.sub(rf"^{part}\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"\n{4,}", "\n\n\n", text)
    text = text.replace(
        "from __future__ import annotations\n", "from tests.hand import note_call\n", 1
    )
    text = re.sub(rf"\b{answer.__name__}\b", entry.short.rsplit(".", 1)[-1], text)
    lines = text.splitlines()
    function = ast.parse(text).body[-1]
    assert isinstance(function, ast.FunctionDef)
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        first = function.body[1]
    indent = " " * first.col_offset
    lines.insert(first.lineno - 1, f"{indent}note_call({entry.name!r})")
    top = min([function.lineno, *(d.lineno for d in function.decorator_list)])
    lines.insert(top - 1, f'@exercise("{entry.name}")')
    return "\n".join(lines) + "\n"

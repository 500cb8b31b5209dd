"""The answer key: the function behind an exercise as `lib` (or the lesson) wrote it.

When a learner's version takes a symbol's place, the original is remembered here.
"""

from __future__ import annotations

import ast
from functools import cache
from typing import Any

from lib.course.bank import Function, owner_of
from lib.course.floors import source_of

_originals: dict[str, Function] = {}


def reference(name: str) -> Function:
    """The reference of an exercise: `lib`'s own function, whatever has taken its place since."""
    if not name.startswith("lib."):
        return _local_reference(name)
    if name in _originals:
        return _originals[name]
    owner, attribute = owner_of(name)
    return _original_of(name, vars(owner)[attribute])


def _original_of(name: str, now: Any) -> Function:
    # Importing the owner may just have put a learner's version in place.
    return _originals.get(name, now)


def remember(name: str, original: Function) -> None:
    """Keep the original of a symbol that is about to be replaced; the first one counts."""
    _originals.setdefault(name, original)


def installed(name: str) -> Function:
    """What `lib` uses under that name now: the reference, or the learner's own."""
    if not name.startswith("lib."):
        return _local_reference(name)
    owner, attribute = owner_of(name)
    return vars(owner)[attribute]


@cache
def _local_reference(name: str) -> Function:
    """The solution of a lesson-local exercise, cut from the lesson's source."""
    slug, short = name.split(".", 1)
    path = source_of(slug)
    if path is None:
        raise ValueError(f"{name!r} belongs to a lesson that is not here: {slug}")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    # Its imports and its top-level functions; nothing of the lesson is run.
    body: list[ast.stmt] = []
    found = False
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            body.append(node)
        elif isinstance(node, ast.FunctionDef):
            node.decorator_list = []
            body.append(node)
            if node.name == short:
                found = True
                break
    if not found:
        raise ValueError(f"{path.name} defines no function {short!r}")
    space: dict[str, Any] = {"__name__": f"lessons.{slug}"}
    exec(compile(ast.Module(body, []), str(path), "exec"), space)
    return space[short]

"""What makes the notebooks teach. Lessons import from here:

    from lib.course import exercise, hint, solution, progress

Light on its own: torch and the checks are loaded when an exercise is first run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lib.course.figures import show
    from lib.course.grading import grade
    from lib.course.house import progress
    from lib.course.machine import fit_steps
    from lib.course.notebook import exercise, given, hint, settle, solution
    from lib.course.short import how_many

_HOME = {
    "exercise": "notebook",
    "given": "notebook",
    "hint": "notebook",
    "settle": "notebook",
    "solution": "notebook",
    "show": "figures",
    "fit_steps": "machine",
    "grade": "grading",
    "how_many": "short",
    "progress": "house",
}

__all__ = [
    "exercise",
    "fit_steps",
    "given",
    "grade",
    "hint",
    "how_many",
    "progress",
    "settle",
    "show",
    "solution",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for (`lib` itself imports this package)."""
    if name not in _HOME:
        raise AttributeError(f"module 'lib.course' has no attribute {name!r}")
    import importlib
    import sys

    value = getattr(importlib.import_module(f"lib.course.{_HOME[name]}"), name)
    setattr(sys.modules[__name__], name, value)
    return value

"""Right answers, written differently from the reference: every check must accept all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

VARIANTS: dict[str, list[Callable[..., Any]]] = {}
QUICK: dict[str, list[Callable[..., Any]]] = {}
"""Those that could take the reference's place in `lib` without making later lessons crawl."""


def right(
    exercise: str, *, slow: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter the decorated function as a right answer to `exercise`; `slow`: many times slower."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        VARIANTS.setdefault(exercise, []).append(function)
        if not slow:
            QUICK.setdefault(exercise, []).append(function)
        return function

    return enter

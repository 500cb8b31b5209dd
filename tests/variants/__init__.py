"""Right answers, written differently from the reference: every check must accept all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

VARIANTS: dict[str, list[Callable[..., Any]]] = {}


def right(exercise: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter the decorated function as a right answer to `exercise`."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        VARIANTS.setdefault(exercise, []).append(function)
        return function

    return enter

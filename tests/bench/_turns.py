"""Time several things in one run, in turns: a busy neighbour hits all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def seconds_in_turns(functions: dict[str, Callable[[], Any]], runs: int) -> dict[str, list[float]]:
    """Seconds that each function took, run by run; the n-th runs of all stand side by side."""
    took: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(runs):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            took[name].append(time.perf_counter() - start)
    return took

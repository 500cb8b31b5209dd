"""How much memory a function takes at its peak (Linux; elsewhere nobody tells reliably)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any


def _kilobytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise OSError(f"no {field} in /proc/self/status")


def peak_growth(function: Callable[[], Any]) -> int:
    """Bytes by which running `function` raises this process above what it holds now.

    Run it in a fresh process: where the high-water mark cannot be reset, what earlier code took and
    gave back hides part of the growth.

    Raises:
        OSError: the system does not tell.
    """
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    before = _kilobytes("VmRSS")
    kept = function()
    after = _kilobytes("VmHWM")
    del kept
    return (after - before) * 1024

"""What this machine can train: cores, memory, GPU, and rules of thumb with their reasons.

    print(report())

Python's own library and torch are all it needs, on Linux, macOS and Windows.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from lib.course.short import is_short

BYTES_PER_PARAMETER = 16
"""In training, in float32: 4 for the weight, 4 for its gradient, 8 for AdamW's two averages."""
TOKENS_PER_PARAMETER = 20
"""How much text a model is worth training on at least (Hoffmann et al. 2022, "Chinchilla")."""
FLOP_PER_PARAMETER_AND_TOKEN = 6
"""A multiplication and an addition forwards, twice that backwards (Kaplan et al. 2020)."""
SHARE_OF_SPEED = 1 / 4
"""What a training step reaches of the speed of one large matrix product: small models less, large
ones more (measured on two cores: 12 % for nano, 24 % for mini, 37 % for small)."""
TOKENS_PER_STEP = 4096
ROOM = 0.75
"""The share of the memory that training may take; the rest is for everything else."""


@dataclass(frozen=True)
class Scale:
    """A size of model: all scales are the same code."""

    name: str
    n_parameters: float
    n_layer: int
    d_model: int
    vocab_size: int

    @property
    def memory(self) -> float:
        """Bytes that training takes: what each parameter needs, and what a step keeps.

        A step keeps about 24 numbers per layer and unit of width for each token, and the scores of
        all next tokens twice; measured on four models, this is right within a quarter.
        """
        kept = 24 * self.n_layer * self.d_model + 2 * self.vocab_size
        return BYTES_PER_PARAMETER * self.n_parameters + 4 * kept * TOKENS_PER_STEP

    def seconds(self, flop_per_second: float) -> float:
        """How long 20 tokens per parameter take."""
        flop = FLOP_PER_PARAMETER_AND_TOKEN * TOKENS_PER_PARAMETER * self.n_parameters**2
        return flop / (flop_per_second * SHARE_OF_SPEED)


SCALES = (
    Scale("nano", 1e6, 4, 128, 4096),
    Scale("mini", 6e6, 6, 256, 4096),
    Scale("small", 30e6, 8, 512, 4096),
    Scale("base", 125e6, 12, 768, 50257),
)


@dataclass(frozen=True)
class Machine:
    """What was found, and how fast one large matrix product ran."""

    cores: int
    memory: int | None
    gpu: str | None
    gpu_memory: int | None
    flop_per_second: float

    @property
    def for_training(self) -> int | None:
        """The bytes of memory that models live in: the GPU's own where there is one."""
        return self.gpu_memory if self.gpu_memory is not None else self.memory

    def fits(self, scale: Scale) -> bool:
        """Whether training that scale fits into the memory; True where nobody knows how much."""
        return self.for_training is None or scale.memory <= ROOM * self.for_training

    def __str__(self) -> str:
        known = "unknown" if self.memory is None else f"{self.memory / 2**30:.1f} GiB"
        gpu = self.gpu or "none"
        if self.gpu_memory is not None:
            gpu += f", {self.gpu_memory / 2**30:.0f} GiB of its own"
        billions = self.flop_per_second / 1e9
        lines = [
            f"cores for this notebook  {self.cores}",
            f"memory                   {known}",
            f"GPU                      {gpu}",
            f"a large matrix product   {billions:,.0f} billion operations a second",
            "",
            "scale   parameters   memory to train   fits   time for 20 tokens a parameter",
        ]
        for scale in SCALES:
            size = f"{scale.n_parameters / 1e6:.0f} M"
            space = f"{scale.memory / 2**30:.1f} GiB"
            fits = "yes" if self.fits(scale) else "no"
            took = _words(scale.seconds(self.flop_per_second))
            lines.append(f"{scale.name:<6} {size:>11} {space:>17} {fits:>6}   about {took}")
        fitting = [scale for scale in SCALES if self.fits(scale)]
        night = [scale for scale in fitting if scale.seconds(self.flop_per_second) <= 10 * 3600]
        lines += [
            "",
            f"The largest that fits: {fitting[-1].name if fitting else 'none'}. "
            f"The largest that is done overnight: {night[-1].name if night else 'none'}.",
        ]
        return "\n".join(lines)


def _words(seconds: float) -> str:
    """A time as a person would say it.

    >>> _words(40), _words(7200), _words(90_000_000)
    ('40 seconds', '2 hours', '3 years')
    """
    units = [("year", 31_557_600), ("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)]
    for unit, size in units:
        if seconds >= 1.5 * size or unit == "second":
            number = max(1, round(seconds / size))
            return f"{number:,} {unit}{'s' * (number != 1)}"
    raise AssertionError("there is always a number of seconds")


def report() -> Machine:
    """Look at the machine, and time a matrix product (a second or less)."""
    gpu = gpu_memory = None
    device, dtype = "cpu", torch.float32
    if torch.cuda.is_available():
        device, gpu = "cuda", torch.cuda.get_device_name()
        gpu_memory = torch.cuda.get_device_properties(0).total_memory
        if torch.version.hip or torch.cuda.get_device_capability() >= (8, 0):
            dtype = torch.bfloat16  # what training uses there
    elif torch.backends.mps.is_available():
        device, gpu = "mps", "Apple's, which shares the memory above"
    speed = _matrix_product_speed(device, dtype)
    return Machine(_cores(), _memory(), gpu, gpu_memory, speed)


def _matrix_product_speed(device: str, dtype: torch.dtype) -> float:
    """Operations a second in the best of several products of square matrices."""
    n = 2048 if device == "cpu" else 4096
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    best, start = float("inf"), time.perf_counter()
    for run in range(20):
        began = time.perf_counter()
        (a @ b)[0, 0].item()  # waits until the device is done
        if run > 0:  # the first one warms up
            best = min(best, time.perf_counter() - began)
        if run > 1 and time.perf_counter() - start > 0.8:
            break
    return 2 * n**3 / best


# --- counting -------------------------------------------------------------------------------------


def _cores() -> int:
    """The cores that this process may use, which may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        found = len(os.sched_getaffinity(0))
    else:
        found = os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # a container's share, in cgroup's words
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            found = min(found, max(1, round(int(quota) / int(period))))
    return found


def _memory() -> int | None:
    """Bytes of memory that this process may use, or None where nobody tells."""
    found = _windows_memory() if sys.platform == "win32" else _posix_memory()
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # a container's share
        with contextlib.suppress(OSError, ValueError):
            limit = int(Path("/sys/fs/cgroup", name).read_text())
            found = limit if found is None else min(found, limit)
    return found


def _posix_memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _windows_memory() -> int | None:
    class Status(ctypes.Structure):
        _fields_ = [
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "c", "d", "e", "f", "g")),
        ]

    status = Status(length=ctypes.sizeof(Status))
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):  # type: ignore[attr-defined,unused-ignore]
        return None
    return int(status.total)


__all__ = ["SCALES", "Machine", "Scale", "report"]


def fit_steps(n_steps: int, seconds: float, within: float) -> int:
    """`n_steps`, if steps of `seconds` each fit into `within` seconds; else as many as do.

    Always a multiple of 4 and at least 8, so that curves have their quarters. A machine that gets
    fewer than `n_steps` is told so. Two variables of the environment change it: TOKENS_PATIENCE=3
    allows three times as long; with TOKENS_SHORT=1 it is 8 at once, enough to see that a lesson
    runs, too little to see what it shows.
    """
    if n_steps < 8 or n_steps % 4:
        raise ValueError(f"n_steps is {n_steps}; it must be a multiple of 4, and 8 or more")
    if is_short():
        print("TOKENS_SHORT=1: eight steps, to see that it runs.")
        return 8
    within *= _patience()
    if n_steps * seconds <= within:
        return n_steps
    fewer = min(n_steps, max(8, int(within / seconds) // 4 * 4))
    print(f"{n_steps} steps would take {n_steps * seconds:.0f} s here: {fewer}, and worse results.")
    print("(TOKENS_PATIENCE=3 in the environment allows three times as long.)")
    return fewer


def _patience() -> float:
    """How many times as long as planned a training may take."""
    given = os.environ.get("TOKENS_PATIENCE", "1")
    try:
        times = float(given)
    except ValueError:
        times = 0.0
    if not 0 < times < float("inf"):
        raise ValueError(f"TOKENS_PATIENCE is {given!r}; expected a number above 0, such as 3")
    return times

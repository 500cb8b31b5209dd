"""What a processor can do fast, and two settings that make the same numbers come sooner (given).

Measured on two cores of an AMD Zen 5, they halve the time of a training step in float32; where they
do not help, or torch or the system has no such setting, they change nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
from collections.abc import Iterator

import torch


def multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for products in bfloat16: AMX or AVX512_BF16.

    Without them such products are worked out number by number, up to 30 × slower than in float32.
    """
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in names)


@functools.cache
def prepare() -> None:
    """Make training fast on this computer's processor; once is enough for a process."""
    keep_memory()
    if torch.get_float32_matmul_precision() == "highest" and onednn_is_exact():
        torch.set_float32_matmul_precision("medium")


@contextlib.contextmanager
def products_of(n_rows: int) -> Iterator[None]:
    """Within, matrices are multiplied by whoever does it faster where `n_rows` vectors meet each:
    for a few MKL, for many oneDNN."""
    before = torch.get_float32_matmul_precision()
    if before != "high" and onednn_is_exact():
        torch.set_float32_matmul_precision("medium" if n_rows >= 16 else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@functools.cache
def onednn_is_exact() -> bool:
    """Whether torch's "medium" precision rounds nothing and only changes who multiplies.

    It allows factors to be rounded to bfloat16, which happens on processors with AMX and on GPUs.
    Elsewhere it lets oneDNN multiply in place of MKL, which is half as fast on AMD's processors.
    This tries it out.
    """
    if torch.cuda.is_available():
        return False
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 256, 256, generator=generator)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    error = (a @ b - a.double() @ b.double()).abs().max()
    torch.set_float32_matmul_precision(before)
    return bool(error < 1e-3)  # in float32 about 5e-5, in bfloat16 about 0.2


def keep_memory(size: int = 1 << 30) -> None:
    """Let memory that was given back stay with the process, for the next step to use.

    By itself Linux takes back every buffer of more than 32 MB and clears it page by page when it is
    wanted again, which costs a fifth of a step.

    Args:
        size: buffers of more bytes are given back; `1 << 25` is what Linux comes to by itself.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):  # a C library other than GNU's
        set_option = ctypes.CDLL(None).mallopt
        m_trim_threshold, m_mmap_threshold = -1, -3
        if set_option(m_mmap_threshold, size):
            set_option(m_trim_threshold, min(2 * size, (1 << 31) - 1))

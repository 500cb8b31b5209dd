"""Comparing an answer with the right one, and saying where they first differ.

Nothing here goes through `torch.allclose`, `numpy.allclose` or `==` on arrays: a notebook may have
replaced those, by accident or not. Values are turned into plain Python numbers by methods that were
looked up when this module was imported, and compared by operators, which nobody can replace.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

# Structural failures come before numeric ones: of all failing cases the learner sees the one whose
# kind stands first here. The device comes late: on one's own machine nothing else depends on it.
KINDS = (
    "signature",
    "raised",
    "returned None",
    "type",
    "shape",
    "dtype",
    "nan",
    "value",
    "did not raise",
    "mutated",
    "gradient",
    "device",
    "not alone",
    "too slow",
)

_tensor_to_list = torch.Tensor.tolist
_tensor_detach = torch.Tensor.detach
_tensor_double = torch.Tensor.double
_array_to_list = np.ndarray.tolist
_generic_item = np.generic.item
_is_nan, _is_inf = math.isnan, math.isinf
_len, _zip, _sorted = len, zip, sorted


@dataclass(frozen=True)
class Difference:
    """How an answer differs: `kind` is one of `KINDS`, `detail` a line or two for the learner."""

    kind: str
    detail: str
    picture: tuple[str, ...] = ()
    """The right answer and the learner's beside each other, where both are small."""


def difference(expected: Any, got: Any, rtol: float, atol: float) -> Difference | None:
    """The first difference of `got` from `expected`, structural before numeric; None if there is
    none. Numbers agree when |got − expected| ≤ atol + rtol·|expected|; everything else exactly."""
    return _difference(expected, got, rtol, atol, "")


def _difference(expected: Any, got: Any, rtol: float, atol: float, where: str) -> Difference | None:
    at = f"at {where}: " if where else ""
    if got is None and expected is not None:
        detail = f"{at}expected {brief(expected)}, got None (is a `return` missing?)"
        return Difference("returned None", detail)
    if expected is None:
        return None if got is None else Difference("type", f"{at}expected None, got {brief(got)}")
    if isinstance(expected, torch.Tensor):
        return _tensor_difference(expected, got, rtol, atol, at)
    if isinstance(expected, np.ndarray):
        return _array_difference(expected, got, rtol, atol, at)
    if isinstance(got, torch.Tensor | np.generic) and isinstance(expected, bool | int | float):
        if isinstance(got, torch.Tensor) and got.ndim == 0:
            detail = f"{at}expected a plain number, got a tensor: .item() turns it into one"
            return Difference("type", detail)
        if isinstance(got, np.generic):
            got = _generic_item(got)
    if isinstance(expected, bool | str | bytes):
        if type(got) is not type(expected):
            return _type_difference(expected, got, at)
        same = got == expected
        return None if same else Difference("value", _text_difference(expected, got, at))
    if isinstance(expected, int | float):
        wanted = int if isinstance(expected, int) else (int, float)
        if isinstance(got, bool) or not isinstance(got, wanted):
            return _type_difference(expected, got, at)
        if _numbers_agree(expected, float.__float__(got) if isinstance(got, float) else got,
                          rtol, atol):  # fmt: skip
            return None
        kind = "nan" if isinstance(got, float) and _is_nan(got) else "value"
        return Difference(kind, f"{at}expected {brief(expected)}, got {brief(got)}")
    if isinstance(expected, dict):
        return _dict_difference(expected, got, rtol, atol, where)
    if isinstance(expected, list | tuple):
        if not isinstance(got, tuple if isinstance(expected, tuple) else list):
            return _type_difference(expected, got, at)
        if _len(got) != _len(expected):
            return Difference("shape", at + _lengths_difference(expected, got, rtol, atol))
        for index, (a, b) in enumerate(_zip(expected, got)):
            found = _difference(a, b, rtol, atol, f"{where}[{index}]")
            if found:
                return found
        return None
    if isinstance(expected, set | frozenset):
        if not isinstance(got, set | frozenset):
            return _type_difference(expected, got, at)
        return _difference(_sorted(map(repr, expected)), _sorted(map(repr, got)), rtol, atol, where)
    if type(expected) is not type(got):
        return _type_difference(expected, got, at)
    same = expected == got
    return None if same is True else Difference("value", f"{at}expected {expected!r}, got {got!r}")


def _type_difference(expected: Any, got: Any, at: str) -> Difference:
    a, b = type(expected).__name__, type(got).__name__
    return Difference("type", f"{at}expected {_article(a)}, got {_article(b)}: {brief(got)}")


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0].lower() in "aeiou" else f"a {noun}"


def _numbers_agree(expected: float, got: float, rtol: float, atol: float) -> bool:
    if isinstance(expected, int) and isinstance(got, int):
        return expected == got
    if _is_nan(expected) or _is_nan(got):
        return _is_nan(expected) and _is_nan(got)
    if _is_inf(expected) or _is_inf(got):
        return expected == got
    gap = got - expected
    size = -expected if expected < 0 else expected
    return -(atol + rtol * size) <= gap <= atol + rtol * size


def _lengths_difference(expected: Any, got: Any, rtol: float, atol: float) -> str:
    """Two lists of unequal length: both whole where they are short, else where they part."""
    if max(_len(repr(expected)), _len(repr(got))) <= 70:
        return f"expected {expected!r}, got {got!r}"
    lengths = f"{_len(expected)} items expected, {_len(got)} got"
    for i, (a, b) in enumerate(_zip(expected, got)):
        if _difference(a, b, rtol, atol, ""):
            return f"{lengths}; they part at [{i}]: expected {brief(a)}, got {brief(b)}"
    return f"{lengths}, and alike as far as both go"


def _text_difference(expected: Any, got: Any, at: str) -> str:
    if isinstance(expected, bool) or _len(expected) < 40:
        return f"{at}expected {expected!r}, got {got!r}"
    pairs = _zip(expected, got)
    i = next((i for i, (a, b) in enumerate(pairs) if a != b), min(_len(expected), _len(got)))
    around = slice(max(0, i - 10), i + 15)
    return (
        f"{at}expected …{expected[around]!r}…, got …{got[around]!r}…: "
        f"they part at position {i} ({_len(expected)} long expected, {_len(got)} got)"
    )


def _dict_difference(
    expected: dict[Any, Any], got: Any, rtol: float, atol: float, where: str
) -> Difference | None:
    at = f"at {where}: " if where else ""
    if not isinstance(got, dict):
        return _type_difference(expected, got, at)
    entries = dict(dict.items(got))
    for key, value in dict.items(expected):
        if key not in entries:
            return Difference("value", f"{at}the key {key!r} is missing (expected {brief(value)})")
        found = _difference(value, entries[key], rtol, atol, f"{where}[{key!r}]")
        if found:
            return found
    for key in entries:
        if key not in expected:
            return Difference("value", f"{at}the key {key!r} should not be there")
    return None


def _tensor_difference(
    expected: torch.Tensor, got: Any, rtol: float, atol: float, at: str
) -> Difference | None:
    if not isinstance(got, torch.Tensor):
        return _type_difference(expected, got, at)
    if tuple(got.shape) != tuple(expected.shape):
        a, b = tuple(expected.shape), tuple(got.shape)
        return Difference("shape", f"{at}expected shape {a}, got {b}")
    if got.dtype != expected.dtype:
        return Difference("dtype", f"{at}expected {expected.dtype}, got {got.dtype}")
    if got.device != expected.device:
        stands = " (which stands for a GPU here)" if expected.device.type == "meta" else ""
        wanted = f"{at}expected a tensor on {expected.device}{stands}"
        return Difference("device", f"{wanted}, got one on {got.device}")
    if got.device.type == "meta":  # asks for nothing but shape, dtype and device
        return None
    left, right = _tensor_to_list(_tensor_detach(expected)), _tensor_to_list(_tensor_detach(got))
    return _flat_difference(left, right, tuple(expected.shape), rtol, atol, at)


def _array_difference(
    expected: np.ndarray[Any, Any], got: Any, rtol: float, atol: float, at: str
) -> Difference | None:
    if not isinstance(got, np.ndarray):
        return _type_difference(expected, got, at)
    if got.shape != expected.shape:
        return Difference("shape", f"{at}expected shape {expected.shape}, got {got.shape}")
    if got.dtype != expected.dtype:
        return Difference("dtype", f"{at}expected {expected.dtype}, got {got.dtype}")
    left, right = _array_to_list(expected), _array_to_list(got)
    return _flat_difference(left, right, expected.shape, rtol, atol, at)


def _flat(values: Any) -> list[Any]:
    if not isinstance(values, list):
        return [values]
    flat: list[Any] = []
    for value in values:
        flat.extend(_flat(value)) if isinstance(value, list) else flat.append(value)
    return flat


def _flat_difference(
    left: Any, right: Any, shape: tuple[int, ...], rtol: float, atol: float, at: str
) -> Difference | None:
    a, b = _flat(left), _flat(right)
    wrong = [i for i, (x, y) in enumerate(_zip(a, b)) if not _numbers_agree(x, y, rtol, atol)]
    if not wrong:
        return None
    nans = [i for i in wrong if isinstance(b[i], float) and _is_nan(b[i])]
    first = nans[0] if nans else wrong[0]
    index = []
    rest = first
    for size in reversed(shape):
        rest, position = divmod(rest, size)
        index.append(position)
    index.reverse()
    place = f" at {index}" if shape else ""
    count = f"; {_len(wrong)} of {_len(a)} values differ" if _len(a) > 1 else ""
    picture = _side_by_side(left, right, index, shape)
    if nans:
        detail = f"{at}nan{place}, expected {brief(a[first])}{count}"
        return Difference("nan", detail, picture)
    wanted, came = brief(a[first]), brief(b[first])
    detail = f"{at}first difference{place}: expected {wanted}, got {came}{count}"
    return Difference("value", detail, picture)


def _side_by_side(
    left: Any, right: Any, index: list[int], shape: tuple[int, ...]
) -> tuple[str, ...]:
    """The matrix (or row) around the first difference, right answer and learner's, as text."""
    if _len(shape) == 0 or shape[-1] > 8 or (_len(shape) > 1 and shape[-2] > 8):
        return ()
    for position in index[:-2]:
        left, right = left[position], right[position]
    if _len(shape) == 1:
        left, right = [left], [right]
    rows = [[_cell(x) for x in row] for row in left], [[_cell(x) for x in row] for row in right]
    wide = max(_len(cell) for side in rows for row in side for cell in row)
    texts = [["  ".join(cell.rjust(wide) for cell in row) for row in side] for side in rows]
    column = max(_len("expected"), _len(texts[0][0]))
    where = f" of {index[:-2]}" if _len(shape) > 2 else ""
    lines = [f"{'expected'.ljust(column)}    yours{where}"]
    lines += [f"{a.ljust(column)}    {b}" for a, b in _zip(*texts)]
    return tuple(lines)


def _cell(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def snapshot(value: Any) -> Any:
    """A copy of an argument that a function could change: tensors, arrays, lists, dicts, sets."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, list | tuple | set):
        return type(value)(snapshot(v) for v in value)
    if isinstance(value, dict):
        return {key: snapshot(v) for key, v in dict.items(value)}
    return value


def unchanged(before: Any, after: Any) -> bool:
    """Whether an argument still equals its `snapshot`. What cannot be compared counts as such."""
    if isinstance(before, torch.Tensor | np.ndarray | list | tuple | set | dict):
        return difference(before, after, 0.0, 0.0) is None
    return True


def brief(value: Any) -> str:
    """A value in at most about a line: small tensors whole, large ones by shape and dtype."""
    if isinstance(value, torch.Tensor):
        kind = str(value.dtype).removeprefix("torch.")
        if value.numel() <= 6 and not value.is_meta:
            shape = f", shape {tuple(value.shape)}" if value.ndim != 1 else ""
            rounded = _rounded(_tensor_to_list(_tensor_detach(value)))
            return f"tensor({rounded}{shape}, {kind})"
        return f"tensor of shape {tuple(value.shape)}, {kind}"
    if isinstance(value, np.ndarray):
        if value.size <= 6:
            return f"array({_rounded(_array_to_list(value))}, {value.dtype})"
        return f"array of shape {value.shape}, {value.dtype}"
    if isinstance(value, bool):
        return repr(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, torch.Generator):
        return "generator"
    text = repr(value)
    return text if _len(text) <= 100 else f"{text[:80]} … ({_len(text)} characters)"


def _rounded(values: Any) -> Any:
    if isinstance(values, list):
        return "[" + ", ".join(str(_rounded(v)) for v in values) + "]"
    return f"{values:.4g}" if isinstance(values, float) else values

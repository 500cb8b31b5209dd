"""Run all benches, or those named: `python -m tests.bench tokenizer`."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import tests.bench


def main(names: list[str]) -> None:
    """Each bench is a module of this package with a `main()` that prints its table."""
    known = sorted(
        module.name
        for module in pkgutil.iter_modules(tests.bench.__path__)
        if not module.name.startswith("_")
    )
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"there is no bench {unknown[0]!r}; there are: {', '.join(known)}")
    for name in names or known:
        print(f"== {name}")
        importlib.import_module(f"tests.bench.{name}").main()


main(sys.argv[1:])

"""Run all benches, or those named: `python -m tests.bench tokenizer`.

What follows a bench's name goes to that bench: `python -m tests.bench training --help`.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import tests.bench


def main(arguments: list[str]) -> None:
    """Each bench is a module of this package with a `main(arguments)` that prints its table."""
    known = sorted(
        module.name
        for module in pkgutil.iter_modules(tests.bench.__path__)
        if not module.name.startswith("_")
    )
    asked: dict[str, list[str]] = {}
    for argument in arguments:
        if argument in known:
            asked[argument] = []
        elif asked:
            asked[next(reversed(asked))].append(argument)
        else:
            raise SystemExit(f"there is no bench {argument!r}; there are: {', '.join(known)}")
    for name, options in (asked or {name: [] for name in known}).items():
        print(f"== {name}")
        importlib.import_module(f"tests.bench.{name}").main(options)


main(sys.argv[1:])

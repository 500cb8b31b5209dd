"""The workbook: where a learner's passing code is kept, and how it takes its place in `lib`.

    workbook/attention/causal_mask.py                  lib.attention.causal_mask
    workbook/attention/MultiHeadAttention.forward.py   lib.attention.MultiHeadAttention.forward

When a floor of `lib` is imported, every file of its folder replaces one symbol. A file that cannot
be trusted is skipped with one line that says so; importing `lib` never fails because of one. It is
not trusted when it was edited since it passed, cannot be read or run, does more than define
functions, was written for other parameters than `lib` has today, or is far too slow.

`TOKENS_LIB=reference` switches the workbook off; `TOKENS_WORKBOOK` names another folder for it.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from lib._places import workbook_folder
from lib.course.bank import Function, owner_of
from lib.course.reference import remember


class Skipped(Exception):
    """A file of the workbook that is not used; the message says why, in one line."""


def is_on() -> bool:
    """Whether learners' code takes the place of the reference in this process."""
    return os.environ.get("TOKENS_LIB") != "reference"


def folder() -> Path:
    """The workbook's folder: `TOKENS_WORKBOOK`, on Colab a folder of the mounted Drive, else
    `workbook/` beside `lib/`. It need not exist yet."""
    return workbook_folder()


def path_of(name: str) -> Path:
    """The file of an exercise: "lib.attention.causal_mask" is attention/causal_mask.py."""
    group, _, short = name.removeprefix("lib.").partition(".")
    return folder() / group / f"{short}.py"


def signature_of(function: Function) -> str:
    """Parameters without annotations, "(n_query, n_key=None)": what callers depend on."""
    parameters = inspect.signature(function).parameters.values()
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in parameters]
    return str(inspect.Signature(bare))


# --- keeping and loading --------------------------------------------------------------------------


def keep(
    name: str,
    source: str,
    signature: str,
    times_slower: float | None,
    slowest: float = 10.0,
) -> Path:
    """Write a passing function into the workbook, whole or not at all.

    Args:
        name: the exercise.
        source: the function as a module of its own (`portable.standalone_source`).
        signature: the reference's parameters, from `signature_of`.
        times_slower: its time over the reference's, or None if it was not measured.
        slowest: how many times slower it may be to take the reference's place.
    """
    path = path_of(name)
    body = source.strip() + "\n"
    slower = 1.0 if times_slower is None else times_slower
    head = (
        f"# Yours: {name}, passed on {date.today().isoformat()}.\n"
        "# To change it, change it in its lesson and run the cell again; to go back to the\n"
        "# reference, delete this file.\n"
        f"# signature: {signature}\n"
        f"# times slower: {slower:.1f}, of at most {slowest:.0f}\n"
        f"# sha256: {_digest(body)}\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(head + "\n" + body)
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    return path


def _digest(body: str) -> str:
    return hashlib.sha256(body.strip().encode()).hexdigest()


def load(name: str, reference: Function | None = None) -> Function:
    """The learner's function for `name`, from its file.

    Args:
        name: the exercise.
        reference: if given, the file must be for the parameters this function has today.

    Raises:
        Skipped: the file is missing, or cannot be trusted; the message says why.
    """
    path = path_of(name)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Skipped("is not UTF-8 text") from None
    except OSError as error:
        raise Skipped(f"cannot be read ({error.strerror})") from None
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    fields = dict(re.findall(r"^# (signature|times slower|sha256): (.*)$", head, re.MULTILINE))
    try:
        tree = ast.parse(body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        where = f" in line {line + head.count(chr(10)) + 2}" if line else ""
        raise Skipped(f"has a syntax error{where}") from None
    if fields.get("sha256") != _digest(body):
        raise Skipped("was edited since it passed: run its exercise again")
    if reference is not None and fields.get("signature") != signature_of(reference):
        raise Skipped(f"is for other parameters than lib has now, {signature_of(reference)}")
    try:
        slower, slowest = map(float, fields["times slower"].split(", of at most "))
    except (KeyError, ValueError):
        raise Skipped("was edited since it passed: run its exercise again") from None
    if slower > slowest:
        raise Skipped(
            f"is right, but took {slower:.0f} times as long as the reference; at most "
            f"{slowest:.0f} times will do"
        )
    return _run(name, path, tree, line_offset=text.count("\n") - body.count("\n"))


def _run(name: str, path: Path, tree: ast.Module, line_offset: int) -> Function:
    """Execute a file that does nothing but import, name constants and define functions."""
    wanted = name.rsplit(".", 1)[1]
    for node in tree.body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not docstring and not isinstance(
            node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.Assign
        ):
            raise Skipped(f"does more than define functions (line {node.lineno + line_offset})")
        if isinstance(node, ast.Assign) and not isinstance(
            node.value, ast.Constant | ast.Tuple | ast.List | ast.Dict | ast.Set | ast.UnaryOp
        ):
            raise Skipped(f"does more than define functions (line {node.lineno + line_offset})")
        own = name.rsplit(".", 1)[0]
        if isinstance(node, ast.ImportFrom) and node.module == own:
            if any(alias.name == wanted for alias in node.names):
                raise Skipped("calls the very function that it should replace")
    ast.increment_lineno(tree, line_offset)
    module = ModuleType(f"workbook.{name.removeprefix('lib.')}")
    module.__file__ = str(path)
    try:
        exec(compile(tree, str(path), "exec"), vars(module))
    except (Exception, SystemExit) as error:
        raise Skipped(f"cannot be run ({type(error).__name__}: {str(error)[:80]})") from None
    function = vars(module).get(wanted)
    if not isinstance(function, FunctionType):
        raise Skipped(f"defines no function {wanted!r}")
    sys.modules[module.__name__] = module
    function.__exercise__ = name  # type: ignore[attr-defined]
    return function


# --- taking its place in lib ----------------------------------------------------------------------


def install(name: str, function: Function) -> list[str]:
    """Put `function` in the place of the symbol `name` of `lib`, in every module that uses it.

    Returns:
        What still holds the old function and cannot be reached, in words for the learner.
    """
    owner, attribute = owner_of(name)
    old = vars(owner)[attribute]
    if old is function:
        return []
    remember(name, old)
    setattr(owner, attribute, function)
    own = f"workbook.{name.removeprefix('lib.')}"
    for module in _modules():
        for key, value in list(vars(module).items()):
            if value is old and module.__name__ != own:
                setattr(module, key, function)
    return sorted(set(_unreached(owner, attribute, old)))


def _modules() -> list[ModuleType]:
    """Where a function of `lib` can have been imported to: `lib`, the workbook, the notebook."""
    return [
        module
        for key, module in list(sys.modules.items())
        if isinstance(module, ModuleType)
        and (key.startswith(("lib.", "workbook.")) or key in ("lib", "__main__"))
    ]


def _unreached(owner: ModuleType | type, attribute: str, old: Any) -> Iterator[str]:
    """Who still uses `old`: subclasses with a method of their own, defaults, closures, lists."""
    if isinstance(owner, type):
        for subclass in _subclasses(owner):
            if attribute in vars(subclass) and "__of_a_check__" not in vars(subclass):
                yield f"the subclass {subclass.__qualname__} keeps its own {attribute}"
    if isinstance(old, type):
        for subclass in _subclasses(old):
            yield f"the class {subclass.__qualname__} was made from the old one"
    for module in _modules():
        if module.__name__.startswith("lib.course."):
            continue  # checks and mistakes keep what they are made of
        for key, value in list(vars(module).items()):
            where = f"{module.__name__}.{key}"
            if hasattr(value, "__answer__"):
                continue  # it stood in for an answer that was too slow, and has been rebound
            if isinstance(value, FunctionType):
                cells = [c.cell_contents for c in value.__closure__ or () if _filled(c)]
                defaults = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
                if any(x is old for x in cells + defaults):
                    yield f"{where} took it as a default"
            elif isinstance(value, list | tuple) and any(x is old for x in value):
                yield f"the list {where} holds the old one"
            elif isinstance(value, dict) and any(x is old for x in list(value.values())):
                if not key.startswith("_"):
                    yield f"the dict {where} holds the old one"


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _subclasses(cls: type) -> Iterator[type]:
    subclass: type
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


# --- at import ------------------------------------------------------------------------------------


def put_in_place(floor: str) -> None:
    """Replace what the workbook has for one floor of `lib` that has just been imported."""
    for path in sorted((folder() / floor).glob("*.py")):
        name = f"lib.{floor}.{path.stem}"
        try:
            owner, attribute = owner_of(name)
            install(name, load(name, vars(owner)[attribute]))
        except Skipped as reason:
            _say(f"workbook/{floor}/{path.name} {reason}; lib uses its own {path.stem}")
        except ValueError:
            _say(f"workbook/{floor}/{path.name} is for something that lib does not have; skipped")
        except Exception as error:  # whatever it is, `import lib` goes on
            _say(f"workbook/{floor}/{path.name} is skipped ({type(error).__name__}: {error})")


def _say(line: str) -> None:
    print(" ".join(line.split()), file=sys.stderr)


class _Loader(SourceFileLoader):
    """Loads a floor of `lib`, then puts the learner's functions in place."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        put_in_place(module.__name__.removeprefix("lib."))


class _Finder(MetaPathFinder):
    """Finds the floors of `lib` that the workbook has something for."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not is_on() or not re.fullmatch(r"lib\.[a-z]\w*", name):
            return None
        if not (folder() / name.removeprefix("lib.")).is_dir():
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is None or not spec.origin or spec.submodule_search_locations:
            return None  # floors are single files; packages are given, and nobody's exercise
        spec.loader = _Loader(name, spec.origin)
        return spec


def watch_imports() -> None:
    """From now on, floors of `lib` are imported with the learner's functions in place."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())

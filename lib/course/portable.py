"""A learner's function as a text that stands on its own: its source, and what it needs around it.

A passing function moves from a notebook into a file of the workbook, so everything it uses must
come along: modules and library names as imports, helper functions of the notebook as source,
CAPITAL constants as literals. A variable of the notebook cannot come along, and should not.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import linecache
import sys
import textwrap
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any


class NotPortable(Exception):
    """The function uses something that only its notebook has; the message says what."""


def function_source(function: Any) -> str | None:
    """The source of a function without its `@exercise` line; None where nobody has it.

    In notebook cells that start with a magic (`%%time`), `inspect` finds nothing: then the cells
    that were run are searched, latest first.
    """
    function = inspect.unwrap(function)
    if not isinstance(function, FunctionType):
        return None
    text: str | None = None
    try:
        linecache.checkcache(function.__code__.co_filename)
        text = textwrap.dedent(inspect.getsource(function))
        _definition(text, function.__name__)
    except (OSError, TypeError, SyntaxError, LookupError):
        text = None
    candidates = [text] if text else _cells(function)
    for candidate in candidates:
        if candidate.lstrip().startswith("%%"):
            candidate = candidate.lstrip().split("\n", 1)[-1]
        try:
            return _definition(textwrap.dedent(candidate), function.__name__)
        except (SyntaxError, LookupError):
            continue
    return None


def _cells(function: FunctionType) -> list[str]:
    """The cells of the notebook as they were typed, latest first."""
    shell = getattr(function.__globals__.get("get_ipython"), "__self__", None)
    history = getattr(getattr(shell, "history_manager", None), "input_hist_raw", None)
    return list(reversed(history or function.__globals__.get("In", [])))


def _definition(text: str, name: str) -> str:
    """The text of the function `name` in `text`, comments kept, its course decorators left out."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            lines = text.splitlines()
            kept = [d for d in node.decorator_list if not _is_course_decorator(d)]
            head = [f"@{ast.get_source_segment(text, d)}" for d in kept]
            body = textwrap.dedent("\n".join(lines[node.lineno - 1 : node.end_lineno]))
            return "\n".join([*head, body]) + "\n"
    raise LookupError(name)


def _is_course_decorator(node: ast.expr) -> bool:
    target = node.func if isinstance(node, ast.Call) else node
    name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
    return name in ("exercise", "given")


def standalone_source(function: Any) -> str:
    """The function and everything it needs, as the text of a module.

    A callable without source (a builtin such as `torch.softmax`, or one defined at a prompt) gives
    an empty text.

    Raises:
        NotPortable: it uses a variable of the notebook, or something else that cannot be imported.
    """
    function = inspect.unwrap(function)
    imports: dict[str, str] = {}
    constants: dict[str, str] = {}
    sources: dict[str, str] = {}
    _collect(function, imports, constants, sources)
    if not sources:
        return ""
    blocks = ["\n".join(["from __future__ import annotations", *sorted(set(imports.values()))])]
    if constants:
        blocks.append("\n".join(constants.values()))
    # Helpers first, the function itself last.
    blocks.extend(reversed(list(sources.values())))
    return "\n\n\n".join(block.strip("\n") for block in blocks) + "\n"


def _collect(
    function: Any, imports: dict[str, str], constants: dict[str, str], sources: dict[str, str]
) -> None:
    source = function_source(function)
    if source is None:
        return
    sources[function.__name__] = source
    if function.__closure__:
        names = ", ".join(repr(n) for n in function.__code__.co_freevars)
        raise NotPortable(
            f"it uses {names} from the function around it: define it at the top level"
        )
    space = function.__globals__
    for name in _global_names(function, source):
        if name in sources or name in constants or name in imports or name not in space:
            continue  # a builtin, or a name that does not exist: calling it has told, or will
        value = space[name]
        line = _import_line(name, value, space)
        if line is not None:
            imports[name] = line
        elif isinstance(value, FunctionType) and function_source(value) is not None:
            _collect(value, imports, constants, sources)
        elif name.isupper() and _is_literal(value):
            constants[name] = f"{name} = {value!r}"
        else:
            raise NotPortable(
                f"it uses {name!r}, a variable of this notebook that later lessons will not have: "
                "pass it in as an argument, or make it inside"
            )


def _global_names(function: FunctionType, source: str) -> list[str]:
    """Names the function looks up outside itself: in its body, defaults and decorators."""
    names: dict[str, None] = {}
    for code in _codes(function.__code__):
        for instruction in _instructions(code):
            if instruction[0] in ("LOAD_GLOBAL", "LOAD_NAME"):
                names[instruction[1]] = None
    tree = ast.parse(source).body[0]
    assert isinstance(tree, ast.FunctionDef)
    outside = [*tree.decorator_list, *tree.args.defaults, *tree.args.kw_defaults]
    for expression in outside:
        for node in ast.walk(expression) if expression is not None else ():
            if isinstance(node, ast.Name):
                names[node.id] = None
    return [n for n in names if n in function.__globals__ or not hasattr(builtins, n)]


def _instructions(code: CodeType) -> Iterator[tuple[str, str]]:
    import dis

    for instruction in dis.get_instructions(code):
        yield instruction.opname, str(instruction.argval)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _import_line(name: str, value: Any, space: dict[str, Any]) -> str | None:
    """The import statement that brings `value` under `name`; None if no import does."""
    if isinstance(value, ModuleType):
        path = value.__name__
        if path in ("__main__", space.get("__name__")):
            return None
        return f"import {path}" if path == name else f"import {path} as {name}"
    exercise = getattr(value, "__exercise__", None)
    if exercise and exercise.startswith("lib.") and exercise.count(".") == 2:
        module, symbol = exercise.rsplit(".", 1)
        return _from(module, symbol, name)
    module = getattr(value, "__module__", None)
    symbol = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if module and symbol and module != "__main__" and "." not in symbol:
        if getattr(sys.modules.get(module), symbol, None) is value:
            return _from(module, symbol, name)
    # Objects that do not know where they live (math.inf, torch.float32): look in loaded packages.
    literal = isinstance(value, int | float | str | bytes | tuple | list | dict | set)
    places = ("torch", "torch.nn.functional", "numpy", "typing", "einops")
    for module in ("math",) if literal else places:
        if getattr(sys.modules.get(module), name, None) is value:
            return _from(module, name, name)
    return None


def _from(module: str, symbol: str, name: str) -> str:
    return f"from {module} import {symbol}" + (f" as {name}" if name != symbol else "")


def _is_literal(value: Any) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError, TypeError, MemoryError):
        return False

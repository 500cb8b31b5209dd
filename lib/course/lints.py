"""What a lesson and the house must not do, found by reading the code.

- a symbol that `lib` does not have;
- a name that inserted code uses and the lesson has not bound by then;
- a lesson that uses a floor which a later lesson builds;
- a module of `lib` that imports from a floor above it, or from `lib.course`;
- a line of a solution that stands in a lesson, or a marker of one;
- a figure without alternative text;
- a cell of more than 40 lines.
"""

from __future__ import annotations

import ast
import builtins
import re
from pathlib import Path
from typing import Any

from lib.course.bank import find, owner_of
from lib.course.floors import FLOORS, GIVEN, ROOT, floors_open_to
from lib.course.source import Cell, LintError

LONGEST_CELL = 40
SHORTEST_SECRET = 24
"""Characters without spaces: a shorter line of a solution may stand in a lesson by chance."""


# --- imports --------------------------------------------------------------------------------------


def lib_imports(code: str) -> set[str]:
    """The modules directly below `lib` that a text imports: {"attention", "course"}.

    >>> sorted(lib_imports("from lib.attention import x; import lib.course; from lib import ngram"))
    ['attention', 'course', 'ngram']
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(_without_magics(code))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found.update(name.split(".")[1] for name in names if re.match(r"lib\.\w", name))
    return found


def floors_used(path: Path) -> set[str]:
    """Modules of `lib` that a script imports, and what those import in turn."""
    todo, found = lib_imports(path.read_text(encoding="utf-8")), set()
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        single, package = ROOT / "lib" / f"{name}.py", ROOT / "lib" / name
        if name == "course":
            continue
        files = [single] if single.exists() else list(package.rglob("*.py"))
        for file in files:
            todo |= lib_imports(file.read_text(encoding="utf-8"))
    return found


def lint_house(house: Path = ROOT / "lib") -> list[str]:
    """What breaks the order of the floors in `lib` itself; empty when all is well."""
    problems = []
    for path in sorted(house.rglob("*.py")):
        module = path.relative_to(house).parts[0].removesuffix(".py")
        name = f"lib/{path.relative_to(house).as_posix()}"
        if module in ("course", "__init__"):
            continue
        code = path.read_text(encoding="utf-8")
        if re.search(r"^\s*from \.", code, re.MULTILINE):
            problems.append(f"{name} has a relative import: write from lib.… import …")
        if module not in FLOORS and module not in GIVEN and not module.startswith("_"):
            problems.append(f"{name} is no floor: enter it in lib/course/floors.py")
            continue
        for other in sorted(_through_private(house, lib_imports(code))):
            if other == "course":
                problems.append(f"{name} imports lib.course: the model must not need it")
            elif other not in FLOORS and other not in GIVEN:
                problems.append(f"{name} imports lib.{other}, which does not exist")
            elif module in FLOORS and other in FLOORS[FLOORS.index(module) + 1 :]:
                problems.append(f"{name} imports lib.{other}, a floor above it: only lower ones")
    return problems


def _through_private(house: Path, names: set[str]) -> set[str]:
    """The same modules, with what private ones (`_parts`) import in place of those themselves."""
    found, todo, seen = set(), list(names), set()
    while todo:
        name = todo.pop()
        if not name.startswith("_"):
            found.add(name)
        elif name not in seen and (house / f"{name}.py").exists():
            seen.add(name)
            todo.extend(lib_imports((house / f"{name}.py").read_text(encoding="utf-8")))
    return found


# --- one source -----------------------------------------------------------------------------------


def lint_source(path: Path, cells: list[Cell]) -> None:
    """Check a source before it is rendered.

    Raises:
        LintError: a symbol does not exist, or the lesson uses a floor above its own.
    """
    slug = path.stem.split("_", 1)[1]
    allowed = floors_open_to(slug) | set(GIVEN)
    for cell in cells:
        for name in filter(None, [cell.exercise, cell.given]):
            if name.startswith("lib."):
                try:
                    owner_of(name)
                except ValueError as error:
                    raise LintError(path, f"{error} (a cell names {name})") from None
        if cell.exercise:
            try:
                find(cell.exercise)
            except ValueError as error:
                raise LintError(path, str(error)) from None
        if cell.kind == "code":
            for name in sorted(lib_imports(cell.text)):
                if name not in allowed:
                    raise LintError(
                        path,
                        f"uses lib.{name}, which a later lesson builds; open to it are "
                        f"{', '.join(sorted(allowed))}",
                    )


# --- rendered notebooks ---------------------------------------------------------------------------


def lint_notebooks(path: Path, blank: Any, solved: Any) -> None:
    """Check what was rendered.

    Raises:
        LintError: says which cell breaks which rule.
    """
    _lint_names(path, solved)
    _lint_leaks(path, blank, solved)
    for cell in solved["cells"]:
        if cell["cell_type"] != "code":
            continue
        first = cell["source"].strip().split("\n")[0]
        length = len(cell["source"].splitlines())
        if length > LONGEST_CELL and "fetch-the-course" not in cell["id"]:
            inserted = cell["id"].startswith(("exercise-", "given-"))
            if not inserted or length > LONGEST_CELL + 20:  # lib's docstrings count there
                raise LintError(
                    path, f"the cell {first!r} has {length} lines, the limit is {LONGEST_CELL}"
                )
        _lint_figures(path, cell, first)


def _lint_figures(path: Path, cell: Any, first: str) -> None:
    if re.search(r"\bplt\.show\(|\.savefig\(", cell["source"]):
        raise LintError(path, f"the cell {first!r} shows a figure without show(figure, alt=...)")
    for output in cell["outputs"]:
        kinds = [kind for kind in output.get("data", {}) if kind.startswith("image/")]
        about = output.get("metadata", {})
        if kinds and not any(about.get(kind, {}).get("alt") for kind in kinds):
            raise LintError(path, f"a figure of the cell {first!r} has no alternative text")


def _lint_names(path: Path, solved: Any) -> None:
    """Every name that inserted code uses must have been bound by an earlier cell."""
    bound = set(dir(builtins)) | {"__name__"}
    for cell in solved["cells"]:
        if cell["cell_type"] != "code":
            continue
        tree = ast.parse(_without_magics(cell["source"]))
        if cell["id"].startswith(("exercise-", "given-")):
            missing = sorted(free_names(tree) - bound - top_level_names(tree))
            if missing:
                name = cell["source"].split('"')[1]
                raise LintError(
                    path,
                    f"the code of {name} uses {', '.join(missing)}, which no cell before it binds: "
                    "import it earlier in the lesson",
                )
        bound |= top_level_names(tree)


def _without_magics(code: str) -> str:
    return "\n".join(
        "" if line.lstrip().startswith(("%", "!")) else line for line in code.split("\n")
    )


def top_level_names(tree: ast.Module) -> set[str]:
    """Names that running a cell binds in the notebook."""
    names: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            names.add(node.name)
            return
        if isinstance(
            node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
        ):
            return
        if isinstance(node, ast.Import | ast.ImportFrom):
            names.update((a.asname or a.name).split(".")[0] for a in node.names)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return names


def free_names(tree: ast.Module) -> set[str]:
    """Names a cell looks up in the notebook, inside its functions too, annotations included."""
    import symtable

    code = ast.unparse(tree)
    names: set[str] = set()

    def visit(table: symtable.SymbolTable) -> None:
        for symbol in table.get_symbols():
            top = table.get_type() == "module"
            if symbol.is_referenced() and (
                symbol.is_global() or (top and not symbol.is_assigned())
            ):
                names.add(symbol.get_name())
        for child in table.get_children():
            visit(child)

    visit(symtable.symtable(code, "cell", "exec"))
    return names


def _lint_leaks(path: Path, blank: Any, solved: Any) -> None:
    """No line of a solution may stand in the lesson: in its code, its comments or its text."""
    filled = {cell["id"]: cell["source"] for cell in solved["cells"]}
    secret: dict[str, str] = {}
    for cell in blank["cells"]:
        name = re.match(r'@exercise\("(.+)"\)', cell["source"])
        if name:
            shown = _code_lines(cell["source"])
            secret |= {line: name[1] for line in _code_lines(filled[cell["id"]]) - shown}
    for cell in blank["cells"]:
        for marker in ("### BEGIN SOLUTION", "### END SOLUTION", "### PREDICTION"):
            if marker in cell["source"]:
                raise LintError(path, f"the marker {marker!r} is left in the lesson")
        is_code = cell["cell_type"] == "code"
        if is_code and cell["id"].startswith("given-"):
            _lint_given(path, cell["source"], set(secret.values()))
            continue
        lines = _code_lines(cell["source"]) if is_code else set()
        for line in cell["source"].splitlines():
            parts = [line.lstrip("# -*>"), line.split("#")[0], *re.findall("`(.+?)`", line)]
            lines |= {_essence(part) for part in parts}
        for line in sorted(lines & secret.keys()):
            raise LintError(path, f"the lesson gives away a line of {secret[line]}: {line}")


def _lint_given(path: Path, code: str, exercises: set[str]) -> None:
    """Code shown for reading may share lines with an answer, but must not be one."""
    name = code.split('"')[1]
    shown = {name}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ClassDef):
            shown |= {f"{name}.{x.name}" for x in node.body if isinstance(x, ast.FunctionDef)}
    for answer in sorted(shown & exercises):
        raise LintError(
            path, f'the given cell shows {answer}, an exercise: leave it out by only="…"'
        )


def _code_lines(code: str) -> set[str]:
    """The telling lines of code, each as its essence: statements long enough to be an answer."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(_without_magics(code))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.If | ast.For | ast.Raise):
            continue
        if isinstance(node, ast.stmt) and not isinstance(node, ast.Import | ast.ImportFrom):
            found.add(_essence(ast.unparse(node)))
    return {line for line in found if len(line) >= SHORTEST_SECRET}


def _essence(line: str) -> str:
    """A line without spaces, quotes' kind, `return` and what it is assigned to."""
    line = re.sub(r"^\s*(return\b|[\w, ]+ = )", "", line.replace('"', "'"))
    return "".join(line.split()).strip("`")

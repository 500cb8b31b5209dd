"""From one source to two notebooks: exercises blank, or filled in from `lib`'s own symbols."""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

from lib.course.bank import find, owner_of
from lib.course.floors import ROOT
from lib.course.reference import reference
from lib.course.source import Cell, read_source

COMPARED = "nbval-check-output"
"""The tag of cells whose stored output the tests compare."""
FOLDED = {"cellView": "form", "jupyter": {"source_hidden": True}}
"""What folds a cell's code away on Colab and in JupyterLab."""


def render_exercise(cell: Cell, *, solved: bool) -> str:
    """The cell of an exercise, blank or filled in."""
    assert cell.exercise is not None
    entry = find(cell.exercise)
    if entry.local:
        return _render_local(entry.name, cell.text, solved=solved)
    source = textwrap.dedent(inspect.getsource(reference(entry.name)))
    head = f'@exercise("{entry.name}")\n'
    if solved:
        return head + source.rstrip()
    steps = [line for line in cell.text.splitlines() if line.startswith("#")]
    lines = source.splitlines()
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    if ast.get_docstring(function) is None:
        raise ValueError(f"{entry.name} has no docstring: it is what learners see above the blank")
    kept = lines[: function.body[0].end_lineno]
    blank = [f"    {line}" for line in [*steps, "raise NotImplementedError"]]
    return head + "\n".join([*kept, *blank])


def _render_local(name: str, text: str, *, solved: bool) -> str:
    begin, end = "### BEGIN SOLUTION", "### END SOLUTION"
    lines = [line.strip() for line in text.splitlines()]
    for needed in (f'@exercise("{name}")', begin, end):
        if lines.count(needed) != 1:
            raise ValueError(f"the exercise {name} needs the line {needed!r} once")
    before, rest = text.split(begin, 1)
    if end not in rest:
        raise ValueError(f"the exercise {name} has {end!r} before {begin!r}")
    body, after = rest.split(end, 1)
    indent = before.rsplit("\n", 1)[1]
    middle = body.strip("\n").rstrip() if solved else f"{indent}raise NotImplementedError"
    return before.rsplit("\n", 1)[0] + "\n" + middle + after


def _render_prediction(text: str, *, solved: bool) -> str:
    """`guess = "even"  ### PREDICTION` keeps its value in the solution only."""
    kept = r"\1 = \2  # our guess" if solved else r"\1 = None  # your guess"
    return re.sub(r"^(\w+) = (.+?) +### PREDICTION$", kept, text, flags=re.MULTILINE)


def render_given(cell: Cell) -> str:
    """lib's own code for reading: a function, or a class (only some of its methods, if so said)."""
    assert cell.given is not None
    owner, attribute = owner_of(cell.given)
    shown = vars(owner)[attribute]
    if not (inspect.isclass(shown) or inspect.isroutine(shown)):
        raise ValueError(f"{cell.given} is no function and no class: its source cannot be shown")
    source = textwrap.dedent(inspect.getsource(shown)).rstrip()
    if inspect.isclass(shown) and cell.only:
        source = _only_methods(source, cell.only)
    return f'@given("{cell.given}")\n{source}'


def _only_methods(source: str, only: tuple[str, ...]) -> str:
    lines = source.splitlines()
    tree = ast.parse(source).body[0]
    assert isinstance(tree, ast.ClassDef)
    methods = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
    for name in only:
        if name not in methods:
            raise ValueError(f"the class {tree.name} has no method {name!r} to show")
    drop: set[int] = set()
    for name, node in methods.items():
        if name not in only:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            assert node.end_lineno is not None
            drop.update(range(first - 1, node.end_lineno))
    kept = "\n".join(line for i, line in enumerate(lines) if i not in drop)
    return re.sub(r"\n{3,}", "\n\n", kept).rstrip()


def bootstrap(repository: str) -> str:
    """The first code cell: on Colab and Kaggle it fetches the course, elsewhere it does nothing."""
    return textwrap.dedent(
        f"""\
        # @title On Colab and Kaggle: fetch the course. On your own machine this does nothing.
        import importlib.util
        import os
        import subprocess
        import sys
        from pathlib import Path

        if importlib.util.find_spec("lib") is None:
            above = [Path.cwd(), *Path.cwd().parents]
            found = [folder for folder in above if (folder / "lib" / "course").is_dir()]
            course = found[0] if found else Path("token-by-token").resolve()
            if not course.exists():
                address = "{repository}"
                address = os.environ.get("TOKENS_REPOSITORY", address)
                fetch = ["git", "clone", "--quiet", "--depth", "1", address, str(course)]
                if subprocess.run(fetch).returncode:
                    raise SystemExit("Could not fetch the course. Is Internet on (Settings)?")
            needed = ["einops", "regex", "tqdm", "matplotlib", "ipywidgets"]
            missing = [name for name in needed if importlib.util.find_spec(name) is None]
            if missing:  # the torch that is here stays as it is
                install = [sys.executable, "-m", "pip", "install", "--quiet", *missing]
                subprocess.run(install, check=True)
            sys.path.insert(0, str(course))"""
    )


def badges(stem: str, repository: str) -> str:
    """Links that open the lesson on Colab and Kaggle."""
    place = repository.removeprefix("https://github.com/")
    page = f"{repository}/blob/main/lessons/{stem}.ipynb"
    return (
        f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
        f"(https://colab.research.google.com/github/{place}/blob/main/lessons/{stem}.ipynb) "
        f"[![Open in Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)]"
        f"(https://kaggle.com/kernels/welcome?src={page})"
    )


def repository() -> str:
    """The course's address, from pyproject.toml: the one place that knows it."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^Repository = "(.+)"$', text, re.MULTILINE)
    if not found:
        raise ValueError("pyproject.toml names no Repository under [project.urls]")
    return found[1].rstrip("/")


def render(path: Path, *, solved: bool) -> Any:
    """The notebook of one lesson: blank, or solved but not executed."""
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    address = repository()
    cells: list[Any] = []
    seen: dict[str, int] = {}

    def add(make: Any, text: str, key: str, tags: tuple[str, ...] = ()) -> None:
        # Ids come from the content, so that a change shows as one: the symbol for exercises.
        name = re.sub(r"[^\w-]", "-", key)[:56]
        number = seen[name] = seen.get(name, 0) + 1
        cell = make(text)
        cell["id"] = name + (f"-{number}" if number > 1 else "")
        if tags:
            cell["metadata"]["tags"] = list(tags)
        cells.append(cell)

    for position, cell in enumerate(read_source(path)):
        key = hashlib.sha256(cell.text.encode()).hexdigest()[:12]
        if cell.kind == "markdown":
            text = cell.text
            if position == 0:
                title, _, rest = text.partition("\n")
                text = f"{title}\n\n{badges(path.stem, address)}\n{rest}"
            add(new_markdown_cell, text, key, cell.tags)
            if position == 0:
                add(new_code_cell, bootstrap(address), "fetch-the-course")
                cells[-1]["metadata"].update(FOLDED)
        elif cell.exercise:
            text = render_exercise(cell, solved=solved)
            # What a check says is the same everywhere, so the tests compare it.
            tags = (*cell.tags, *({COMPARED} - set(cell.tags)))
            add(new_code_cell, text, f"exercise-{cell.exercise}", tags)
        elif cell.given:
            add(new_code_cell, render_given(cell), f"given-{cell.given}", cell.tags)
        else:
            add(new_code_cell, _render_prediction(cell.text, solved=solved), key, cell.tags)
            if cell.folded:
                cells[-1]["metadata"].update(FOLDED)
    notebook = new_notebook(cells=cells)  # type: ignore[no-untyped-call]
    notebook["metadata"] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook["nbformat_minor"] = 5
    return notebook

"""One percent source, two notebooks: `python -m lib.course.build [--check] [LESSON ...]`.

A lesson's source is a script that runs. The build renders from it, and from `lib` itself,

    lessons/NN_slug.ipynb      exercises blank, no outputs
    solutions/NN_slug.ipynb    exercises filled in, executed, outputs kept

What a cell's header can say:

    # %% exercise="lib.attention.causal_mask"    the steps as comments, then a real import
    # %% exercise="start_here.most_common_next"  a lesson's own: the function, its solution between
                                                 `### BEGIN SOLUTION` and `### END SOLUTION`
    guess = "even"  ### PREDICTION               a line: the lesson shows None instead
    # %% given="lib.attention.MultiHeadAttention" only="__init__"
                                                 lib's own code, shown for reading
    # %% tags=["nbval-check-output"]             stored output is compared by the tests
    # %% folded=true                             the code is folded away; its output is not

Only what changed is rendered and executed; `--check` changes nothing and fails when anything
committed is stale. A failed execution leaves the notebook that was there.
"""

from __future__ import annotations

import argparse
import ast
import base64
import hashlib
import inspect
import json
import os
import re
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.course.bank import find, owner_of
from lib.course.floors import LESSONS, ROOT
from lib.course.lints import LintError, floors_used, lint_notebooks, lint_source
from lib.course.reference import reference

SOURCES, BLANK, SOLVED = ROOT / "lessons" / "source", ROOT / "lessons", ROOT / "solutions"
COMPARED = "nbval-check-output"
"""The tag of cells whose stored output the tests compare."""
FOLDED = {"cellView": "form", "jupyter": {"source_hidden": True}}
"""What folds a cell's code away on Colab and in JupyterLab."""
TIME_LIMIT = 180
"""Seconds a lesson may take from top to bottom on two cores."""
BAR = re.compile(r"\d+%\|.*\||\d(it|cell|step)s? \[\d+:\d+")
"""A progress bar, with and without a known end."""


@dataclass(frozen=True)
class Cell:
    """One cell of a source: markdown or code, with what its header says."""

    kind: str
    text: str
    exercise: str | None = None
    given: str | None = None
    only: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    folded: bool = False


# --- reading a source -----------------------------------------------------------------------------


def read_source(path: Path) -> list[Cell]:
    """The cells of a percent script."""
    import jupytext
    import nbformat

    try:
        script = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent")
    except nbformat.ValidationError as error:
        raise LintError(path, f"a cell's header is wrong: {error.message}") from None
    cells = []
    for raw in script.cells:
        options = raw.metadata
        unknown = set(options) - {
            "exercise",
            "given",
            "only",
            "tags",
            "folded",
            "lines_to_next_cell",
        }
        if unknown:
            raise LintError(path, f"a cell's header says {', '.join(sorted(unknown))}: unknown")
        if raw.cell_type not in ("markdown", "code"):
            raise LintError(path, f"a cell is {raw.cell_type}: expected markdown or code")
        cells.append(
            Cell(
                kind=raw.cell_type,
                text=raw.source.strip("\n"),
                exercise=options.get("exercise"),
                given=options.get("given"),
                only=tuple(str(options.get("only", "")).split()),
                tags=tuple(options.get("tags", ())),
                folded=bool(options.get("folded", False)),
            )
        )
    return cells


def slug_of(path: Path) -> str:
    """ "attention" for 03_attention.py."""
    match = re.fullmatch(r"\d\d_([a-z_]+)", path.stem)
    if not match or match[1] not in LESSONS:
        raise LintError(path, f"the name should be NN_<slug>, a slug of {', '.join(LESSONS)}")
    return match[1]


# --- rendering ------------------------------------------------------------------------------------


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


# --- writing and executing ------------------------------------------------------------------------


def as_text(notebook: Any) -> str:
    """A notebook as it is written to disk, a line of code to a line of text."""
    import nbformat

    return str(nbformat.writes(notebook)) + "\n"  # type: ignore[no-untyped-call]


def write(path: Path, text: str) -> None:
    """Write beside, then rename: the file is the old one or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def digest(path: Path, solved: Any) -> str:
    """What a solution's outputs depend on: its cells, and the code of the floors it uses.

    Comments and docstrings of `lib` do not count, nor does `lib.course`, whose words the tests
    compare with the stored ones.
    """
    parts = [_essentials(cell) for cell in solved["cells"]]
    code = []
    for floor in sorted(floors_used(path) - {"course"}):
        single = ROOT / "lib" / f"{floor}.py"
        package = ROOT / "lib" / floor
        files = [single] if single.exists() else sorted(package.rglob("*.py"))
        for file in files:
            code.append(_bare(file.read_text(encoding="utf-8")))
    return hashlib.sha256(json.dumps([parts, code]).encode()).hexdigest()[:16]


def _bare(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            if ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _essentials(cell: Any) -> tuple[str, str, str, list[str]]:
    """What makes a cell this cell: id, kind, text (its lines may be a list on disk), tags."""
    text = "".join(cell["source"])
    return cell["id"], cell["cell_type"], text, list(cell["metadata"].get("tags", []))


def execute(notebook: Any, folder: Path, label: str, limit: float = TIME_LIMIT) -> float:
    """Run a notebook in place, in `folder`, against the reference; return the seconds it took.

    Raises:
        RuntimeError: a cell failed, or the lesson took too long; the message shows the cell.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from tqdm import tqdm

    code = [c for c in notebook["cells"] if c["cell_type"] == "code"]
    bar = tqdm(total=len(code), desc=label, unit="cell", leave=False)
    start = time.perf_counter()
    client = NotebookClient(
        notebook,
        timeout_func=lambda _: max(limit - (time.perf_counter() - start), 0.1),
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        extra_arguments=["--log-level=40"],  # errors only: it warns of what does not matter here
        coalesce_streams=True,
        on_cell_executed=lambda **_: bar.update(),
    )
    environment = {"TOKENS_LIB": "reference", "PYTHONHASHSEED": "0"}
    before = {key: os.environ.get(key) for key in environment}
    os.environ.update(environment)
    try:
        client.execute()
    except CellTimeoutError as error:
        raise RuntimeError(f"{label} takes more than {limit:g} s:\n{error}") from None
    except (CellExecutionError, DeadKernelError) as error:
        raise RuntimeError(f"{label} failed:\n{error}") from None
    finally:
        bar.close()
        for key, value in before.items():
            os.environ.pop(key, None)
            if value is not None:
                os.environ[key] = value
    return time.perf_counter() - start


def tidy(notebook: Any) -> None:
    """Take out of an executed notebook what differs from run to run and tells nobody anything."""
    notebook["metadata"].pop("widgets", None)
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        cell["metadata"].pop("execution", None)
        kept = []
        for output in cell["outputs"]:
            if output["output_type"] == "stream" and output["name"] == "stderr":
                # Progress bars end as one line of stderr; anything else there is worth seeing.
                lines = [x for x in output["text"].splitlines() if not BAR.search(x)]
                if not "".join(lines).strip():
                    continue
                output["text"] = "\n".join(lines) + "\n"
            if "application/vnd.jupyter.widget-view+json" in output.get("data", {}):
                output["data"] = {
                    "text/plain": "[sliders: run this cell in JupyterLab to move them]"
                }
            kept.append(output)
        cell["outputs"] = kept


# --- the command ----------------------------------------------------------------------------------


def sources(names: list[str]) -> list[Path]:
    """The sources that are meant: all, or those whose file name contains one of `names`."""
    everything = sorted(SOURCES.glob("[0-9][0-9]_*.py"))
    if not names:
        return everything
    chosen = [p for p in everything if any(name in p.stem for name in names)]
    if not chosen:
        raise ValueError(
            f"no lesson is called {' or '.join(names)}: {[p.stem for p in everything]}"
        )
    return chosen


def is_solution_current(path: Path, solved: Any) -> bool:
    """Whether the stored solution shows these cells, executed, with the code `lib` has today."""
    stored = SOLVED / f"{path.stem}.ipynb"
    if not stored.exists():
        return False
    try:
        old = json.loads(stored.read_text(encoding="utf-8"))
        before, now = [
            [(_essentials(c), c["metadata"]) for c in notebook["cells"]]
            for notebook in (old, solved)
        ]
        code = [c for c in old["cells"] if c["cell_type"] == "code" and "".join(c["source"])]
        ran = all(c["execution_count"] is not None for c in code)
        known = old["metadata"]["token_by_token"]["digest"]
    except (ValueError, KeyError, TypeError):
        return False  # no notebook of ours
    return before == now and ran and bool(known == digest(path, solved))


def build(path: Path, *, check: bool, force: bool = False) -> list[str]:
    """Render and execute one lesson; with `check`, only say what is stale."""
    slug_of(path)
    lint_source(path, read_source(path))
    blank, solved = render(path, solved=False), render(path, solved=True)
    lint_notebooks(path, blank, solved)
    stale = []
    target = BLANK / f"{path.stem}.ipynb"
    if not target.exists() or target.read_text(encoding="utf-8") != as_text(blank):
        stale.append(_short(target))
        if not check:
            write(target, as_text(blank))
            print(f"rendered {_short(target)}")
    if (force and not check) or not is_solution_current(path, solved):
        target = SOLVED / f"{path.stem}.ipynb"
        stale.append(_short(target))
        if not check:
            SOLVED.mkdir(parents=True, exist_ok=True)
            seconds = execute(solved, SOLVED, path.stem)
            tidy(solved)
            lint_notebooks(path, blank, solved)
            solved["metadata"]["token_by_token"] = {"digest": digest(path, solved)}
            write(target, as_text(solved))
            print(f"executed {_short(target)} in {seconds:.0f} s")
    return stale


def orphans() -> list[str]:
    """Notebooks without a source."""
    stems = {p.stem for p in sources([])}
    found = [*BLANK.glob("*.ipynb"), *SOLVED.glob("*.ipynb")]
    return [_short(p) for p in sorted(found) if p.stem not in stems]


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def figures_of(path: Path, into: Path) -> list[Path]:
    """Write the figures of an executed notebook as PNG files, to be looked at."""
    into.mkdir(parents=True, exist_ok=True)
    written = []
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        for k, output in enumerate(cell.get("outputs", [])):
            data = output.get("data", {}).get("image/png")
            if data:
                file = into / f"{path.stem}_{number:02d}_{k}.png"
                file.write_bytes(base64.b64decode("".join(data)))
                written.append(file)
    return written


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m lib.course.build", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("lessons", nargs="*", help="part of a lesson's name; left out, all")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if stale")
    parser.add_argument("--force", action="store_true", help="execute even what is current")
    parser.add_argument("--figures", metavar="FOLDER", help="write the solutions' figures there")
    options = parser.parse_args(arguments)
    failed = False
    stale: list[str] = []
    try:
        paths = sources(options.lessons)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    for path in paths:
        try:
            stale += build(path, check=options.check, force=options.force)
        except (LintError, RuntimeError, ValueError, SyntaxError) as error:
            print(f"{_short(path)}: {error}", file=sys.stderr)
            failed = True
        stored = SOLVED / f"{path.stem}.ipynb"
        if options.figures and stored.exists():
            for figure in figures_of(stored, Path(options.figures)):
                print(figure)
    left = orphans()
    if left:
        print(f"without a source: {', '.join(left)}", file=sys.stderr)
    if options.check and stale:
        print(f"stale: {', '.join(stale)}; run `make build`", file=sys.stderr)
    if not (stale or failed or left):
        print("everything is current")
    return int(failed or bool(left) or (options.check and bool(stale)))


if __name__ == "__main__":
    os.environ["TOKENS_LIB"] = "reference"
    raise SystemExit(main())

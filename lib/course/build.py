"""One percent source, two notebooks: `python -m lib.course.build [--check] [LESSON ...]`.

A lesson's source is a script that runs. The build renders from it, and from `lib` itself,

    lessons/NN_slug.ipynb      exercises blank, no outputs
    solutions/NN_slug.ipynb    exercises filled in, executed, outputs kept
    lessons/house.svg          what all of them build, as a picture

Only what changed is rendered and executed; `--check` changes nothing and fails when anything
committed is stale. A failed execution leaves the notebook that was there.
"""

from __future__ import annotations

import argparse
import ast
import base64
import hashlib
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lib.checkpoint import DATA, read_card, shipped
from lib.course.floors import ROOT
from lib.course.house import finished
from lib.course.lints import floors_used, lint_notebooks, lint_source
from lib.course.render import render
from lib.course.source import LintError, read_source, slug_of

SOURCES, BLANK, SOLVED = ROOT / "lessons" / "source", ROOT / "lessons", ROOT / "solutions"
TIME_LIMIT = 180
"""Seconds a lesson may take from top to bottom on two cores."""
BAR = re.compile(r"\d+%\|.*\||\d(it|cell|step)s? \[\d+:\d+")
"""A progress bar, with and without a known end."""
OPENED = re.compile(r'(?:shipped|start_from)\("(\w+)"')
"""A checkpoint of `data/` that a cell opens."""


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
    """What a solution's outputs depend on: its cells, the code of the floors it uses, and the
    checkpoints and studies it reads.

    Comments and docstrings of `lib` do not count, nor does `lib.course`, whose words the tests
    compare with the stored ones.
    """
    parts = [_essentials(cell) for cell in solved["cells"]]
    code: list[Any] = []
    for floor in sorted(floors_used(path) - {"course"}):
        single = ROOT / "lib" / f"{floor}.py"
        package = ROOT / "lib" / floor
        files = [single] if single.exists() else sorted(package.rglob("*.py"))
        if floor == "corpora":
            files = [file for file in files if _is_read(file.stem, parts)]
        for file in files:
            code.append(_bare(file.read_text(encoding="utf-8")))
    read = {name for part in parts for name in OPENED.findall(part[2])}
    code += [read_card(shipped(name))["files"] for name in sorted(read)]
    texts = " ".join(part[2] for part in parts)
    if "study(" in texts:
        studies = sorted((DATA / "studies").glob("*.json"))
        code += [path.read_text(encoding="utf-8") for path in studies if f'"{path.stem}"' in texts]
    return hashlib.sha256(json.dumps([parts, code]).encode()).hexdigest()[:16]


def _is_read(module: str, cells: list[tuple[str, str, str, list[str]]]) -> bool:
    """Whether a module of `lib.corpora` serves all, or a corpus that a cell reads."""
    name = module.lstrip("_").split("_")[0]
    texts = " ".join(cell[2] for cell in cells)
    return name in ("init", "base") or f'"{name}"' in texts or f"corpora.{name}" in texts


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
                output["data"] = {"text/plain": "[a widget: run this cell in JupyterLab to use it]"}
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


def keep_outputs(path: Path, solved: Any) -> bool:
    """Take over the outputs of the stored solution, if nothing but prose and line breaks changed.

    Prose is written many times, and no output depends on it. Whether `lib` and `data` are as they
    were is told by the stored solution itself: its own cells still have its digest.
    """
    target = SOLVED / f"{path.stem}.ipynb"
    try:
        old = json.loads(target.read_text(encoding="utf-8"))
        if old["metadata"]["token_by_token"]["digest"] != digest(path, old):
            return False
        before, now = [
            [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
            for notebook in (old, solved)
        ]
        same = [(_meaning(c), c["metadata"]) for c in before] == [
            (_meaning(c), c["metadata"]) for c in now
        ]
        ran = all(c["execution_count"] is not None for c in before if "".join(c["source"]))
    except (OSError, ValueError, KeyError, TypeError):
        return False  # no notebook of ours
    if not (same and ran):
        return False
    import nbformat

    read = nbformat.from_dict(old)  # type: ignore[no-untyped-call]
    executed = [cell for cell in read["cells"] if cell["cell_type"] == "code"]
    for cell, kept in zip(now, executed, strict=True):
        cell["outputs"], cell["execution_count"] = kept["outputs"], kept["execution_count"]
    return True


def _meaning(cell: Any) -> str:
    """A code cell without its layout and comments."""
    text = "".join(cell["source"])
    try:
        return ast.dump(ast.parse(text))
    except SyntaxError:  # a line of IPython
        return text


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
            if not force and keep_outputs(path, solved):
                done = f"new prose in {_short(target)}, outputs kept"
            else:
                seconds = execute(solved, SOLVED, path.stem)
                tidy(solved)
                done = f"executed {_short(target)} in {seconds:.0f} s"
            lint_notebooks(path, blank, solved)
            solved["metadata"]["token_by_token"] = {"digest": digest(path, solved)}
            write(target, as_text(solved))
            print(done)
    return stale


def build_picture(*, check: bool) -> list[str]:
    """Draw the finished house, for the README; what was stale."""
    path, drawn = BLANK / "house.svg", finished()
    if path.exists() and path.read_text(encoding="utf-8") == drawn:
        return []
    if not check:
        write(path, drawn)
        print(f"drew {_short(path)}")
    return [_short(path)]


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
    if not options.lessons:
        stale += build_picture(check=options.check)
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

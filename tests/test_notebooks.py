"""What is rendered, run: solutions give what they show, lessons run blank, visitors can start.

The slow part of the tests. All keep to one core, and several may run side by side; but solutions
that claim how fast something is have the machine to themselves.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook, new_output

from lib.course.bank import all_exercises
from lib.course.build import BLANK, SOLVED, TIME_LIMIT, sources
from lib.course.floors import ROOT

STEMS = [path.stem for path in sources([])]
BY_CELL = {f"exercise-{e.name.replace('.', '-')}": e for e in all_exercises()}
"""The exercises by the ids of their cells."""
TIMED = ("01_tokenization", "06_generation", "13_speculative_decoding")
"""Solutions that assert how many times as fast one thing is as another."""
COMPARED = "nbval-check-output"

every_lesson = pytest.mark.parametrize("stem", STEMS)


def environment_of_learners() -> dict[str, str]:
    """The environment, but with all cores: tests keep to one (conftest.py), learners do not."""
    return {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}


def load(path: Path) -> Any:
    return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]


def exercise_cells(notebook: Any) -> list[Any]:
    """The cells that are a learner's to fill in (a lesson may also show a try that fails)."""
    return [c for c in code_cells(notebook) if c.id.startswith("exercise-")]


def said(cell: Any) -> str:
    """What a cell printed."""
    return "".join(o.text for o in cell.outputs if o.output_type == "stream")


def not_compared(notebook: Any) -> list[str]:
    """Cells whose output should be compared but cannot be: nbval passes over them in silence."""
    marked = [c for c in code_cells(notebook) if COMPARED in c.metadata.get("tags", [])]
    return [c.id for c in marked if c.execution_count is None or not c.outputs]


def run(notebook: Any, folder: Path, limit: float = TIME_LIMIT, **environment: str | None) -> float:
    """Run a notebook in place as a learner would; the seconds it took. None takes a variable away.

    Raises:
        CellExecutionError: a cell failed.
    """
    space = {**environment_of_learners(), **environment}
    client = NotebookClient(
        notebook,
        timeout=int(limit),
        kernel_name=str(environment.get("KERNEL") or "python3"),
        resources={"metadata": {"path": str(folder)}},
        coalesce_streams=True,
        extra_arguments=["--log-level=40"],
    )
    start = time.perf_counter()
    client.execute(env={key: value for key, value in space.items() if value is not None})
    return time.perf_counter() - start


def nbval(path: Path, patience: int = 1, **more: str) -> subprocess.CompletedProcess[str]:
    """Execute a notebook again: no cell may fail, and marked cells must print what is stored.

    On one core, beside others at work, a cell may take `patience` times as long, and no training is
    cut short for it.
    """
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", str(path)]
    command += [f"--nbval-cell-timeout={patience * TIME_LIMIT}"]
    command += ["-p", "no:cacheprovider", "--tb=short"]
    # The build's hash seed is 0: what depends on it must not be compared.
    own = {"PYTHONHASHSEED": "1", "TOKENS_PATIENCE": str(patience), **more}
    space = {**environment_of_learners(), **own}
    return subprocess.run(command, cwd=path.parent, env=space, capture_output=True, text=True)


# --- as they lie on disk --------------------------------------------------------------------------


def test_every_lesson_has_its_solution() -> None:
    assert STEMS, "there is something to test"
    for folder in (BLANK, SOLVED):
        assert sorted(p.stem for p in folder.glob("*.ipynb")) == STEMS


@every_lesson
def test_lesson_carries_no_outputs(stem: str) -> None:
    lesson = load(BLANK / f"{stem}.ipynb")
    nbformat.validate(lesson)
    for cell in code_cells(lesson):
        assert cell.outputs == [] and cell.execution_count is None, cell.source
    assert exercise_cells(lesson), "a lesson has exercises"
    for cell in exercise_cells(lesson):
        assert cell.source.endswith("    raise NotImplementedError"), cell.source


@every_lesson
def test_solution_is_executed(stem: str) -> None:
    solution = load(SOLVED / f"{stem}.ipynb")
    nbformat.validate(solution)
    cells = code_cells(solution)
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            if "image/png" in output.get("data", {}):
                about = output.metadata.get("image/png", {})
                assert len(about.get("alt", "").split()) >= 5, cell.source
    for cell in exercise_cells(solution):
        total = len(BY_CELL[cell.id].cases) + 1  # the last: it stands on its own
        assert said(cell).startswith(f"✓ {total}/{total} "), "the check has changed since"
    assert not_compared(solution) == []
    lesson = load(BLANK / f"{stem}.ipynb")
    assert [c.id for c in lesson.cells] == [c.id for c in solution.cells]


# --- solutions, executed again --------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "stem", [pytest.param(s, marks=[pytest.mark.all_cores] * (s in TIMED)) for s in STEMS]
)
def test_solution_gives_what_it_shows(stem: str, capsys: pytest.CaptureFixture[str]) -> None:
    start = time.perf_counter()
    path = SOLVED / f"{stem}.ipynb"
    done = nbval(path) if stem in TIMED else nbval(path, patience=4, OMP_NUM_THREADS="1")
    with capsys.disabled():
        print(f"\n{stem}: solution run again in {time.perf_counter() - start:.0f} s")
    assert done.returncode == 0, done.stdout[-6000:]
    n_cells = len(code_cells(load(SOLVED / f"{stem}.ipynb")))
    assert f"{n_cells} passed" in done.stdout, done.stdout[-2000:]


TAMPERED = {
    "as it was": (COMPARED, "2\n", 1, True),
    "another output": (COMPARED, "3\n", 1, False),
    "not marked": ("other", "3\n", 1, True),
    "marked, not executed": (COMPARED, None, None, True),  # this is why not_compared is there
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_comparison_really_fails(tmp_path: Path, kind: str) -> None:
    tag, text, count, passes = TAMPERED[kind]
    outputs = [new_output("stream", name="stdout", text=text)] if text else []
    cell = new_code_cell("print(1 + 1)", execution_count=count, outputs=outputs)
    cell.metadata.tags = [tag]
    notebook = new_notebook(cells=[cell])
    nbformat.write(notebook, tmp_path / "tampered.ipynb")
    done = nbval(tmp_path / "tampered.ipynb")
    assert (done.returncode == 0) is passes, done.stdout
    assert passes or "mismatch" in done.stdout
    assert bool(not_compared(notebook)) is (kind == "marked, not executed")


def test_failing_cell_fails(tmp_path: Path) -> None:
    notebook = new_notebook(cells=[new_code_cell("assert 1 + 1 == 3", execution_count=1)])
    nbformat.write(notebook, tmp_path / "wrong.ipynb")
    done = nbval(tmp_path / "wrong.ipynb")
    assert done.returncode == 1 and "AssertionError" in done.stdout


# --- lessons, left blank --------------------------------------------------------------------------


@pytest.mark.slow
@every_lesson
def test_blank_lesson_runs(stem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """ "Run all" on an unsolved lesson works, judges nothing, and leaves the workbook empty.

    It is a short run (see `lib.course.short`): the solution is run in full.
    """
    lesson = load(BLANK / f"{stem}.ipynb")
    workbook = tmp_path / "workbook"
    own = {"TOKENS_WORKBOOK": str(workbook), "TOKENS_SHORT": "1", "OMP_NUM_THREADS": "1"}
    seconds = run(lesson, BLANK, TOKENS_LIB=None, **own)
    with capsys.disabled():
        print(f"\n{stem}: blank lesson run in {seconds:.0f} s")
    for cell in exercise_cells(lesson):
        assert said(cell).startswith("○ "), said(cell)
    assert not workbook.exists() or not any(workbook.rglob("*.*"))
    assert seconds < TIME_LIMIT


# --- visitors on Colab and Kaggle -----------------------------------------------------------------


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    """The variables of a host that has torch and all else, but has never heard of this course.

    A Python of its own sees the installed packages through a path file; path files in there, and
    with them the editable install of this checkout, are not read.
    """
    root = tmp_path_factory.mktemp("host")
    python = root / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(python)], check=True)
    (site,) = python.glob("lib/python3*/site-packages")
    packages = [p for p in sys.path if p.endswith("site-packages")]
    (site / "host.pth").write_text("\n".join(packages) + "\n")

    kernel = root / "jupyter" / "kernels" / "visitor"
    kernel.mkdir(parents=True)
    command = [str(python / "bin" / "python"), "-m", "ipykernel_launcher", "-f"]
    spec = {"argv": [*command, "{connection_file}"], "display_name": "host", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))

    # What is published: this working tree, changes that are not committed included.
    published = root / "published"
    published.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (published / name).parent.mkdir(parents=True, exist_ok=True)
            (published / name).write_bytes((ROOT / name).read_bytes())
    me = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "-A"], [*me, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", *command], cwd=published, check=True)
    return {
        "KERNEL": "visitor",
        "JUPYTER_PATH": str(root / "jupyter"),
        "TOKENS_REPOSITORY": published.as_uri(),
        "TOKENS_WORKBOOK": None,
        "TOKENS_LIB": None,
        "PYTHONPATH": None,
        "PIP_NO_INDEX": "1",  # nothing is missing, so nothing may be installed
        "OMP_NUM_THREADS": "1",
    }


def visit(stem: str, hosted: dict[str, str | None], folder: Path) -> tuple[list[Any], float]:
    """Open a lesson in an empty folder: its first cell, its imports, its first exercise.

    What stands between them is run on the same files as a blank lesson (above); of the first lesson
    here as well, with the checkpoints that it opens.
    """
    notebook = load(BLANK / f"{stem}.ipynb")
    cells = code_cells(notebook)
    first = exercise_cells(notebook)[0]
    shown = cells[: cells.index(first)] if stem == STEMS[0] else cells[:2]
    before = new_code_cell(
        "import importlib.util, importlib.metadata\n"
        "assert importlib.util.find_spec('lib') is None, 'this host knows the course'\n"
        "torch_before = importlib.metadata.version('torch')"
    )
    after = new_code_cell(
        "import lib, torch\nprint(lib.__file__)\n"
        "assert torch.__version__.split('+')[0] == torch_before.split('+')[0]"
    )
    notebook = new_notebook(cells=[before, *shown, first, after])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(hosted["JUPYTER_PATH"]))
        seconds = run(notebook, folder, **hosted)
    return notebook.cells, seconds


@pytest.mark.slow
@every_lesson
def test_visitor_can_start(
    stem: str, hosted: dict[str, str | None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells, seconds = visit(stem, hosted, tmp_path)
    with capsys.disabled():
        print(f"\n{stem}: a visitor was at the first exercise after {seconds:.0f} s")
    assert seconds < 60
    clone = tmp_path / "token-by-token"
    assert said(cells[1]) == "", "the first cell fetches without a word"
    assert said(cells[-2]).startswith("○ "), said(cells[-2])
    assert said(cells[-1]) == f"{clone / 'lib' / '__init__.py'}\n"
    assert [p.name for p in tmp_path.iterdir()] == ["token-by-token"]


@pytest.mark.slow
def test_visitor_comes_back(hosted: dict[str, str | None], tmp_path: Path) -> None:
    """A second session in the same folder uses what is there: the address is not asked again."""
    visit(STEMS[0], hosted, tmp_path)
    (tmp_path / "token-by-token" / "mine.txt").write_text("stays")
    visit(STEMS[0], {**hosted, "TOKENS_REPOSITORY": "file:///nowhere"}, tmp_path)
    assert (tmp_path / "token-by-token" / "mine.txt").read_text() == "stays"


@pytest.mark.slow
def test_visitor_without_a_network(hosted: dict[str, str | None], tmp_path: Path) -> None:
    """One clear line, the cells below are not run, and nothing half is left behind."""
    with pytest.raises(CellExecutionError, match=r"Could not fetch the course\. Is Internet on"):
        visit(STEMS[0], {**hosted, "TOKENS_REPOSITORY": "file:///nowhere"}, tmp_path)
    assert list(tmp_path.iterdir()) == []

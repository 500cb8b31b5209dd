"""The house: floors rest on lower floors only, git and the wheel carry what they should, and what
the files around the code say agrees with it."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import zipfile

import pytest

import lib
from lib.course.floors import FLOORS, LESSONS, ROOT, floors_open_to, is_built, source_of
from lib.course.lints import lint_house

MODULES = sorted(
    m.name
    for m in pkgutil.walk_packages(lib.__path__, "lib.")
    if not m.name.startswith(("lib.course.mistakes.", "lib.course.checks."))
)
FILES = sorted(
    subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    ).stdout.split("\n")
)


def test_floors_rest_on_lower_floors() -> None:
    assert lint_house() == []


def test_the_model_runs_without_the_course() -> None:
    """Importing a floor loads neither the checks nor the notebook side of the course."""
    built = [f"lib.{floor}" for floor in FLOORS if is_built(floor)]
    code = f"""
import importlib, sys
for module in {built!r}:
    importlib.import_module(module)
heavy = {{"judge", "notebook", "house", "figures", "widgets", "build", "checks", "mistakes"}}
loaded = [m.split(".")[2] for m in sys.modules if m.startswith("lib.course.")]
print(sorted(heavy.intersection(loaded)))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert run.stdout.strip() == "[]"


def test_git_carries_lib_and_ignores_what_is_the_learners() -> None:
    assert "lib/attention.py" in FILES
    assert "lib/course/checks/attention.py" in FILES
    ignored = subprocess.run(
        ["git", "check-ignore", "workbook/attention/causal_mask.py", ".venv/bin/python"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    ).stdout.split()
    assert len(ignored) == 2
    assert not [f for f in FILES if "__pycache__" in f or f.endswith((".pyc", ".part"))]


def test_the_wheel_carries_lib(tmp_path) -> None:
    """Built from a copy, so that nothing is left behind in the tree."""
    import shutil

    for name in ("pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        "out",
        ".",
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    (wheel,) = (tmp_path / "out").glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for file in FILES:
        if file.startswith("lib/") and file.endswith((".py", "py.typed")):
            assert file in names


def test_lessons_and_floors_agree() -> None:
    slugs = list(LESSONS)
    assert slugs[0] == "start_here"
    numbers = [int(p.stem[:2]) for slug in slugs if (p := source_of(slug))]
    assert numbers == sorted(numbers), "files are numbered in the order of the lessons"
    for slug, floors in LESSONS.items():
        if source_of(slug):
            assert all(is_built(floor) for floor in floors), f"{slug} has a floor to build"
    assert floors_open_to("attention") == {"tokenizer", "ngram", "attention"}
    with pytest.raises(ValueError, match="no lesson 'atention'"):
        floors_open_to("atention")


def public_members(module):
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(value) or inspect.isclass(value):
            yield name, value


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, "a module says what it is for"
    for symbol, value in public_members(module):
        assert inspect.getdoc(value), f"{name}.{symbol} has no docstring"


@pytest.mark.parametrize("name", [m for m in MODULES if not m.startswith("lib.course.")])
def test_examples_in_docstrings_are_true(name: str) -> None:
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs={"torch": importlib.import_module("torch")})
    assert result.failed == 0


def test_constraints_pin_what_pyproject_asks_for() -> None:
    pins = set(re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pins = {pin.lower().replace("_", "-") for pin in pins}
    text = (ROOT / "pyproject.toml").read_text()
    block = text[text.index("dependencies = [") : text.index("[project.urls]")]
    asked = set(re.findall(r'"([a-z][\w-]*)>=', block))
    assert {"torch", "jupyterlab", "pytest"} <= asked
    assert asked <= pins


def test_no_left_over_marks() -> None:
    marks = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3]) + r")\b")
    for file in FILES:
        path = ROOT / file
        if path.suffix in {".py", ".md", ".toml", ".yml"} and path.exists():
            assert not marks.search(path.read_text(encoding="utf-8")), file


def test_sources_are_plain_python_for_the_oldest_version() -> None:
    for file in FILES:
        if file.endswith(".py") and (ROOT / file).exists():
            text = (ROOT / file).read_text(encoding="utf-8")
            ast.parse(text, filename=file, feature_version=(3, 10))


def test_one_version_everywhere() -> None:
    """The package, its metadata, how it is cited and what has changed speak of one version."""
    lines = {
        "pyproject.toml": r'^version = "(.+)"$',
        "CITATION.cff": r"^version: (.+)$",
        "CHANGELOG.md": r"^## (.+)$",
    }
    for file, line in lines.items():
        found = re.search(line, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
        assert found and found[1] == lib.__version__, file


def test_the_readme_leads_to_every_lesson() -> None:
    """Each lesson has its row, blank and solved; whatever the README links to is there."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for source in (ROOT / "lessons" / "source").glob("*.py"):
        assert f"](lessons/{source.stem}.ipynb)" in text, source.stem
        assert f"](solutions/{source.stem}.ipynb)" in text, source.stem
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)\)", text):
        assert (ROOT / target).exists(), target

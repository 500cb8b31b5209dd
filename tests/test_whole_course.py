"""The whole course on a learner's own code: every exercise solved in another way than `lib`, every
lesson run in order on what was written before, and the last chat as good as the reference's.

These are short runs: what is learnt is for the solutions to show (test_notebooks).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_code_cell

from lib.course.build import BLANK
from lib.course.floors import LESSONS, ROOT, source_of
from tests.hand import exercises_of, typed
from tests.test_notebooks import code_cells, environment_of_learners, load, run, said

pytestmark = pytest.mark.xdist_group("whole course")
SLUGS = [slug for slug in LESSONS if source_of(slug)]

FOUNDATIONS = [
    "tokenizer.Tokenizer.encode",
    "tokenizer.Tokenizer.decode",
    "attention.MultiHeadAttention.forward",
    "transformer.RMSNorm.forward",
    "transformer.apply_rotary",
    "transformer.GatedMLP.forward",
    "transformer.Block.forward",
    "transformer.Transformer.forward",
    "generation.KVCache.append",
    "generation.next_logits",
]
"""What every model is made of that reads and writes. (This learner's attention is of one piece.)"""

AT_THE_END = """
import json
from lib.course.reference import installed
from tests.hand import CALLS
print(progress(SLUG).summary())
print(json.dumps({name: installed(name).__module__ for name in NAMES}))
print(json.dumps(CALLS))
"""

CHAT = """
import json, sys
from lib.chat import Chat
from lib.checkpoint import load, load_tokenizer, shipped
from tests.hand import CALLS
chat = Chat(load(shipped("assistant")), load_tokenizer(shipped("assistant")))
replies = [chat.ask(words) for words in QUESTIONS]
print(json.dumps([replies, CALLS]))
"""

QUESTIONS = [
    "Begin a story about a gentle sparrow called Cora.",
    "How does it end?",
    "Repeat these words backwards: lamp, tree, key.",
]


@pytest.fixture(scope="module")
def workbook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workbook")


def space_of(workbook: Path) -> dict[str, str]:
    """The environment of a learner with this workbook. One thread: nothing here is timed."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {
        "TOKENS_WORKBOOK": str(workbook),
        "TOKENS_SHORT": "1",
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": "1",
    }


def names_before(slug: str) -> list[str]:
    earlier = SLUGS[: SLUGS.index(slug)]
    return [e.name for s in earlier for e in exercises_of(s) if not e.local]


def pass_what_is_missing(slug: str, workbook: Path) -> None:
    """Pass the exercises of all earlier lessons, where their lessons were not run just before."""
    missing = [
        entry
        for earlier in SLUGS[: SLUGS.index(slug)]
        for entry in exercises_of(earlier)
        if not (workbook / entry.group / f"{entry.short}.py").exists()
    ]
    if not missing:
        return
    cells = "\n".join(typed(entry) for entry in missing)
    script = workbook.parent / "missing.py"
    script.write_text("from lib.course import exercise\n" + cells)
    space = {**environment_of_learners(), **space_of(workbook)}
    space.pop("TOKENS_LIB", None)
    done = subprocess.run([sys.executable, script], env=space, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "✗" not in done.stdout, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("slug", SLUGS)
def test_lesson_on_own_code(
    slug: str,
    workbook: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pass_what_is_missing(slug, workbook)
    source = source_of(slug)
    assert source is not None
    lesson = load(BLANK / f"{source.stem}.ipynb")
    here = {f"exercise-{e.name.replace('.', '-')}": e for e in exercises_of(slug)}
    solved: list[Any] = []
    for cell in code_cells(lesson):
        if cell.id in here:
            cell.source = typed(here[cell.id])
            solved.append(cell)
    assert len(solved) == len(here), "the lesson has a cell for each of its exercises"
    before = names_before(slug)
    own = [*before, *(e.name for e in here.values() if not e.local)]
    end = new_code_cell(f"SLUG, NAMES = {slug!r}, {own!r}\n{AT_THE_END}")
    lesson.cells.append(end)

    seconds = run(lesson, BLANK, limit=600, TOKENS_LIB=None, **space_of(workbook))
    with capsys.disabled():
        print(f"\n{source.stem}: run on a learner's own code in {seconds:.0f} s")

    for cell in solved:
        assert said(cell).startswith("✓ "), said(cell)
        assert "the reference" not in said(cell), said(cell)
    summary, origins, counted = said(end).splitlines()[-3:]
    assert summary.endswith("exercises are yours: all of them."), summary
    for name, module in json.loads(origins).items():
        assert module == f"workbook.{name.removeprefix('lib.')}"
    calls = json.loads(counted)
    wanted = FOUNDATIONS if "lib.generation.generate" in before else []
    if "lib.transformer.Transformer.forward" in before:
        wanted = [
            *wanted,
            "attention.MultiHeadAttention.forward",
            "transformer.Transformer.forward",
        ]
    idle = [name for name in wanted if not calls.get(f"lib.{name}")]
    assert not idle, f"{slug} goes on without the learner's {', '.join(idle)}"


@pytest.mark.slow
def test_last_chat_answers_as_well(workbook: Path) -> None:
    """With all of it in place, the assistant says word for word what it says on the reference."""
    pass_what_is_missing(SLUGS[-1], workbook)
    script = workbook.parent / "chat.py"
    script.write_text(f"QUESTIONS = {QUESTIONS!r}\n{CHAT}")
    answers = []
    for more in ({"TOKENS_LIB": "reference"}, {}):
        space = {**environment_of_learners(), **space_of(workbook)}
        space.pop("TOKENS_LIB", None)
        done = subprocess.run(
            [sys.executable, script], env={**space, **more}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        answers.append(json.loads(done.stdout.splitlines()[-1]))
    (expected, none), (replies, counted) = answers
    assert none == {}, "the reference is nobody's"
    assert replies == expected
    assert all(replies)
    for name in [*FOUNDATIONS, "chat.render_chat"]:
        assert counted.get(f"lib.{name}", 0) > 0, name

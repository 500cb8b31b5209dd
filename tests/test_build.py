"""The build: one source, two notebooks; what is current is left alone, what fails harms nothing."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest

from lib.course import bank, build, lints
from lib.course import render as rendering
from lib.course.build import execute, main, sources, write
from lib.course.floors import ROOT
from lib.course.render import render
from lib.course.source import LintError, read_source

SOURCES = sources([])
HEAD = """\
# %% [markdown]
# # A small lesson
#
# **What is it for?**

"""
PLAIN = HEAD + '# %%\nprint("one")\n\n# %% [markdown]\n# Some words.\n\n# %%\ntwo = 1 + 1\ntwo\n'


class House:
    """A made-up course in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lib = root / "lib"
        self.executed: list[str] = []
        self.picture = root / "lessons" / "house.svg"
        (root / "lessons" / "source").mkdir(parents=True)
        self.lib.mkdir()
        shutil.copy(ROOT / "lib" / "attention.py", self.lib)
        (root / "pyproject.toml").write_text('Repository = "https://github.com/someone/course"\n')

    def lesson(self, text: str, name: str = "00_start_here") -> Path:
        path = self.root / "lessons" / "source" / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        return path

    @property
    def files(self) -> dict[str, bytes]:
        """Every notebook, byte for byte."""
        found = [*self.root.glob("lessons/*.*"), *self.root.glob("solutions/*.*")]
        found = [p for p in found if p != self.picture]
        return {str(p.relative_to(self.root)): p.read_bytes() for p in sorted(found)}

    def solution(self, name: str = "00_start_here") -> Path:
        return self.root / "solutions" / f"{name}.ipynb"


def move_into(root: Path, patch: pytest.MonkeyPatch) -> House:
    house = House(root)
    patch.setattr(build, "ROOT", root)
    patch.setattr(rendering, "ROOT", root)
    patch.setattr(lints, "ROOT", root)
    patch.setattr(build, "SOURCES", root / "lessons" / "source")
    patch.setattr(build, "BLANK", root / "lessons")
    patch.setattr(build, "SOLVED", root / "solutions")
    patch.setattr(build, "finished", lambda: "<svg>a house</svg>\n")
    house.picture.write_text(build.finished())
    return house


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """A made-up course whose kernels are real."""
    return move_into(tmp_path, monkeypatch)


@pytest.fixture
def quick(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """A made-up course without kernels: cells count as executed, and that they were is noted."""

    def pretend(notebook, folder, label, limit=0.0):
        house.executed.append(label)
        for number, cell in enumerate(notebook["cells"]):
            if cell["cell_type"] == "code":
                cell["execution_count"] = number
        return 0.0

    monkeypatch.setattr(build, "execute", pretend)
    return house


def texts(path: Path, *, solved: bool) -> dict[str, str]:
    """Cell id to text of a rendered lesson, which must be a valid notebook."""
    notebook = render(path, solved=solved)
    nbformat.validate(notebook)
    assert all(not c.get("outputs") for c in notebook["cells"])
    return {cell["id"]: cell["source"] for cell in notebook["cells"]}


# --- rendering ------------------------------------------------------------------------------------


MASK = HEAD + (
    '# %% exercise="lib.attention.causal_mask" tags=["wide"]\n'
    "# 1. A first step.\n# 2. A second one.\nfrom lib.attention import causal_mask\n"
)


def test_exercise(house: House) -> None:
    path = house.lesson(MASK, "03_attention")
    name = "exercise-lib-attention-causal_mask"
    blank, solved = texts(path, solved=False)[name], texts(path, solved=True)[name]
    head = '@exercise("lib.attention.causal_mask")\ndef causal_mask('
    assert blank.startswith(head) and solved.startswith(head)
    assert "Which keys each query may see" in blank, "the docstring stays"
    tail = "    # 1. A first step.\n    # 2. A second one.\n    raise NotImplementedError"
    assert blank.endswith('"""\n' + tail)
    assert "tril" not in blank and "tril" in solved
    assert "import" not in blank + solved
    ast.parse(blank), ast.parse(solved)
    tagged = [c for c in render(path, solved=True)["cells"] if c["metadata"].get("tags")]
    assert [(c["id"], c["metadata"]["tags"]) for c in tagged] == [
        (name, ["wide", "nbval-check-output"])
    ]


def test_method_as_exercise(house: House) -> None:
    path = house.lesson(
        HEAD + '# %% exercise="lib.attention.MultiHeadAttention.forward"\n# 1. A step.\n',
        "03_attention",
    )
    name = "exercise-lib-attention-MultiHeadAttention-forward"
    blank, solved = texts(path, solved=False)[name], texts(path, solved=True)[name]
    head = '@exercise("lib.attention.MultiHeadAttention.forward")\ndef forward(\n    self,'
    assert blank.startswith(head) and solved.startswith(head)
    assert blank.endswith("    # 1. A step.\n    raise NotImplementedError")
    assert "merge_heads" not in blank and "merge_heads" in solved


def test_decorators_of_an_exercise_stay(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    import inspect

    decorated = '@keep\ndef causal_mask(n):\n    """Words."""\n    # A secret.\n    return 0\n'
    monkeypatch.setattr(inspect, "getsource", lambda _: decorated)
    cell = texts(house.lesson(MASK, "03_attention"), solved=False)
    cell = cell["exercise-lib-attention-causal_mask"]
    assert '\n@keep\ndef causal_mask(n):\n    """Words."""\n    # 1.' in cell
    assert "secret" not in cell and "return" not in cell
    monkeypatch.setattr(inspect, "getsource", lambda _: "def causal_mask(n):\n    return 0\n")
    with pytest.raises(ValueError, match="docstring"):
        texts(house.lesson(MASK, "03_attention"), solved=False)


def test_given(house: House) -> None:
    path = house.lesson(
        HEAD + '# %% given="lib.attention.MultiHeadAttention" only="__init__"\npass\n\n'
        '# %% given="lib.attention.attention_map"\npass\n',
        "03_attention",
    )
    blank, solved = texts(path, solved=False), texts(path, solved=True)
    assert blank == solved
    name = "given-lib-attention-MultiHeadAttention"
    assert blank[name].startswith('@given("lib.attention.MultiHeadAttention")\nclass ')
    (shown,) = ast.parse(blank[name]).body
    assert isinstance(shown, ast.ClassDef)
    assert [n.name for n in shown.body if isinstance(n, ast.FunctionDef)] == ["__init__"]
    assert "def attention_map" in blank["given-lib-attention-attention_map"]


def test_given_that_cannot_be_shown(house: House) -> None:
    def lesson(options: str) -> Path:
        return house.lesson(HEAD + f"# %% {options}\npass\n", "03_attention")

    with pytest.raises(ValueError, match="no method 'nonsense'"):
        texts(lesson('given="lib.attention.MultiHeadAttention" only="nonsense"'), solved=True)
    with pytest.raises(ValueError, match="no function and no class"):
        texts(lesson('given="lib.attention.__doc__"'), solved=True)


LOCAL = HEAD + (
    '# %% exercise="start_here.made_up"\n'
    '@exercise("start_here.made_up")\n'
    "def made_up(text: str) -> int:\n"
    '    """How long a text is."""\n'
    "    # 1. Count.\n"
    "    ### BEGIN SOLUTION\n"
    "    number = 0\n"
    "    for _ in text:\n"
    "        number += 1\n"
    "    return number\n"
    "    ### END SOLUTION\n"
)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exercise of lesson start_here that only this test knows."""
    case = bank.Case("three letters", lambda: ("abc",), expected=len)
    entry = bank.Exercise("start_here.made_up", cases=[case], hints=("a", "b", "c"))
    del bank._exercises["start_here.made_up"]
    monkeypatch.setitem(bank._exercises, "start_here.made_up", entry)


@pytest.mark.usefixtures("made_up")
def test_lessons_own_exercise(house: House) -> None:
    path = house.lesson(LOCAL)
    name = "exercise-start_here-made_up"
    blank, solved = texts(path, solved=False)[name], texts(path, solved=True)[name]
    assert blank.endswith('a text is."""\n    # 1. Count.\n    raise NotImplementedError')
    answer = "    for _ in text:\n        number += 1\n    return number"
    assert solved.endswith(f'a text is."""\n    # 1. Count.\n    number = 0\n{answer}')
    assert "###" not in blank + solved
    ast.parse(blank), ast.parse(solved)


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize(
    "line", ["### BEGIN SOLUTION", "### END SOLUTION", '@exercise("start_here.made_up")']
)
def test_lessons_own_exercise_that_lacks_a_line(house: House, line: str) -> None:
    with pytest.raises(ValueError, match=r"the exercise start_here.made_up needs the line"):
        texts(house.lesson(LOCAL.replace(line + "\n", "# \n")), solved=False)
    with pytest.raises(ValueError, match="before"):
        swapped = LOCAL.replace("BEGIN", "*").replace("END", "BEGIN").replace("*", "END")
        texts(house.lesson(swapped), solved=False)


def test_prediction(house: House) -> None:
    path = house.lesson(HEAD + '# %%\nguess = "even"  ### PREDICTION\nother = 3\n')
    blank, solved = texts(path, solved=False), texts(path, solved=True)
    assert "guess = None  # your guess\nother = 3" in blank.values()
    assert 'guess = "even"  # our guess\nother = 3' in solved.values()
    assert list(blank) == list(solved)


def test_folded(house: House) -> None:
    """Out of sight on Colab and in JupyterLab: the first cell, and what asks for it."""
    path = house.lesson(PLAIN.replace("# %%\ntwo", "# %% folded=true\ntwo"))
    folded = [c for c in render(path, solved=False)["cells"] if c["metadata"]]
    assert [c["source"].split("\n")[0] for c in folded][1:] == ["two = 1 + 1"]
    for cell in folded:
        assert cell["metadata"] == {"cellView": "form", "jupyter": {"source_hidden": True}}
    assert folded[0]["source"].startswith("# @title ") and len(folded) == 2


def test_first_cells(house: House) -> None:
    path = house.lesson(PLAIN)
    title, fetch, *rest = render(path, solved=False)["cells"]
    first, blank_line, links, *words = title["source"].split("\n")
    assert (first, blank_line, words) == ("# A small lesson", "", ["", "**What is it for?**"])
    place = "someone/course/blob/main/lessons/00_start_here.ipynb"
    assert f"(https://colab.research.google.com/github/{place})" in links
    assert f"(https://kaggle.com/kernels/welcome?src=https://github.com/{place})" in links
    assert fetch["id"] == "fetch-the-course" and fetch["cell_type"] == "code"
    ast.parse(fetch["source"])
    assert '"https://github.com/someone/course"' in fetch["source"]
    assert [c["source"] for c in rest] == ['print("one")', "Some words.", "two = 1 + 1\ntwo"]


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ('exercice="lib.attention.causal_mask"', "exercice: unknown"),
        ('tags="nbval-check-output"', "'nbval-check-output' is not of type 'array'"),
        ("[raw]", "a cell is raw"),
    ],
)
def test_headers_that_say_nonsense(house: House, header: str, says: str) -> None:
    with pytest.raises(LintError, match=says):
        read_source(house.lesson(HEAD + f"# %% {header}\npass\n"))


def test_name_that_is_no_lesson(quick: House, capsys: pytest.CaptureFixture[str]) -> None:
    quick.lesson(PLAIN, "00_nonsense")
    assert main([]) == 1
    assert "source/00_nonsense.py: the name should be NN_<slug>" in capsys.readouterr().err
    assert quick.files == {}


# --- ids ------------------------------------------------------------------------------------------


def test_same_source_same_bytes(house: House) -> None:
    first = build.as_text(render(house.lesson(PLAIN), solved=True))
    assert first == build.as_text(render(house.lesson(PLAIN), solved=True))
    assert '    "two = 1 + 1\\n",\n    "two"\n' in first, "a line of code is a line of text"


def test_changing_a_cell_changes_one_id(house: House) -> None:
    old = list(texts(house.lesson(PLAIN), solved=False).items())
    new = list(texts(house.lesson(PLAIN.replace("words", "more words")), solved=False).items())
    changed = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
    ((id_old, text_old), (id_new, text_new)) = changed[0]
    assert len(changed) == 1
    assert id_old != id_new and (text_old, text_new) == ("Some words.", "Some more words.")


@pytest.mark.parametrize("where", [2, 3, 4, 5])
def test_inserting_a_cell_changes_no_other_id(house: House, where: int) -> None:
    old = list(texts(house.lesson(PLAIN), solved=False))
    parts = PLAIN.split("# %%")
    parts.insert(where, '\nprint("inserted")\n\n')
    new = list(texts(house.lesson("# %%".join(parts)), solved=False))
    assert len(new) == len(old) + 1
    assert [i for i in new if i in old] == old


def test_cells_alike_have_ids_of_their_own(house: House) -> None:
    again = '# %%\nprint("one")\n\n'
    long = "# %% given={}\npass\n\n"
    path = house.lesson(PLAIN + "\n" + again + again)
    assert len(texts(path, solved=False)) == 7
    names = [
        '"lib.attention.MultiHeadAttention"',
        '"lib.attention.MultiHeadAttention" only="forward"',
    ]
    path = house.lesson(HEAD + "".join(long.format(n) for n in names), "03_attention")
    assert len(texts(path, solved=False)) == 4


# --- what is current ------------------------------------------------------------------------------


def test_only_what_changed_is_executed(quick: House, capsys: pytest.CaptureFixture[str]) -> None:
    quick.lesson(PLAIN)
    quick.lesson(PLAIN, "01_tokenization")
    assert main([]) == 0
    assert quick.executed == ["00_start_here", "01_tokenization"]
    before = quick.files
    assert sorted(before) == [
        "lessons/00_start_here.ipynb",
        "lessons/01_tokenization.ipynb",
        "solutions/00_start_here.ipynb",
        "solutions/01_tokenization.ipynb",
    ]
    capsys.readouterr()

    assert main([]) == 0 and main(["--check"]) == 0
    assert capsys.readouterr().out == "everything is current\n" * 2
    assert len(quick.executed) == 2 and quick.files == before

    quick.lesson(PLAIN + "3\n")
    assert main([]) == 0
    assert quick.executed[2:] == ["00_start_here"]
    said = capsys.readouterr().out
    assert "rendered lessons/00_start_here.ipynb" in said
    assert "executed solutions/00_start_here.ipynb" in said and "01" not in said
    changed = {name for name, text in quick.files.items() if text != before[name]}
    assert changed == {"lessons/00_start_here.ipynb", "solutions/00_start_here.ipynb"}

    assert main(["--force", "01"]) == 0
    assert quick.executed[3:] == ["01_tokenization"]
    assert main(["99"]) == 2
    assert "no lesson is called 99" in capsys.readouterr().err


def test_new_prose_keeps_the_outputs(quick: House, capsys: pytest.CaptureFixture[str]) -> None:
    def code_of(notebook: Path) -> list[Any]:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        return [cell for cell in cells if cell["cell_type"] == "code"]

    prose = PLAIN.replace("words", "other words") + "\n# %% [markdown]\n# A last cell.\n"
    quick.lesson(PLAIN)
    main([])
    before = code_of(quick.solution())
    quick.lesson(prose)
    is_stale(quick, capsys, BLANK_FILE, SOLVED_FILE)
    assert main([]) == 0 and main(["--check"]) == 0
    assert "new prose in solutions/00_start_here.ipynb, outputs kept" in capsys.readouterr().out
    assert quick.executed == ["00_start_here"] and code_of(quick.solution()) == before
    assert "A last cell." in quick.solution().read_text(encoding="utf-8")
    assert b"other words" in quick.files[BLANK_FILE]

    quick.lesson(prose.replace("two = 1 + 1", "two = (\n    1 + 1\n)"))
    assert main([]) == 0 and main(["--check"]) == 0
    assert len(quick.executed) == 1, "so do line breaks"
    assert "1 + 1\\n" in quick.solution().read_text(encoding="utf-8")

    assert main(["--force"]) == 0
    assert len(quick.executed) == 2
    quick.lesson(PLAIN + "3\n")  # code as well
    main([])
    assert len(quick.executed) == 3
    edit(quick.solution(), lambda notebook: notebook["cells"][2].update(execution_count=None))
    quick.lesson(prose + "3\n")
    main([])
    assert len(quick.executed) == 4


def test_new_prose_keeps_no_outputs_of_an_older_lib(quick: House) -> None:
    lesson = HEAD + "# %% [markdown]\n# Some words\n\n# %%\nfrom lib.attention import causal_mask\n"
    quick.lesson(lesson, "03_attention")
    main([])
    attention = quick.lib / "attention.py"
    code = attention.read_text(encoding="utf-8")
    attention.write_text(code.replace("diagonal=n_key - n_query", "diagonal=0"))
    quick.lesson(lesson.replace("words", "other words"), "03_attention")
    main([])
    assert quick.executed == ["03_attention"] * 2


def edit(path: Path, change) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    change(notebook)
    path.write_text(json.dumps(notebook), encoding="utf-8")


def is_stale(house: House, capsys: pytest.CaptureFixture[str], *which: str) -> None:
    before = house.files
    capsys.readouterr()
    n_executed = len(house.executed)
    assert main(["--check"]) == 1
    said = capsys.readouterr()
    assert said.err == f"stale: {', '.join(which)}; run `make build`\n" and not said.out
    assert house.files == before and len(house.executed) == n_executed, "--check changes nothing"


BLANK_FILE, SOLVED_FILE = "lessons/00_start_here.ipynb", "solutions/00_start_here.ipynb"


def test_stale_source(quick: House, capsys: pytest.CaptureFixture[str]) -> None:
    quick.lesson(PLAIN)
    is_stale(quick, capsys, BLANK_FILE, SOLVED_FILE)
    main([])
    quick.lesson(PLAIN + "3\n")
    is_stale(quick, capsys, BLANK_FILE, SOLVED_FILE)
    quick.lesson(PLAIN.replace("# %%\ntwo", '# %% tags=["nbval-check-output"]\ntwo'))
    is_stale(quick, capsys, BLANK_FILE, SOLVED_FILE)


def test_stale_picture(quick: House, capsys: pytest.CaptureFixture[str]) -> None:
    quick.lesson(PLAIN)
    main([])
    quick.picture.write_text("<svg>a hut</svg>\n")
    is_stale(quick, capsys, "lessons/house.svg")
    assert main(["00"]) == 0 and "hut" in quick.picture.read_text(), "one lesson, one lesson"
    assert main([]) == 0 and quick.picture.read_text() == build.finished()


def test_stale_lesson_edited_by_hand(quick: House, capsys: pytest.CaptureFixture[str]) -> None:
    quick.lesson(PLAIN)
    main([])
    notebook = quick.root / BLANK_FILE
    notebook.write_text(notebook.read_text().replace("Some words", "My words"))
    is_stale(quick, capsys, BLANK_FILE)
    assert main([]) == 0 and "My words" not in notebook.read_text()


@pytest.mark.parametrize(
    "change",
    [
        lambda notebook: notebook["cells"][2].update(execution_count=None),
        lambda notebook: notebook["cells"][2].update(source="print('two')"),
        lambda notebook: notebook["cells"][2]["metadata"].update(tags=["nbval-check-output"]),
        lambda notebook: notebook["cells"][1]["metadata"].clear(),
        lambda notebook: notebook["cells"].pop(),
        lambda notebook: notebook["metadata"].pop("token_by_token"),
        lambda notebook: notebook.clear(),
    ],
    ids=[
        "not executed",
        "edited",
        "tagged",
        "unfolded",
        "cell missing",
        "no digest",
        "no notebook",
    ],
)
def test_stale_solution(quick: House, capsys: pytest.CaptureFixture[str], change) -> None:
    quick.lesson(PLAIN)
    main([])
    edit(quick.solution(), change)
    is_stale(quick, capsys, SOLVED_FILE)
    assert main([]) == 0 and main(["--check"]) == 0


def test_stale_half_a_file(quick: House, capsys: pytest.CaptureFixture[str]) -> None:
    quick.lesson(PLAIN)
    main([])
    quick.solution().write_bytes(quick.solution().read_bytes()[:500])
    is_stale(quick, capsys, SOLVED_FILE)


def test_stale_after_lib_changed(quick: House, capsys: pytest.CaptureFixture[str]) -> None:
    quick.lesson(HEAD + "# %%\nfrom lib.attention import causal_mask\n", "03_attention")
    quick.lesson(PLAIN)
    main([])
    attention = quick.lib / "attention.py"
    code = attention.read_text(encoding="utf-8")

    attention.write_text(code.replace('"""Average', '"""Weigh') + "# A comment.\n")
    assert attention.read_text() != code
    assert main(["--check"]) == 0, "comments and docstrings move no output"

    attention.write_text(code.replace("diagonal=n_key - n_query", "diagonal=0"))
    is_stale(quick, capsys, "solutions/03_attention.ipynb")

    # What a floor of the lesson rests on counts as well, private parts included.
    attention.write_text("from lib._parts import part\n" + code)
    (quick.lib / "_parts.py").write_text("part = 1\n")
    main([])
    assert main(["--check"]) == 0
    (quick.lib / "_parts.py").write_text("part = 2\n")
    is_stale(quick, capsys, "solutions/03_attention.ipynb")


def test_orphans(quick: House, capsys: pytest.CaptureFixture[str]) -> None:
    quick.lesson(PLAIN)
    main([])
    shutil.copy(quick.solution(), quick.solution("07_gone"))
    assert main(["--check"]) == 1 and main([]) == 1
    said = capsys.readouterr()
    assert "without a source: solutions/07_gone.ipynb" in said.err
    assert "everything is current" not in said.out


def test_broken_source_is_told_and_the_others_built(
    quick: House, capsys: pytest.CaptureFixture[str]
) -> None:
    quick.lesson(PLAIN + "\n# %%\nthis is no Python\n")
    quick.lesson(PLAIN, "01_tokenization")
    assert main([]) == 1
    assert "source/00_start_here.py: invalid syntax" in capsys.readouterr().err
    assert quick.executed == ["01_tokenization"]


# --- writing --------------------------------------------------------------------------------------


def test_crash_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "solutions" / "lesson.ipynb"
    write(path, "old\n")
    with pytest.raises(UnicodeEncodeError):
        write(path, "new\n" * 100_000 + "\udc80")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write(path, "new\n")
    assert path.read_text() == "old\n"
    assert [p.name for p in path.parent.iterdir()] == ["lesson.ipynb"]


# --- executing: real kernels ----------------------------------------------------------------------


RICH = (
    HEAD
    + """\
# %% tags=["nbval-check-output"]
import os, sys
from tqdm import tqdm
for _ in tqdm(range(5), desc="steps"):
    pass
for _ in tqdm(iter("abc")):
    pass
print("100%| of the cells ran with", os.environ["TOKENS_LIB"], os.environ["PYTHONHASHSEED"])

# %%
print("a warning that someone should see", file=sys.stderr)
for _ in tqdm(range(5)):
    pass

# %%
from lib.course import show
import matplotlib.pyplot as plt
figure, axes = plt.subplots()
show(figure, alt="A pair of axes with nothing in them.")

# %%
from lib.course.widgets import explore
explore(lambda n: "<b>" + "a" * n + "</b>", n=range(1, 5))
"""
)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory):
    """The solution of a lesson that shows everything a lesson shows, as it lies on disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOKENS_LIB", "workbook")
        patch.delenv("PYTHONHASHSEED", raising=False)
        house = move_into(tmp_path_factory.mktemp("course"), patch)
        house.lesson(RICH)
        assert main([]) == 0 and main(["--check"]) == 0
        assert os.environ["TOKENS_LIB"] == "workbook" and "PYTHONHASHSEED" not in os.environ
        notebook = nbformat.read(house.solution(), as_version=4)
    nbformat.validate(notebook)
    return notebook


def outputs(notebook, number: int) -> list:
    """The outputs of a code cell; 0 is the one that fetches the course."""
    return [c for c in notebook["cells"] if c["cell_type"] == "code"][number]["outputs"]


def test_executed(executed) -> None:
    code = [c for c in executed["cells"] if c["cell_type"] == "code"]
    assert [c["execution_count"] for c in code] == [1, 2, 3, 4, 5]
    assert outputs(executed, 0) == [], "where lib is, nothing is fetched"
    assert not any("execution" in c["metadata"] for c in code)
    assert code[1]["metadata"]["tags"] == ["nbval-check-output"]


def test_progress_bars_are_stripped(executed) -> None:
    (only,) = outputs(executed, 1)
    assert only["name"] == "stdout", "bars are gone, and what was printed is not"
    assert only["text"] == "100%| of the cells ran with reference 0\n"
    (only,) = outputs(executed, 2)
    assert (only["name"], only["text"]) == ("stderr", "a warning that someone should see\n")


def test_figures_keep_their_alternative_text(executed) -> None:
    (only,) = outputs(executed, 3)
    assert only["metadata"]["image/png"]["alt"] == "A pair of axes with nothing in them."


def test_widgets_become_words(executed) -> None:
    (only,) = outputs(executed, 4)
    assert list(only["data"]) == ["text/plain"] and "JupyterLab" in only["data"]["text/plain"]
    assert "widgets" not in executed["metadata"]


def test_failed_execution_leaves_the_solution(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    house.lesson(PLAIN)
    assert main([]) == 0
    before = house.solution().read_bytes()
    house.lesson(PLAIN + "\n# %%\nthree = 3\nassert two == three, 'the claim'\n")
    capsys.readouterr()
    assert main([]) == 1
    said = capsys.readouterr().err
    assert "source/00_start_here.py: 00_start_here failed" in said
    assert "three = 3\nassert two == three, 'the claim'" in said and "AssertionError" in said
    assert house.solution().read_bytes() == before
    assert not list(house.root.rglob("*.part"))
    assert main(["--check"]) == 1


def test_time_limit_counts_from_top_to_bottom(house: House) -> None:
    """No cell takes longer than the limit, all together do."""
    nap = "\n# %%\nimport time\ntime.sleep(1.5)  # nap {}\n"
    path = house.lesson(PLAIN + "".join(nap.format(n) for n in range(20)))
    start = time.perf_counter()
    with pytest.raises(RuntimeError, match=r"(?s)takes more than 3 s.*nap"):
        execute(render(path, solved=True), house.root, "00_start_here", limit=3)
    assert time.perf_counter() - start < 15


# --- the real lessons -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_source_is_a_script(path: Path) -> None:
    """It compiles, and uses no name that only a notebook has (`display`, a magic)."""
    compile(path.read_text(encoding="utf-8"), str(path), "exec")
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E9,F63,F7,F82"]
    found = subprocess.run([*ruff, str(path)], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("path", [p for p in SOURCES if "start_here" in p.stem])
def test_shortest_source_runs_as_a_script(path: Path, tmp_path: Path) -> None:
    """The others take a minute each, and their cells are run as notebooks."""
    done = subprocess.run(
        [sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, timeout=170
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert list(tmp_path.iterdir()) == []


def test_everything_committed_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().err


def digest_of(code: str) -> str:
    """The digest of a lesson with one cell of code."""
    source = sorted(build.SOURCES.glob("*_attention.py"))[0]
    cell = {"id": "a", "cell_type": "code", "source": code, "metadata": {}}
    return build.digest(source, {"cells": [cell]})


def test_a_changed_study_makes_a_solution_stale(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(build, "DATA", tmp_path)
    (tmp_path / "studies").mkdir()
    reads, others = 'study("x")', ("1 + 1", 'study("y")')
    before, before_others = digest_of(reads), [digest_of(code) for code in others]
    (tmp_path / "studies" / "x.json").write_text("[1]")
    assert digest_of(reads) != before
    assert [digest_of(code) for code in others] == before_others


@pytest.mark.parametrize("opens", ['shipped("mini")', 'start_from("mini", OWN)'])
def test_a_changed_checkpoint_makes_a_solution_stale(
    monkeypatch: pytest.MonkeyPatch, opens: str
) -> None:
    cards = {"mini": {"files": "one"}, "assistant": {"files": "two"}}
    monkeypatch.setattr(build, "shipped", lambda name: name)
    monkeypatch.setattr(build, "read_card", lambda name: cards[name])
    reads, does_not = opens, 'shipped("assistant")'
    before = digest_of(reads), digest_of(does_not)
    cards["mini"] = {"files": "three"}
    assert digest_of(reads) != before[0]
    assert digest_of(does_not) == before[1]

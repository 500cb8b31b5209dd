"""The lints: each is shown a lesson that breaks its rule, and one that only looks as if it did."""

from __future__ import annotations

import ast
import builtins
from pathlib import Path

import nbformat
import pytest

from lib.course.build import BLANK, SOLVED, sources
from lib.course.floors import ROOT
from lib.course.lints import (
    floors_used,
    free_names,
    lib_imports,
    lint_house,
    lint_notebooks,
    lint_source,
    top_level_names,
)
from lib.course.render import render
from lib.course.source import LintError, read_source

HEAD = "# %% [markdown]\n# # A lesson\n# What it is about.\n\n# %%\n"
IMPORTS = (
    "import math\nimport torch\nfrom collections.abc import Callable\n"
    "from torch import Tensor, nn\nfrom einops import rearrange, repeat\n"
    "from lib.course import exercise, given\n"
    "from lib.attention import Cache, causal_mask, merge_heads, repeat_kv, split_heads\n"
)
MASK = (
    '\n# %% exercise="lib.attention.causal_mask"\n# 1. Step.\n'
    "from lib.attention import causal_mask\n"
)
SDPA = MASK.replace("causal_mask", "scaled_dot_product_attention")
MULTI = '\n# %% given="lib.attention.MultiHeadAttention"{}\npass\n'
FORWARD = '\n# %% exercise="lib.attention.MultiHeadAttention.forward"\n# 1. A step.\n'
SECRET = "weights = scores.softmax(dim=-1, dtype=scores.dtype)"
VALUE = SECRET.removeprefix("weights = ")
QUOTED = 'scores += torch.zeros_like(mask, dtype=scores.dtype).masked_fill(~mask, float("-inf"))'
"""Lines of the answer of `scaled_dot_product_attention`."""


@pytest.fixture
def lint(tmp_path: Path):
    """Lint a source as the build does before executing it."""

    def run(text: str, slug: str = "03_attention"):
        path = tmp_path / f"{slug}.py"
        path.write_text(text, encoding="utf-8")
        lint_source(path, read_source(path))
        blank, solved = render(path, solved=False), render(path, solved=True)
        lint_notebooks(path, blank, solved)
        return path, blank, solved

    return run


def test_a_good_lesson_passes(lint) -> None:
    lint(HEAD + IMPORTS + MASK + SDPA + MULTI.format(' only="__init__"') + FORWARD)


# --- symbols and floors ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ('exercise="lib.attention.causal_musk"', "lib.attention has no 'causal_musk'"),
        ('given="lib.attention.MultiHeadAttention.fore"', "has no 'MultiHeadAttention.fore'"),
        ('given="lib.attenshun.causal_mask"', "there is no module 'lib.attenshun'"),
        ('exercise="lib.attention.attention_map"', "no exercise called 'lib.attention.attention_m"),
        ('exercise="attention.nothing"', "there is no exercise called 'attention.nothing'"),
    ],
)
def test_symbol_that_does_not_exist(lint, header: str, says: str) -> None:
    with pytest.raises(LintError) as caught:
        lint(HEAD + IMPORTS + f"\n# %% {header}\npass\n")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "from lib.attention import causal_mask",
        "import lib.attention",
        "from lib import attention",
        "def f():\n    from lib.attention import causal_mask",
        "%matplotlib inline\nfrom lib.attention import causal_mask",
    ],
)
def test_later_floor(lint, line: str) -> None:
    with pytest.raises(LintError, match=r"uses lib\.attention, which a later") as told:
        lint(HEAD + line + "\n", "02_language_models")
    assert "open to it are checkpoint, corpora, course, hub, ngram, tokenizer" in str(told.value)
    lint(HEAD + line + "\n", "03_attention")
    lint(HEAD + line + "\n", "04_transformer")


def test_what_is_given_is_open_to_all(lint) -> None:
    lint(HEAD + "from lib.course import show\nfrom lib.corpora import read\n", "00_start_here")


def test_lib_imports() -> None:
    text = "import lib.a.b, os\nfrom lib.c import x\nfrom lib import d as e\nfrom .f import g\n"
    assert lib_imports(text) == {"a", "c", "d"}


# --- the house ------------------------------------------------------------------------------------


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    """A lib of three floors that is in order."""
    files = {
        "__init__": "from lib.course.workbook import watch_imports\n",
        "tokenizer": "from lib._tokenizer_parts import split\n",
        "_tokenizer_parts": "import re\n",
        "ngram": "from lib.tokenizer import Tokenizer\nfrom lib.corpora import read\n",
        "attention": "import torch\n",
        "corpora/__init__": "from lib.corpora.town import Town\n",
        "corpora/town": "",
        "course/__init__": "from lib.attention import causal_mask\n",
    }
    for name, text in files.items():
        path = tmp_path / "lib" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "lib"


@pytest.mark.parametrize(
    ("file", "line", "says"),
    [
        (
            "ngram",
            "from lib.attention import x",
            "ngram.py imports lib.attention, a floor",
        ),
        ("ngram", "import lib.attention", "ngram.py imports lib.attention, a floor"),
        (
            "ngram",
            "def f():\n    from lib import attention",
            "imports lib.attention, a floor",
        ),
        (
            "_tokenizer_parts",
            "from lib.ngram import x",
            "tokenizer.py imports lib.ngram, a",
        ),
        ("ngram", "from lib.course import show", "lib/ngram.py imports lib.course: the model must"),
        ("_tokenizer_parts", "import lib.course", "lib/_tokenizer_parts.py imports lib.course"),
        ("corpora/town", "import lib.course", "lib/corpora/town.py imports lib.course"),
        (
            "attention",
            "from lib.nothing import x",
            "imports lib.nothing, which does not",
        ),
        ("attention", "from .ngram import x", "lib/attention.py has a relative import"),
        ("nothing", "", "lib/nothing.py is no floor: enter it in lib/course/floors.py"),
    ],
)
def test_house_out_of_order(fake: Path, file: str, line: str, says: str) -> None:
    assert lint_house(fake) == []
    path = fake / f"{file}.py"
    path.write_text((path.read_text() if path.exists() else "") + line + "\n", encoding="utf-8")
    problems = lint_house(fake)
    assert any(says in problem for problem in problems), problems
    if not file.startswith("_"):
        assert len(problems) == 1


def test_the_real_house_is_in_order() -> None:
    assert lint_house() == []
    assert (ROOT / "lib" / "attention.py").exists(), "the test above has looked at something"


def test_floors_used_follows_imports(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.course.lints.ROOT", fake.parent)
    source = fake.parent / "02_language_models.py"
    source.write_text("from lib.ngram import x\nfrom lib.course import show\n")
    used = {"ngram", "course", "tokenizer", "_tokenizer_parts", "corpora"}
    assert floors_used(source) == used


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["math", "Tensor", "torch"])
def test_inserted_code_uses_a_name_that_is_not_bound(lint, name: str) -> None:
    without = IMPORTS.replace("import math\n", "") if name == "math" else IMPORTS
    without = without.replace("import torch\n", "") if name == "torch" else without
    without = without.replace("Tensor, ", "") if name == "Tensor" else without
    # bound later, or only inside something, is not bound
    tricks = f"any({name} for {name} in [])\n[{name} for {name} in []]\ndef f({name}): pass\n"
    later = f"\n# %%\n{name} = None\n"
    with pytest.raises(LintError) as caught:
        lint(HEAD + without + tricks + (MASK if name == "torch" else SDPA) + later)
    assert f"uses {name}, which no cell before it binds: import it earlier" in str(caught.value)
    lint(HEAD + without + later + (MASK if name == "torch" else SDPA))


@pytest.mark.parametrize(
    ("code", "free"),
    [
        ("def f(x: Wanted): pass", "Wanted"),
        ("def f(*x: Wanted, **y: int): pass", "Wanted"),
        ("def f() -> list[Wanted | None]: pass", "Wanted"),
        ("def f(x=wanted): pass", "wanted"),
        ("def f(*, x=wanted.y): pass", "wanted"),
        ("def f():\n    def g():\n        return wanted\n    return g", "wanted"),
        ("def f():\n    return [x + wanted for x in ()]", "wanted"),
        ("def f():\n    return sum(x for x in wanted)", "wanted"),
        ("def f():\n    return lambda x: x(wanted)", "wanted"),
        ("def f():\n    def g(x: Wanted): pass", "Wanted"),
        ("class C(Wanted): pass", "Wanted"),
        ("class C:\n    x: Wanted\n    def f(self): pass", "Wanted"),
        ("@wanted\ndef f(): pass", "wanted"),
        ("wanted", "wanted"),
    ],
)
def test_free_names(code: str, free: str) -> None:
    tree = ast.parse(code)
    assert free_names(tree) - top_level_names(tree) - set(dir(builtins)) == {free}


@pytest.mark.parametrize(
    ("code", "bound"),
    [
        ("import a.b, c as d\nfrom e import f as g", {"a", "d", "g"}),
        ("def f():\n    x = 1\nclass C:\n    y = 2", {"f", "C"}),
        ("for a, (b, *c) in []: d = 1", {"a", "b", "c", "d"}),
        ("with a as b: c: int = 1", {"b", "c"}),
        ("if (n := 1): n += m", {"n"}),
        ("[x for x in y]; {x: 1 for x in y}; {x for x in y}; (x for x in y); lambda x: x", set()),
    ],
)
def test_top_level_names(code: str, bound: set[str]) -> None:
    assert top_level_names(ast.parse(code)) == bound


# --- leaks ----------------------------------------------------------------------------------------


LEAKS = {
    "plain": f"\n# %%\n{SECRET}\n",
    "indented": f"\n# %%\nif True:\n        {SECRET}\n",
    "in a function": f"\n# %%\ndef f(scores, mask):\n    {SECRET}\n",
    "other quotes": f"\n# %%\n{QUOTED}\n".replace('"', "'"),
    "other spaces": "\n# %%\nweights = scores.softmax( dim=-1,dtype = scores.dtype )\n",
    "broken lines": "\n# %%\nweights = scores.softmax(\n    dim=-1,\n    dtype=scores.dtype,\n)\n",
    "other target": f"\n# %%\nshares = {VALUE}\n",
    "returned": f"\n# %%\ndef f(scores, mask):\n    return {VALUE}\n",
    "bare": f"\n# %%\n{VALUE}\n",
    "with a remark": f"\n# %%\n{SECRET}  # rows sum to 1\n",
    "as a comment": f"\n# %%\n# {SECRET}\npass\n",
    "in words": f"\n# %% [markdown]\n# Now write `{SECRET}`, and you are done.\n",
    "in a block": f"\n# %% [markdown]\n# ```python\n#     {SECRET}\n# ```\n",
    "in a list": f"\n# %% [markdown]\n# - `{SECRET}`\n",
    "before it": "",
}


@pytest.mark.parametrize("kind", LEAKS)
def test_leaked_solution(lint, kind: str) -> None:
    lesson = HEAD + IMPORTS + "mask = torch.ones(2, 2) > 0\nscores = torch.ones(2, 2)\n"
    before = kind == "before it"
    text = lesson + f"\n# %%\n{SECRET}\n" + SDPA if before else lesson + SDPA + LEAKS[kind]
    with pytest.raises(LintError) as caught:
        lint(text)
    said = str(caught.value)
    assert "gives away a line of lib.attention.scaled_dot_product_attention" in said
    assert "softmax" in said or "masked_fill" in said


HARMLESS = {
    "a similar line": QUOTED.replace("mask,", "visible,"),
    "a longer line": SECRET.replace("scores.s", "(query @ key.mT).s"),
    "a call of the answer": "scaled_dot_product_attention(query, key, value, mask)",
    "a short line": "weights = scores.softmax(dim=-1)",
    "the error": 'raise ValueError(f"{n_query} queries need at least as many keys, got {n_key}")',
}


@pytest.mark.parametrize("kind", HARMLESS)
def test_harmless_lines_are_no_leak(lint, kind: str) -> None:
    lesson = HEAD + IMPORTS + "query = key = value = mask = scores = visible = torch.ones(2, 2)\n"
    inside = "\n# %%\ndef f(query, key, value, mask, scores, visible, n_query, n_key):\n    "
    lint(lesson + SDPA + MASK + inside + HARMLESS[kind] + "\n")


def test_given_code_must_not_be_an_answer(lint) -> None:
    says = "the given cell shows lib.attention.MultiHeadAttention.forward, an exercise"
    with pytest.raises(LintError, match=says):
        lint(HEAD + IMPORTS + SDPA + FORWARD + MULTI.format(""))
    with pytest.raises(LintError, match=r"shows lib.attention.causal_mask, an exercise"):
        lint(HEAD + IMPORTS + MASK + MASK.replace("exercise=", "given="))
    lint(HEAD + IMPORTS + SDPA + MULTI.format(' only="forward"'))  # no exercise here: may be shown


LOCAL = (
    '\n# %% exercise="attention.made_up"\n@exercise("attention.made_up")\n'
    'def made_up(text):\n    """Words."""\n    shown_to_all = str(text).replace("a", "b")\n'
    "    ### BEGIN SOLUTION\n    number = sum(1 for _ in shown_to_all)\n    return number\n"
    "    ### END SOLUTION\n"
)


def test_leaked_line_of_a_lessons_own_exercise(lint, monkeypatch: pytest.MonkeyPatch) -> None:
    from lib.course import bank

    case = bank.Case("three letters", lambda: ("abc",), expected=len)
    monkeypatch.setattr(bank, "_exercises", dict(bank._exercises))
    bank.Exercise("attention.made_up", cases=[case], hints=("a", "b", "c"))
    shown = '\n# %%\ntext = "abc"\nshown_to_all = str(text).replace("a", "b")\n'
    lint(HEAD + IMPORTS + LOCAL + shown)
    with pytest.raises(LintError, match=r"gives away a line of attention\.made_up"):
        lint(HEAD + IMPORTS + LOCAL + shown + "print(n := 0)\nsum(1 for _ in shown_to_all)\n")


@pytest.mark.parametrize(
    "line",
    [
        'guess: str = "even"  ### PREDICTION',
        'if True:\n    guess = "even"  ### PREDICTION',
        'guess = "even"  ### PREDICTION, say I',
        "x = 1\n### BEGIN SOLUTION",
        "x = 1\n### END SOLUTION",
    ],
)
def test_markers_left_over(lint, line: str) -> None:
    with pytest.raises(LintError, match=r"the marker '### \w+.*' is left in the lesson"):
        lint(HEAD + line + "\n")


# --- figures and length ---------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["plt.show()", 'figure.savefig("x.png")'])
def test_figure_without_show(lint, call: str) -> None:
    with pytest.raises(LintError, match=r"'x = 1' shows a figure without show\(figure, alt"):
        lint(HEAD + f"x = 1\n{call}\n")


@pytest.mark.parametrize(
    ("about", "good"),
    [
        ({"image/png": {"alt": "What it shows."}}, True),
        ({"image/png": {"alt": ""}}, False),
        ({"image/png": {"width": 300}}, False),
        ({}, False),
    ],
)
@pytest.mark.parametrize("kind", ["image/png", "image/svg+xml"])
def test_executed_figure_needs_alternative_text(lint, kind: str, about, good: bool) -> None:
    path, blank, solved = lint(HEAD + "x = 1\n")
    about = dict.fromkeys([kind] if about else [], next(iter(about.values()), None))
    solved["cells"][-1]["outputs"] = [
        nbformat.v4.new_output("stream", text="words"),
        nbformat.v4.new_output("display_data", data={kind: "iVBO"}, metadata=about),
    ]
    if good:
        lint_notebooks(path, blank, solved)
        return
    with pytest.raises(LintError, match="a figure of the cell 'x = 1' has no alternative text"):
        lint_notebooks(path, blank, solved)


def test_cell_too_long(lint) -> None:
    lint(HEAD + "x = 1\n" * 40)
    with pytest.raises(LintError, match="the cell 'y = 2' has 41 lines, the limit is 40"):
        lint(HEAD + "x = 1\n\n# %%\ny = 2\n" + "x = 1\n" * 40)


def test_inserted_code_too_long(lint) -> None:
    with pytest.raises(LintError, match=r'MultiHeadAttention"\)\' has \d\d lines, the limit is 40'):
        lint(HEAD + IMPORTS + SDPA + MULTI.format(""))


@pytest.mark.parametrize("path", sources([]), ids=lambda p: p.stem)
def test_real_lesson_as_it_was_executed(path: Path) -> None:
    """`build --check` lints what it renders; this lints the figures that are stored."""
    stored = [folder / f"{path.stem}.ipynb" for folder in (BLANK, SOLVED)]
    lint_notebooks(path, *[nbformat.read(p, as_version=4) for p in stored])

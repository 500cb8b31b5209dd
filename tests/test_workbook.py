"""The workbook: a learner's code takes its place in `lib`, and a bad file never breaks anything.

Each test starts fresh Python processes with a workbook of their own, as learners have it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lib.course import workbook
from lib.course.floors import ROOT

NAME = "lib.attention.causal_mask"
SIGNATURE = "(n_query, n_key=None, device=None)"
RIGHT = """\
import torch


def causal_mask(n_query, n_key=None, device=None):
    n_key = n_query if n_key is None else n_key
    if n_key < n_query:
        raise ValueError("too few keys")
    return torch.ones(n_query, n_key, dtype=torch.bool, device=device).tril(n_key - n_query)
"""


@pytest.fixture
def book(tmp_path, monkeypatch) -> Path:
    """An empty workbook of this test's own."""
    monkeypatch.setenv("TOKENS_WORKBOOK", str(tmp_path / "workbook"))
    monkeypatch.delenv("TOKENS_LIB")
    return tmp_path / "workbook"


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        timeout=120,
        check=False,
    )


USE = "import lib.attention as a; print(a.causal_mask.__module__, a.causal_mask(2, 3).sum().item())"


def keep(source: str = RIGHT, signature: str = SIGNATURE, slower: float | None = None) -> Path:
    return workbook.keep(NAME, source, signature, slower)


def test_a_passing_function_is_used_by_lib(book) -> None:
    keep()
    run = python(USE)
    assert run.stderr == ""
    assert run.stdout.split() == ["workbook.attention.causal_mask", "5"]


def test_the_switch_turns_it_off(book) -> None:
    keep()
    assert python(USE, TOKENS_LIB="reference").stdout.split() == ["lib.attention", "5"]


def test_the_layer_above_uses_it_too(book) -> None:
    keep()
    code = """
        import torch
        from lib import attention
        calls = []
        own = attention.causal_mask
        assert attention.MultiHeadAttention.forward.__globals__["causal_mask"] is own
        print(own.__module__)
    """
    assert python(code).stdout.strip() == "workbook.attention.causal_mask"


def edited(path: Path) -> None:
    path.write_text(path.read_text().replace("tril(", "triu("))


def with_syntax_error(path: Path) -> None:
    path.write_text(path.read_text() + "\ndef broken(:\n")


def not_utf8(path: Path) -> None:
    path.write_bytes(path.read_bytes() + "# caf\xe9\n".encode("latin-1"))


def null_bytes(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def empty(path: Path) -> None:
    path.write_text("")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def without_its_time(path: Path) -> None:
    path.write_text(path.read_text().replace("# times slower: 1.0, of at most 10\n", ""))


def endless_when_called(path: Path) -> None:
    path.write_text(
        path.read_text().replace("n_key = n_query", "return causal_mask(n_query); n_key = n_query")
    )


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (edited, "was edited since it passed"),
        (with_syntax_error, r"has a syntax error in line \d+"),
        (not_utf8, "is not UTF-8 text"),
        (null_bytes, "has a syntax error"),
        (empty, "was edited since it passed"),
        (a_folder, "cannot be read"),
        (without_its_time, "was edited since it passed"),
        (endless_when_called, "was edited since it passed"),
    ],
)
def test_a_spoilt_file_is_one_line_of_notice(book, spoil, says) -> None:
    spoil(keep())
    run = python(USE)
    assert run.returncode == 0
    assert run.stdout.split() == ["lib.attention", "5"], "lib goes on with the reference"
    assert len(run.stderr.strip().splitlines()) == 1, run.stderr
    assert re.search(says, run.stderr), run.stderr
    assert "causal_mask" in run.stderr


BAD_SOURCES = {
    "raises at import": ("1 / 0\n" + RIGHT, "does more than define functions"),
    "raises in a default": (
        RIGHT.replace("device=None)", "device=1 / 0)"),
        "ZeroDivisionError",
    ),
    "imports what is not there": ("import nonsense_package\n" + RIGHT, "nonsense_package"),
    "exits": ("raise SystemExit\n" + RIGHT, "does more than define functions"),
    "sleeps": ("import time\ntime.sleep(100)\n" + RIGHT, "does more than define functions"),
    "never ends": ("while True:\n    pass\n" + RIGHT, "does more than define functions"),
    "recursion at import": (
        "def f():\n    return f()\n\n\n" + RIGHT.replace("device=None)", "device=f())"),
        "RecursionError",
    ),
    "defines something else": (RIGHT.replace("causal_mask", "casual_mask"), "defines no function"),
    "imports itself": (
        "from lib.attention import causal_mask as theirs\n" + RIGHT,
        "calls the very function that it should replace",
    ),
    "calls itself through lib": (
        "from lib.attention import causal_mask\n" + RIGHT,
        "calls the very function that it should replace",
    ),
}


@pytest.mark.parametrize("what", BAD_SOURCES)
def test_a_bad_source_is_one_line_of_notice(book, what) -> None:
    """Files whose fingerprint fits (so nobody edited them), and which still cannot be used."""
    source, says = BAD_SOURCES[what]
    keep(source)
    run = python(USE)
    assert run.stdout.split() == ["lib.attention", "5"]
    assert len(run.stderr.strip().splitlines()) == 1, run.stderr
    assert says in run.stderr


def test_other_parameters_than_today_is_stale(book) -> None:
    keep(signature="(n_query, n_key)")
    run = python(USE)
    assert run.stdout.split()[0] == "lib.attention"
    assert "is for other parameters than lib has now" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


def test_fifty_times_too_slow_stays_out(book) -> None:
    keep(slower=50.0)
    run = python(USE)
    assert run.stdout.split()[0] == "lib.attention"
    assert "took 50 times as long as the reference" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


def test_something_that_lib_does_not_have(book) -> None:
    workbook.keep("lib.attention.telepathy", "def telepathy():\n    return 1\n", "()", None)
    run = python(USE)
    assert run.stdout.split()[0] == "lib.attention"
    assert "lib does not have" in run.stderr


def test_one_bad_file_does_not_keep_out_a_good_one(book) -> None:
    keep()
    (book / "attention" / "merge_heads.py").write_text("def merge_heads(:")
    run = python(USE)
    assert run.stdout.split()[0] == "workbook.attention.causal_mask"
    assert "merge_heads" in run.stderr


def test_keeping_is_whole_or_not_at_all(book, monkeypatch) -> None:
    path = keep()
    before = path.read_bytes()

    def fails(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="disk full"):
        keep(RIGHT + "\n# newer\n")
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path], "nothing half-written is left beside"


def test_a_method_takes_its_place(book) -> None:
    source = """\
    import torch.nn.functional as F
    from einops import rearrange


    def forward(self, x, mask=None, rotate=None, cache=None):
        return self.output(self.value(x).repeat_interleave(1, -1))
    """
    workbook.keep(
        "lib.attention.MultiHeadAttention.forward",
        textwrap.dedent(source),
        "(self, x, mask=None, rotate=None, cache=None)",
        None,
    )
    code = """
        import torch
        from lib.attention import MultiHeadAttention
        class Sub(MultiHeadAttention):
            pass
        print(Sub(8, 2).forward.__func__.__module__)
    """
    run = python(code)
    assert run.stderr == ""
    assert run.stdout.strip() == "workbook.attention.MultiHeadAttention.forward"


def test_live_kernel_is_rebound(book, tmp_path) -> None:
    """What was imported from lib before the exercise passed uses the learner's version after it."""
    cell = tmp_path / "cell.py"
    cell.write_text(
        textwrap.dedent(
            """
            import sys, types
            import lib.attention
            from lib.attention import causal_mask as imported_before
            user = types.ModuleType("lib.user")
            user.causal_mask = imported_before
            user.masks = [imported_before]
            def with_default(make=imported_before):
                return make
            user.with_default = with_default
            sys.modules["lib.user"] = user
            from lib.course import exercise
            import torch

            @exercise("lib.attention.causal_mask")
            def causal_mask(n_query, n_key=None, device=None):
                n_key = n_query if n_key is None else n_key
                if n_key < n_query:
                    raise ValueError("too few keys")
                whole = torch.ones(n_query, n_key, dtype=torch.bool, device=device)
                return whole.tril(n_key - n_query)

            print(lib.attention.causal_mask.__module__)
            print(imported_before.__module__)
            print(user.causal_mask.__module__)
            print(lib.attention.MultiHeadAttention.forward.__globals__["causal_mask"].__module__)
            """
        )
    )
    run = subprocess.run(
        [sys.executable, str(cell)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    lines = run.stdout.splitlines()
    assert run.stderr == ""
    assert lines[0].startswith(
        "✓ 7/7 causal_mask · from here on, lib.attention.causal_mask is yours"
    )
    assert "the list lib.user.masks holds the old one" in lines[1]
    assert "lib.user.with_default took it as a default" in lines[1]
    assert lines[2:] == ["workbook.attention.causal_mask"] * 4


def test_subclasses_with_their_own_method_are_named(book, tmp_path) -> None:
    cell = tmp_path / "cell.py"
    cell.write_text(
        textwrap.dedent(
            """
            from lib.attention import MultiHeadAttention
            from lib.course import workbook
            class Quick(MultiHeadAttention):
                def forward(self, x):
                    return x
            class Plain(MultiHeadAttention):
                pass
            def forward(self, x, mask=None, rotate=None, cache=None):
                return x
            print(workbook.install("lib.attention.MultiHeadAttention.forward", forward))
            print(Plain.forward is forward)
            """
        )
    )
    run = subprocess.run(
        [sys.executable, str(cell)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert run.stdout.splitlines() == [
        "['the subclass Quick keeps its own forward']",
        "True",
    ], run.stderr


def test_helpers_constants_and_imports_come_along(book, tmp_path) -> None:
    cell = tmp_path / "cell.py"
    cell.write_text(
        textwrap.dedent(
            """
            import torch as th
            from math import inf
            from lib.course import exercise

            SHIFT = 0

            def lower(whole, k):
                # a helper of the learner's
                return whole.tril(k + SHIFT)

            @exercise("lib.attention.causal_mask")
            def causal_mask(n_query, n_key=None, device=None):
                n_key = n_query if n_key is None else n_key
                if n_key < n_query or n_key == inf:
                    raise ValueError("too few keys")
                return lower(th.ones(n_query, n_key, dtype=th.bool, device=device), n_key - n_query)
            """
        )
    )
    run = subprocess.run(
        [sys.executable, str(cell)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert run.stdout.startswith("✓"), run.stdout + run.stderr
    text = (book / "attention" / "causal_mask.py").read_text()
    assert "import torch as th" in text
    assert "SHIFT = 0" in text
    assert "# a helper of the learner's" in text
    assert "@exercise" not in text
    assert python(USE).stdout.split() == ["workbook.attention.causal_mask", "5"]


def test_a_right_answer_after_restart_is_still_there_when_the_cell_is_blank(book) -> None:
    keep()
    code = """
        from lib.course import exercise
        @exercise("lib.attention.causal_mask")
        def causal_mask(n_query, n_key=None, device=None):
            raise NotImplementedError
        print(causal_mask.__module__)
    """
    lines = python(code).stdout.splitlines()
    assert "the one you passed earlier is used" in lines[0]
    assert lines[1] == "workbook.attention.causal_mask"


def test_progress_shows_it(book) -> None:
    keep()
    code = """
        from lib.course import progress
        house = progress()
        print(house.yours, "✓ causal_mask" in str(house))
        print("Yours: causal_mask." in house._repr_html_())
    """
    assert python(code).stdout.split() == ["1", "True", "True"]


SLOW = """\
import time
import torch
import lib.attention
from lib.course import exercise, grade

@exercise("lib.attention.causal_mask")
def causal_mask(n_query, n_key=None, device=None):
    time.sleep(0.02 if n_query > 100 else 0)
    n_key = n_query if n_key is None else n_key
    if n_key < n_query:
        raise ValueError("too few keys")
    whole = torch.ones(n_query, n_key, dtype=torch.bool, device=device)
    return whole.tril(n_key - n_query)

"""


def run_slow(folder: Path, then: str) -> subprocess.CompletedProcess[str]:
    """Pass an exercise with a right but slow function, then go on."""
    cell = folder / "cell.py"
    cell.write_text(SLOW + textwrap.dedent(then))
    return subprocess.run(
        [sys.executable, str(cell)], capture_output=True, text=True, cwd=ROOT, check=False
    )


def test_right_but_slow_is_kept_out_and_still_earns_its_mark(book, tmp_path) -> None:
    run = run_slow(
        tmp_path,
        """
        start = time.perf_counter()
        causal_mask(512)
        print(time.perf_counter() - start < 0.015, grade(causal_mask))
        print(lib.attention.causal_mask.__module__)
        """,
    )
    said, *rest = run.stdout.splitlines()
    assert re.match(r"✓ 7/7 causal_mask · right, but \d+ × slower than the reference", said), said
    assert rest == ["True 1.0", "lib.attention"], run.stderr
    kept = (book / "attention" / "causal_mask.py").read_text()
    assert "of at most 10" in kept
    assert "took" in python(USE).stderr, "the next start says why it is not used"


def test_a_lessons_own_exercise_is_kept_too(book) -> None:
    blank = """
        from lib.course import exercise
        @exercise("start_here.most_common_next")
        def most_common_next(text, word):
            raise NotImplementedError
        print(most_common_next.__module__)
    """
    assert "not started" in python(blank).stdout
    source = """
    def most_common_next(text, word):
        words = text.split()
        after = [b for a, b in zip(words, words[1:]) if a == word]
        return max(dict.fromkeys(after), key=after.count, default="")
    """
    name = "start_here.most_common_next"
    workbook.keep(name, textwrap.dedent(source), "(text, word)", None)
    said, module = python(blank).stdout.splitlines()
    assert "the one you passed earlier is used" in said
    assert module == "workbook.start_here.most_common_next"


def test_a_slow_answer_never_takes_the_place_of_a_quick_one(book, tmp_path) -> None:
    path = keep()
    before = path.read_text()
    run = run_slow(tmp_path, "print(causal_mask.__module__)")
    said, module = run.stdout.splitlines()
    assert "slower than the one you passed before, which stays in its place" in said
    assert module == "workbook.attention.causal_mask"
    assert path.read_text() == before

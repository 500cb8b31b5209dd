"""Lessons cut short: how much is measured, and that nothing is claimed of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lib.course.floors import ROOT
from lib.course.short import how_many


def test_as_many_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKENS_SHORT", raising=False)
    assert how_many(100, short=8) == 100
    monkeypatch.setenv("TOKENS_SHORT", "1")
    assert how_many(100, short=8) == 8
    with pytest.raises(ValueError, match="0 < short ≤ n"):
        how_many(8, short=9)


CELLS = [
    "from lib.course import exercise, how_many",
    "for n in [how_many(100, short=8)]:\n    assert n == 100\nassert n == 100, 'a claim'",
    "def guarded():\n    assert n == 100",
    "try:\n    guarded()\nexcept AssertionError:\n    print('kept')",
    "print('n is', n)",
    "assert n == 7, 'not so'\nprint('passed over')",
]
RUN = f"""
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for cell in {CELLS}:
    shell.run_cell(cell)
"""


@pytest.mark.parametrize("short", ["1", "0"])
def test_claims_of_cells_are_left_out_and_guards_stay(short: str, tmp_path: Path) -> None:
    script = tmp_path / "cells.py"
    script.write_text(RUN)
    space = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "TOKENS_SHORT": short,
             "HOME": str(tmp_path), "TOKENS_WORKBOOK": str(tmp_path / "workbook")}  # fmt: skip
    done = subprocess.run([sys.executable, script], env=space, capture_output=True, text=True)
    if short == "1":
        assert "what is claimed of it is not asserted" in done.stdout
        assert done.stdout.endswith("kept\nn is 8\npassed over\n"), done.stdout + done.stderr
    else:
        assert "n is 100\n" in done.stdout and "kept" not in done.stdout
        assert done.stdout.endswith(": not so\n"), "a claim that fails is an error"

"""A lesson's source: a percent script, cell by cell.

What a cell's header can say:

    # %% exercise="lib.attention.causal_mask"    the steps as comments, then a real import
    # %% exercise="start_here.most_common_next"  a lesson's own: the function, its solution between
                                                 `### BEGIN SOLUTION` and `### END SOLUTION`
    guess = "even"  ### PREDICTION               a line: the lesson shows None instead
    # %% given="lib.attention.MultiHeadAttention" only="__init__"
                                                 lib's own code, shown for reading
    # %% tags=["nbval-check-output"]             stored output is compared by the tests
    # %% folded=true                             the code is folded away; its output is not
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lib.course.floors import LESSONS


class LintError(Exception):
    """A lesson or module breaks a rule of the house; the message says which and where."""

    def __init__(self, path: Path, message: str) -> None:
        self.path = path
        super().__init__(message)


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

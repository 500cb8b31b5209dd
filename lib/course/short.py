"""Lessons cut short, to see whether all their cells run here: TOKENS_SHORT=1 in the environment.

Trainings take eight steps then (`lib.course.machine.fit_steps`), what is measured is measured on
little (`how_many`), and what a lesson claims about the results is not asserted.
"""

from __future__ import annotations

import ast
import os
import sys


def is_short() -> bool:
    """Whether lessons are cut short."""
    return os.environ.get("TOKENS_SHORT") == "1"


def how_many(n: int, short: int) -> int:
    """`n`: so many texts are written, questions asked, windows read; or `short` in a short run.

    Raises:
        ValueError: a short run would not be shorter.
    """
    if not 0 < short <= n:
        raise ValueError(f"expected 0 < short ≤ n, got n = {n} and short = {short}")
    return short if is_short() else n


class LeaveClaimsOut(ast.NodeTransformer):
    """Takes the asserts out of a cell; those in functions stay, they guard what is computed."""

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        """Nothing in its place."""
        return ast.copy_location(ast.Pass(), node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """As it is."""
        return node


def leave_claims_out() -> None:
    """In a short run, cells of this notebook are run without their claims from now on."""
    if not is_short() or "IPython" not in sys.modules:
        return
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is None or any(isinstance(t, LeaveClaimsOut) for t in shell.ast_transformers):
        return
    shell.ast_transformers.append(LeaveClaimsOut())
    print("TOKENS_SHORT=1: what takes long is cut short, what is claimed of it is not asserted.")


__all__ = ["how_many", "is_short", "leave_claims_out"]

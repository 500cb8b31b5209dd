"""A learner at a real kernel: blank, wrong, wrong again, right, restart. The whole way, as in
JupyterLab, with a workbook of the test's own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from jupyter_client.manager import KernelManager, start_new_kernel

from lib.course.floors import ROOT


class Notebook:
    """Runs cells in a live kernel; gives back what they print."""

    def __init__(self, manager: KernelManager, client) -> None:
        self.manager, self.client = manager, client

    def run(self, code: str) -> str:
        printed: list[str] = []

        def hook(message) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                printed.append(content["text"])
            elif message["msg_type"] in ("execute_result", "display_data"):
                printed.append(content["data"].get("text/plain", ""))
            elif message["msg_type"] == "error":
                printed.append(f"{content['ename']}: {content['evalue']}")

        self.client.execute_interactive(code, timeout=120, output_hook=hook)
        return "".join(printed)

    def restart(self) -> None:
        self.manager.restart_kernel(now=True)
        self.client.wait_for_ready(timeout=60)


@pytest.fixture
def notebook(tmp_path, monkeypatch) -> Iterator[Notebook]:
    monkeypatch.delenv("TOKENS_LIB")
    monkeypatch.setenv("TOKENS_WORKBOOK", str(tmp_path / "workbook"))
    manager, client = start_new_kernel(cwd=str(ROOT / "lessons"), env=dict(os.environ))
    try:
        yield Notebook(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


HEAD = (
    '@exercise("lib.attention.causal_mask")\ndef causal_mask(n_query, n_key=None, device=None):\n'
)
BLANK = HEAD + "    # 1. Without n_key ...\n    raise NotImplementedError\n"
NO_ERROR = (
    HEAD
    + "    return torch.ones(n_query, n_key or n_query, dtype=torch.bool, device=device).tril()\n"
)
TOP_LEFT = HEAD + (
    "    n_key = n_query if n_key is None else n_key\n"
    "    if n_key < n_query:\n"
    "        raise ValueError('no')\n"
    "    print('looking at', n_query, n_key)\n"
    "    return torch.ones(n_query, n_key, dtype=torch.bool, device=device).tril()\n"
)
GLOBAL = TOP_LEFT.replace("tril()", "tril(n_key - n_query + shift)")
RIGHT = TOP_LEFT.replace("tril()", "tril(n_key - n_query)")


def test_from_blank_to_right(notebook) -> None:
    run = notebook.run
    run("import torch\nimport lib.attention\nfrom lib.course import *\nshift = 0")

    said = run(BLANK)
    assert said.startswith("○ causal_mask not started")
    assert run("causal_mask is lib.attention.causal_mask") == "True"
    assert run("causal_mask(1, 2).tolist()") == "[[True, True]]", "the lesson goes on"

    assert "a nudge" in run("hint()")
    assert "a step" in run("hint()")
    assert "nearly there" in run("hint()")
    assert "tril(diagonal=n_key - n_query)" in run("solution()")

    said = run(NO_ERROR)
    assert said.startswith("✗")
    assert "you ran    causal_mask(2, 5)" in said
    assert "expected" in said
    assert "yours" in said
    said = run(TOP_LEFT)
    assert "✗ 4/7" in said
    assert "aligned at the top left" in said
    assert "it printed looking at 2 5" in said, "what the learner prints is shown for that case"
    assert run("causal_mask(1, 2).tolist()").endswith("[[True, False]]"), "theirs, to be debugged"
    assert run("lib.attention.causal_mask(1, 2).tolist()") == "[[True, True]]"

    said = run(GLOBAL)
    assert "it uses 'shift', a variable of this notebook" in said

    said = run(RIGHT)
    assert said.strip() == "✓ 7/7 causal_mask · from here on, lib.attention.causal_mask is yours"
    assert run("lib.attention.causal_mask.__module__") == "'workbook.attention.causal_mask'"
    forward = "lib.attention.MultiHeadAttention.forward.__globals__['causal_mask'].__module__"
    assert run(forward) == "'workbook.attention.causal_mask'"
    assert run("grade(causal_mask)") == "1.0"
    assert "1 of" in run("print(progress())")

    notebook.restart()
    run("import lib.attention\nfrom lib.course import *")
    assert run("lib.attention.causal_mask.__module__") == "'workbook.attention.causal_mask'"
    assert "the one you passed earlier is used" in run(BLANK)


def test_cells_with_magics_and_endless_loops(notebook) -> None:
    run = notebook.run
    run("import torch\nimport lib.course.judge as judge\nfrom lib.course import exercise")
    said = run("%%time\n" + RIGHT)
    assert "lib.attention.causal_mask is yours" in said
    run("judge.TIME_LIMIT = 1.0")
    said = run(HEAD + "    while True:\n        pass\n")
    assert "not finished after 1 seconds" in said
    assert run("1 + 1") == "2", "the kernel lives"


def test_given_code_is_libs_own_until_it_is_changed(notebook) -> None:
    run = notebook.run
    run("from torch import Tensor\nimport torch\nfrom lib.attention import *\nimport lib.attention")
    run("from lib.course import given\nimport inspect")
    run(
        "source = inspect.getsource(lib.attention.attention_map)\n"
        "get_ipython().run_cell('@given(\"lib.attention.attention_map\")\\n' + source)"
    )
    assert run("attention_map is lib.attention.attention_map") == "True"
    said = run(
        '@given("lib.attention.attention_map")\n'
        "def attention_map(attention, x, mask=None):\n"
        "    return 1\n"
    )
    assert "✎ lib.attention.attention_map is changed in this notebook only" in said
    assert run("attention_map(None, None)") == "1"
    assert run("lib.attention.attention_map is attention_map") == "False"

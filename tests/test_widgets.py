"""Sliders and fields without a browser: what they begin with, draw and say. See tests/browser."""

from __future__ import annotations

import builtins

import matplotlib.pyplot as plt
import pytest

from lib.course.figures import show
from lib.course.widgets import explore


def parts(box) -> tuple[dict, object]:
    """(controls by label, the picture below them)."""
    *controls, picture = box.children
    return {c.description: c for c in controls}, picture


def test_controls_and_where_they_begin() -> None:
    def draw(n: int, size: int, low: int, how: float = 0.7, which: str = "b", **text: str) -> str:
        return f"{n} {size} {low} {how} {which} {text['two_words']}"

    box = explore(
        draw,
        n=range(2, 9, 3),
        size=[256, 512],
        low=range(5, 0, -1),
        how=(0.0, 2.0, 0.1),
        which=["a", "b"],
        two_words="If the",
    )
    controls, picture = parts(box)
    assert picture.value == "2 256 1 0.7 b If the"
    assert list(controls) == ["n", "size", "low", "how", "which", "two words"]
    assert (controls["n"].min, controls["n"].max, controls["n"].step) == (2, 8, 3)
    assert (controls["low"].min, controls["low"].max) == (1, 5)
    controls["n"].value = 5
    controls["two words"].value = "else"
    assert picture.value == "5 256 1 0.7 b else"
    assert "token-by-token" in box._dom_classes


def test_figure_with_its_alternative_text() -> None:
    def draw(n: int):
        figure, axes = plt.subplots(figsize=(2, 2))
        axes.plot(range(n))
        return figure

    controls, picture = parts(explore(draw, alt=lambda n: f'"{n}" points & a line', n=range(2, 9)))
    first = picture.value
    assert '<img alt="&quot;2&quot; points &amp; a line"' in first and "base64,iVBOR" in first
    controls["n"].value = 5
    assert picture.value != first and "&quot;5&quot;" in picture.value
    assert plt.get_fignums() == [], "figures are closed"
    with pytest.raises(ValueError, match="alternative text"):
        explore(draw, n=range(2, 9))
    plt.close("all")


def test_error_is_shown_where_people_look() -> None:
    def draw(text: str) -> str:
        if not text:
            raise ValueError("<nothing> to tokenize")
        return text

    controls, picture = parts(explore(draw, text="a"))
    controls["text"].value = ""
    assert "ValueError: &lt;nothing&gt; to tokenize" in picture.value
    controls["text"].value = "b"
    assert picture.value == "b"
    with pytest.raises(ValueError):  # in the lesson itself it fails loudly
        explore(draw, text="")


def test_nonsense_and_no_ipywidgets(monkeypatch, capsys) -> None:
    with pytest.raises(ValueError, match="the control 'n' should be a range"):
        explore(lambda n: "", n=3)
    real = builtins.__import__

    def without(name, *args):
        if name == "ipywidgets":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    assert explore(lambda n: "", n=range(3)) is None
    assert "pip install ipywidgets" in capsys.readouterr().out


def test_show_outside_a_notebook(capsys) -> None:
    figure, _ = plt.subplots()
    with pytest.raises(ValueError, match="alternative text of some words"):
        show(figure, alt="a plot")
    show(figure, alt="A pair of axes with nothing in them.")
    assert capsys.readouterr().out == "[figure: A pair of axes with nothing in them.]\n"
    assert plt.get_fignums() == []

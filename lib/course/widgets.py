"""Pictures that move when a slider does. Always below a static figure that says the same."""

from __future__ import annotations

import base64
import html
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from lib.course.figures import png


def explore(draw: Callable[..., Any], alt: Callable[..., str] | None = None, **choices: Any) -> Any:
    """Sliders and fields above a picture that is drawn anew at each change.

    Args:
        draw: called with one keyword for each control; gives a matplotlib figure, or HTML.
        alt: called likewise, gives the figure's alternative text (not needed for HTML).
        choices: one control each: a `range` is a slider of whole numbers, a list a slider over its
            entries, a tuple (low, high, step) a slider of decimals, a string a text field. A slider
            begins where `draw` has its default, else at the lowest.

    Returns:
        The widget, to be shown as the last value of a cell; None (after a line that says so) where
        ipywidgets is not installed.

    Raises:
        ValueError: a control that is none of these, or a figure without `alt`.

    >>> explore(lambda n: "<b>" + "a" * n + "</b>", n=range(1, 5))    # doctest: +SKIP
    """
    try:
        import ipywidgets
    except ImportError:
        print("Sliders need ipywidgets (pip install ipywidgets); the figure above says the same.")
        return None
    begin = {
        name: parameter.default
        for name, parameter in inspect.signature(draw).parameters.items()
        if parameter.default is not parameter.empty
    }
    label_width = f"{max([7, *map(len, choices)])}em"
    controls = {
        name: _control(ipywidgets, name, choice, begin.get(name), label_width)
        for name, choice in choices.items()
    }
    picture = ipywidgets.HTML()

    def redraw() -> None:
        values = {name: control.value for name, control in controls.items()}
        drawn = draw(**values)
        if isinstance(drawn, str):
            picture.value = drawn
            return
        if alt is None:
            raise ValueError("a figure needs an alternative text: pass alt=...")
        code = base64.b64encode(png(drawn)).decode()
        text = html.escape(alt(**values), quote=True)
        picture.value = (
            f'<img alt="{text}" style="max-width:100%" src="data:image/png;base64,{code}">'
        )

    def changed(_: Any) -> None:
        try:
            redraw()
        except Exception as error:  # nobody sees what is raised here: say it where they look
            problem = html.escape(f"{type(error).__name__}: {error}")
            picture.value = f'<pre style="white-space:pre-wrap">{problem}</pre>'

    for control in controls.values():
        control.observe(changed, names="value")
    redraw()
    box = ipywidgets.VBox([*controls.values(), picture])
    box.add_class("token-by-token")
    return box


def _control(ipywidgets: Any, name: str, choice: Any, begin: Any, label_width: str) -> Any:
    wide = {
        "description": name.replace("_", " "),
        "style": {"description_width": label_width},
        "layout": ipywidgets.Layout(width="98%", max_width="640px"),
    }
    if isinstance(choice, str):
        return ipywidgets.Text(choice, continuous_update=True, **wide)
    wide["continuous_update"] = False  # drawn anew when the handle is let go
    if isinstance(choice, range):
        low, high = min(choice), max(choice)
        begin = low if begin is None else begin
        return ipywidgets.IntSlider(begin, low, high, abs(choice.step), **wide)
    if isinstance(choice, tuple) and len(choice) == 3:
        low, high, step = choice
        begin = low if begin is None else begin
        return ipywidgets.FloatSlider(begin, min=low, max=high, step=step, **wide)
    if isinstance(choice, Sequence) and len(choice):
        begin = choice[0] if begin is None else begin
        return ipywidgets.SelectionSlider(options=list(choice), value=begin, **wide)
    raise ValueError(
        f"the control {name!r} should be a range, a list, a tuple (low, high, step) or a text, "
        f"got {choice!r}"
    )

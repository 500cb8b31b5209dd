"""Pictures that move when a slider does. Always below a static figure that says the same."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Sequence
from typing import Any

from lib.course.figures import png


def explore(draw: Callable[..., Any], alt: Callable[..., str] | None = None, **choices: Any) -> Any:
    """Sliders and fields above a picture that is drawn anew at each change.

    Args:
        draw: called with one keyword for each control; gives a matplotlib figure, or HTML.
        alt: called likewise, gives the figure's alternative text (not needed for HTML).
        choices: one control each: a `range` is a slider of whole numbers, a list a slider over its
            entries, a tuple (low, high, step) a slider of decimals, a string a text field.

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
    controls = {name: _control(ipywidgets, name, choice) for name, choice in choices.items()}
    picture = ipywidgets.HTML()

    def redraw(*_: Any) -> None:
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

    for control in controls.values():
        control.observe(redraw, names="value")
    redraw()
    box = ipywidgets.VBox([*controls.values(), picture])
    box.add_class("token-by-token")
    return box


def _control(ipywidgets: Any, name: str, choice: Any) -> Any:
    label = name.replace("_", " ")
    wide = {"layout": ipywidgets.Layout(width="98%", max_width="640px")}
    if isinstance(choice, range):
        low, high = choice[0], choice[-1]
        return ipywidgets.IntSlider(
            low, low, high, choice.step, description=label, continuous_update=False
        )
    if isinstance(choice, str):
        return ipywidgets.Text(choice, description=label, continuous_update=True, **wide)
    if isinstance(choice, tuple) and len(choice) == 3:
        low, high, step = choice
        return ipywidgets.FloatSlider(
            low, min=low, max=high, step=step, description=label, continuous_update=False
        )
    if isinstance(choice, Sequence) and len(choice):
        return ipywidgets.SelectionSlider(
            options=list(choice), description=label, continuous_update=False
        )
    raise ValueError(
        f"the control {name!r} should be a range, a list, a tuple (low, high, step) or a text, "
        f"got {choice!r}"
    )

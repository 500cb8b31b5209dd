"""Figures that everyone can read: every one comes with a text that says what it shows."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Readable in grey as well: the colours differ in lightness, the lines in dashes and markers.
STYLE: dict[str, Any] = {
    "figure.figsize": (6.4, 3.4),
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 2,
    "lines.markersize": 6,
    "image.cmap": "viridis",
    "legend.frameon": False,
}
COLORS = ("#1b3a6b", "#e07b00", "#2a9d6f", "#b3446c", "#6aaed6", "#7a7a7a")
"""Dark blue, orange, green, plum, light blue, grey."""
DASHES = ("-", "--", "-.", ":")


def use_style() -> None:
    """Make matplotlib draw in the course's style from now on. Lessons call it once."""
    import matplotlib.pyplot as plt
    from cycler import cycler

    plt.rcParams.update(STYLE)  # type: ignore[arg-type]
    # constrained layout and grids do not suit images: those switch the grid off themselves
    dashes = [DASHES[i % len(DASHES)] for i in range(len(COLORS))]
    plt.rcParams["axes.prop_cycle"] = cycler(color=COLORS) + cycler(linestyle=dashes)


def png(figure: Figure) -> bytes:
    """The figure as a PNG file's bytes; the figure is closed."""
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white", metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()


def show(figure: Figure, alt: str) -> None:
    """Show a finished figure in the notebook, with its alternative text.

    Args:
        figure: a matplotlib figure; it is closed afterwards.
        alt: what a reader who cannot see it should know: what is plotted, and what it shows.

    Raises:
        ValueError: the alternative text is missing.
    """
    if len(alt.split()) < 5:
        raise ValueError(f"a figure needs an alternative text of some words, got {alt!r}")
    try:
        from IPython.core.getipython import get_ipython

        shell = get_ipython()
    except ImportError:
        shell = None
    data = png(figure)
    if shell is None or not hasattr(shell, "kernel"):
        print(f"[figure: {alt}]")
        return
    from IPython.display import Image, display

    display(Image(data, format="png", alt=alt))  # type: ignore[no-untyped-call]

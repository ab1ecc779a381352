"""What all plots share: style, colours, panels and legends.

Every figure is a new one, which the caller may save; it is no part of
pyplot's state. ``plot_style(dark=True)`` around a call draws for a dark
background.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import io
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's colours: told apart by colour-blind readers, and visible on
# light and on dark ground.
CYCLE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]

# Parts of a ranking of neurons.
PARTS = {
    "hypo": "#0072B2",
    "hyper": "#D55E00",
    "medium": "#009E73",
    "random": "#8a929e",
}

_LIGHT = {"ink": "#1f2328", "paper": "#ffffff", "line": "#d8dce2"}
_DARK = {"ink": "#e6e9ee", "paper": "#171a20", "line": "#3a404a"}


def plot_style(dark: bool = False) -> AbstractContextManager:
    """Return a context in which plots are drawn in the report's style.

    Arguments
    ---------
    dark : bool
        Whether for a dark background.

    Returns
    -------
    context manager
        Sets matplotlib's parameters, and sets them back.

    Example
    -------
    >>> with plot_style(dark=True):
    ...     figure = new_figure(3, 2)
    >>> figure.get_facecolor()[0] < 0.2
    True
    """
    tone = _DARK if dark else _LIGHT
    ink = ("text.color", "axes.labelcolor", "xtick.color", "ytick.color")
    return matplotlib.rc_context(
        {
            **dict.fromkeys(ink, tone["ink"]),
            "figure.facecolor": tone["paper"],
            "axes.facecolor": tone["paper"],
            "savefig.facecolor": tone["paper"],
            "axes.edgecolor": tone["line"],
            "grid.color": tone["line"],
            "axes.grid": True,
            "axes.grid.axis": "y",
            "axes.axisbelow": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": "medium",
            "axes.titlelocation": "left",
            "axes.prop_cycle": matplotlib.cycler(color=CYCLE),
            "font.size": 11,
            "legend.frameon": False,
            "lines.linewidth": 2,
        }
    )


def to_png(figure: Figure, dots_per_inch: int = 144) -> bytes:
    """Return a figure as the bytes of a PNG.

    Arguments
    ---------
    figure : Figure
        What one of the plot functions returned.
    dots_per_inch : int
        Resolution.

    Returns
    -------
    bytes
        The file's content.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dots_per_inch)
    return buffer.getvalue()


def new_figure(width: float, height: float) -> Figure:
    """Make a figure outside pyplot, so that nobody has to close it.

    Arguments
    ---------
    width : float
        In inches.
    height : float
        In inches.

    Returns
    -------
    Figure
        Empty.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def make_panels(
    names: Sequence[str], share_y: bool = False, row_height: float = 2.2
) -> tuple[Figure, list[Axes]]:
    """Make one panel per name, two in a row.

    Arguments
    ---------
    names : sequence of str
        What the panels are for; one panel is made even if there are none.
    share_y : bool
        Whether all have the same vertical axis.
    row_height : float
        In inches.

    Returns
    -------
    tuple of Figure and list of Axes
        The figure and its panels, untitled.
    """
    count = max(len(names), 1)
    columns = min(count, 2)
    rows = math.ceil(count / columns)
    figure = new_figure(7.0, 1.2 + row_height * rows)
    grid = figure.subplots(
        rows, columns, sharex=True, sharey=share_y, squeeze=False
    )
    panels = list(grid.flat)
    for spare in panels[count:]:
        spare.set_visible(False)
        # The one above is the last of its column.
        panels[panels.index(spare) - columns].tick_params(labelbottom=True)
    return figure, panels[: len(names)] or panels[:1]


def draw_curve(axes: Axes, xs: Sequence, ys: Sequence, **style: Any) -> None:
    """Draw a curve through the known points, marked where they are few.

    Arguments
    ---------
    axes : Axes
        Where.
    xs : sequence
        Numbers, None where unknown.
    ys : sequence
        Numbers, None where unknown.
    **style
        Options of ``Axes.plot``.
    """
    points = known(xs, ys)
    marker = "o" if len(points) < 12 else None
    axes.plot(
        [x for x, _ in points],
        [y for _, y in points],
        **{"marker": marker, "markersize": 4, **style},
    )


def known(*columns: Sequence) -> list[tuple]:
    """Keep the rows in which no column is unknown.

    Arguments
    ---------
    *columns : sequence
        Equally long.

    Returns
    -------
    list of tuple
        Rows.

    Example
    -------
    >>> known([1, 2, None], [3, None, 4])
    [(1, 3)]
    """
    return [
        row
        for row in zip(*columns, strict=True)
        if all(value is not None for value in row)
    ]


def legend_above(
    figure: Figure,
    entries: tuple[list, list] | None = None,
    columns: int = 6,
) -> None:
    """Put one legend above all panels.

    Arguments
    ---------
    figure : Figure
        Where.
    entries : tuple of list, optional
        Handles and labels; those of the first panel by default.
    columns : int
        At most so many entries stand side by side.
    """
    handles, labels = entries or figure.axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(
            handles,
            labels,
            loc="outside upper center",
            ncols=min(len(labels), columns),
            fontsize="small",
        )


def thousands(value: float, position: int | None = None) -> str:
    """Write 20000 as 20k, which leaves room between ticks.

    Arguments
    ---------
    value : float
        A tick.
    position : int, optional
        Its number, which matplotlib gives.

    Returns
    -------
    str
        Its label.

    Example
    -------
    >>> thousands(20000.0), thousands(500.0)
    ('20k', '500')
    """
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    return f"{value:g}"

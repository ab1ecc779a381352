"""Plots of rankings: how saliencies are distributed, how criteria agree.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from speechbrain_neuronprune.report.canvas import (
    PARTS,
    legend_above,
    make_panels,
)
from speechbrain_neuronprune.report.cells import MINUS

# The zones of hypo and hyper neurons have other colours.
LINES = ["#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8a929e"]
STYLES = ["-", "--", ":"]

FLOOR = 1e-4  # of the highest saliency; what is below is drawn there


def plot_saliency(analysis: dict[str, Any]) -> Figure:
    """Draw the sorted saliencies of every layer's neurons.

    Arguments
    ---------
    analysis : dict
        ``layers`` with saliencies, and the shares ``hypo`` and ``hyper``.

    Returns
    -------
    Figure
        One panel per layer, one curve per criterion, relative to its highest
        value; hypo and hyper neurons stand in shaded zones.
    """
    layers = analysis["layers"]
    lowest = min(
        min(_relative(one["values"]))
        for layer in layers.values()
        for one in layer["saliency"].values()
    )
    figure, panels = make_panels(list(layers), share_y=True)
    for axes, (name, layer) in zip(panels, layers.items(), strict=True):
        _shade(axes, analysis["hypo"], analysis["hyper"])
        for number, (criterion, one) in enumerate(layer["saliency"].items()):
            _draw_sorted(axes, criterion, one["values"], number)
        axes.set_title(f"{name} ({layer['units']:,} neurons)")
        axes.set_yscale("log")
        axes.set(xlim=(0, 1), ylim=(0.8 * lowest, 1.25))
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.supxlabel("neurons, the least salient first", fontsize="medium")
    figure.supylabel("share of the highest saliency", fontsize="medium")
    legend_above(figure)
    return figure


def plot_agreement(analysis: dict[str, Any]) -> Figure:
    """Draw how much the criteria agree on the order of neurons.

    Arguments
    ---------
    analysis : dict
        ``layers`` with the rank correlations of the criteria.

    Returns
    -------
    Figure
        One heat map per layer.
    """
    layers = analysis["layers"]
    rows = max(len(layer["agreement"]["criteria"]) for layer in layers.values())
    figure, panels = make_panels(list(layers), row_height=1 + 0.42 * rows)
    for axes, (name, layer) in zip(panels, layers.items(), strict=True):
        agreement = layer["agreement"]
        _draw_matrix(axes, agreement["criteria"], agreement["matrix"])
        axes.set_title(name)
    return figure


def _shade(axes: Axes, hypo: float, hyper: float) -> None:
    for part, ends in (("hypo", (0, hypo)), ("hyper", (1 - hyper, 1))):
        axes.axvspan(
            *ends, color=PARTS[part], alpha=0.2, linewidth=0, label=part
        )


def _relative(values: Sequence[float]) -> list[float]:
    highest = max(values) or 1.0
    return [max(value / highest, FLOOR) for value in values]


def _draw_sorted(
    axes: Axes, criterion: str, values: Sequence[float], number: int
) -> None:
    axes.plot(
        [(place + 0.5) / len(values) for place in range(len(values))],
        _relative(values),
        color=LINES[number % len(LINES)],
        linestyle=STYLES[number // len(LINES) % len(STYLES)],
        label=criterion,
    )


def _draw_matrix(
    axes: Axes, names: Sequence[str], matrix: Sequence[Sequence[float | None]]
) -> None:
    # No agreement looks like the paper that it is drawn on.
    paper = matplotlib.rcParams["axes.facecolor"]
    colours = LinearSegmentedColormap.from_list(
        "agreement", [PARTS["hyper"], paper, PARTS["hypo"]]
    )
    shown = [[0.0 if value is None else value for value in r] for r in matrix]
    axes.imshow(shown, cmap=colours, vmin=-1, vmax=1, aspect="auto")
    for row, column in product(range(len(names)), repeat=2):
        value = matrix[row][column]
        ink = matplotlib.rcParams["text.color"]
        axes.text(
            column,
            row,
            "–" if value is None else f"{value:.2f}".replace("-", MINUS),
            ha="center",
            va="center",
            fontsize="small",
            color="white" if abs(value or 0) > 0.6 else ink,
        )
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0, labelbottom=True)
    axes.grid(False)
    axes.spines[:].set_visible(False)

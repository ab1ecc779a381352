"""The plot of a sweep: what fewer parameters and less time cost.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from speechbrain_neuronprune.report.canvas import (
    CYCLE,
    legend_above,
    new_figure,
    thousands,
)

# Column of a row -> what the axis says.
COSTS = {"parameters": "parameters", "latency_ms": "latency (ms)"}


def pareto_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Which points no other one beats.

    Arguments
    ---------
    points : sequence of tuple of float
        Cost and error; less is better.

    Returns
    -------
    list of bool
        Per point, whether no other has less of one and no more of the other.

    Example
    -------
    >>> pareto_front([(10, 4.0), (5, 4.0), (3, 6.0), (4, 7.0)])
    [False, True, True, False]
    """
    return [
        not any(
            other != one and other[0] <= one[0] and other[1] <= one[1]
            for other in points
        )
        for one in points
    ]


def plot_pareto(rows: Sequence[dict[str, Any]]) -> Figure:
    """Draw error rates over parameters and over latency.

    Arguments
    ---------
    rows : sequence of dict
        ``size``, ``parameters``, ``latency_ms``, and ``wer`` per split.

    Returns
    -------
    Figure
        Two panels, a curve per split. Full points are on the Pareto front of
        their panel and split.
    """
    figure = new_figure(9.0, 4.0)
    panels = figure.subplots(1, len(COSTS), sharey=True)
    for axes, (cost, label) in zip(panels, COSTS.items(), strict=True):
        for number, split in enumerate(rows[0]["wer"]):
            points = sorted((row[cost], row["wer"][split]) for row in rows)
            _draw(axes, points, CYCLE[number % len(CYCLE)], split)
        for row in rows:
            _name(axes, row, cost)
        axes.set_xlabel(label)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(FuncFormatter(thousands))
    panels[0].set_ylabel("WER (%)")
    panels[0].set_ylim(bottom=0)
    panels[0].margins(y=0.12)
    legend_above(figure)
    return figure


def _draw(
    axes: Axes, points: list[tuple[float, float]], colour: str, label: str
) -> None:
    axes.plot(*zip(*points, strict=True), color=colour, alpha=0.4)
    front = pareto_front(points)
    for is_best, face in ((True, colour), (False, "none")):
        chosen = [
            point
            for point, best in zip(points, front, strict=True)
            if best is is_best
        ]
        if chosen:
            axes.plot(
                *zip(*chosen, strict=True),
                "o",
                color=colour,
                markerfacecolor=face,
                label=label if is_best else None,
            )


def _name(axes: Axes, row: dict[str, Any], cost: str) -> None:
    """Write a size above its highest point."""
    axes.annotate(
        row["size"],
        (row[cost], max(row["wer"].values())),
        xytext=(0, 6),
        textcoords="offset points",
        ha="center",
        fontsize="small",
    )

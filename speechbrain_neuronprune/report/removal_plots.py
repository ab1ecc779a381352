"""The plot of what removing neurons does, at home and in new domains.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from speechbrain_neuronprune.report.canvas import (
    PARTS,
    draw_curve,
    legend_above,
    new_figure,
)

ROLES = {"home": "home", "domain": "new domain"}
STYLES = {"zero": "-", "mean": "--"}


def plot_removals(analysis: dict[str, Any], criterion: str) -> Figure:
    """Draw error rates against the share of neurons that are removed.

    It corresponds to Figures 1 to 8 of Mitra and Franco.

    Arguments
    ---------
    analysis : dict
        ``splits`` with the error rates of the unpruned model, and the rows
        ``removals``.
    criterion : str
        Which ranking; random removals belong to all.

    Returns
    -------
    Figure
        One row per layer, one column per split, one line per part of the
        ranking, with its 95 % interval where that is known.
    """
    splits = analysis["splits"]
    rows = [
        row
        for row in analysis["removals"]
        if row["criterion"] in (criterion, None)
    ]
    places = list(dict.fromkeys(row["place"] for row in rows))
    figure = new_figure(max(7.0, 2.3 * len(splits)), 1.4 + 2.1 * len(places))
    grid = figure.subplots(
        len(places), len(splits), sharex=True, sharey="col", squeeze=False
    )
    for place, line in zip(places, grid, strict=True):
        for split, axes in zip(splits, line, strict=True):
            here = [
                r for r in rows if (r["place"], r["split"]) == (place, split)
            ]
            _draw_panel(axes, here, splits[split]["wer"])
        line[0].set_ylabel(f"{place}\nWER (%)")
    for number, (name, split) in enumerate(splits.items()):
        there = [row["wer"] for row in rows if row["split"] == name]
        _fit(grid[0][number], there, split["wer"])
        grid[0][number].set_title(f"{name} ({ROLES[split['role']]})")
    figure.supxlabel("neurons removed (% of each layer)", fontsize="medium")
    legend_above(figure, _legend(rows), columns=4)
    return figure


def _draw_panel(axes: Axes, rows: list[dict], unpruned: float) -> None:
    axes.axhline(
        unpruned,
        color=matplotlib.rcParams["text.color"],
        linestyle=":",
        linewidth=1.2,
    )
    for part, colour in PARTS.items():
        for ablation, style in STYLES.items():
            chosen = _line(rows, part, ablation)
            if chosen:
                draw_curve(
                    axes,
                    [0, *(100 * row["share"] for row in chosen)],
                    [unpruned, *(row["wer"] for row in chosen)],
                    color=colour,
                    linestyle=style,
                    linewidth=1.6 if ablation == "zero" else 1.1,
                )
        _draw_band(axes, _line(rows, part, "zero"), unpruned, colour)
    for row in _line(rows, "both", "zero"):
        _draw_both(axes, row, unpruned)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlim(left=0)


def _line(rows: list[dict], part: str, ablation: str) -> list[dict]:
    chosen = [r for r in rows if (r["part"], r["ablation"]) == (part, ablation)]
    return sorted(chosen, key=lambda row: row["share"])


def _draw_band(
    axes: Axes, rows: list[dict], unpruned: float, colour: str
) -> None:
    """Shade the interval of the difference to the unpruned model."""
    known = [row for row in rows if row["wer_difference"]]
    if known:
        changes = [{"low": 0.0, "high": 0.0}]
        changes += [row["wer_difference"] for row in known]
        axes.fill_between(
            [0, *(100 * row["share"] for row in known)],
            [unpruned + change["low"] for change in changes],
            [unpruned + change["high"] for change in changes],
            color=colour,
            alpha=0.15,
            linewidth=0,
        )


def _draw_both(axes: Axes, row: dict, unpruned: float) -> None:
    ink, share = matplotlib.rcParams["text.color"], 100 * row["share"]
    axes.plot(
        [share],
        [row["wer"]],
        marker="D",
        markersize=7,
        markerfacecolor="none",
        color=ink,
        zorder=3,
    )
    change = row["wer_difference"]
    if change:
        ends = unpruned + change["low"], unpruned + change["high"]
        axes.vlines(share, *ends, color=ink, linewidth=1.1, zorder=2)


def _fit(axes: Axes, rates: Iterable[float], unpruned: float) -> None:
    """A part whose removal breaks the model must not flatten the others."""
    rates = [*rates, unpruned]
    lowest, highest = min(rates), min(max(rates), 1.5 * unpruned + 5)
    margin = 0.06 * (highest - lowest) or 1.0
    axes.set_ylim(max(lowest - margin, -1), highest + margin)


def _legend(rows: list[dict]) -> tuple[list[Line2D], list[str]]:
    ink = matplotlib.rcParams["text.color"]
    present = {row["part"] for row in rows}
    entries = {
        part: Line2D([], [], color=colour)
        for part, colour in PARTS.items()
        if part in present
    }
    entries["unpruned"] = Line2D([], [], color=ink, linestyle=":")
    if "both" in present:
        entries["hypo and hyper"] = Line2D(
            [], [], color=ink, marker="D", linestyle="", markerfacecolor="none"
        )
    if any(row["ablation"] == "mean" for row in rows):
        entries["means for zeros"] = Line2D([], [], color=ink, linestyle="--")
    return list(entries.values()), list(entries)

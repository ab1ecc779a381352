"""The plot of an adaptation, epoch by epoch.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from speechbrain_neuronprune.report.canvas import (
    CYCLE,
    draw_curve,
    known,
    legend_above,
    new_figure,
)

# Curve -> label and line style.
LOSSES = {
    "loss_train": ("loss in training", "--"),
    "loss_held_back": ("loss held back", "-"),
}


def plot_adaptation(curves: dict[str, Any]) -> Figure:
    """Draw error rates and losses over the epochs of every stage.

    Arguments
    ---------
    curves : dict
        Stage -> ``epoch``, ``wer`` per split, ``loss_train`` and
        ``loss_held_back``.

    Returns
    -------
    Figure
        One column per stage: error rates above, if there are any, losses
        below.
    """
    splits = list(
        dict.fromkeys(s for one in curves.values() for s in one["wer"])
    )
    rows = 2 if splits else 1
    figure = new_figure(max(7.0, 2.6 * len(curves)), 1.2 + 2.3 * rows)
    grid = figure.subplots(
        rows, len(curves), sharex="col", sharey="row", squeeze=False
    )
    for column, (name, one) in enumerate(curves.items()):
        if splits:
            _draw_rates(grid[0][column], one, splits)
        _draw_losses(grid[-1][column], one)
        grid[0][column].set_title(name)
        grid[-1][column].xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if splits:
        grid[0][0].set_ylabel("WER (%)")
    grid[-1][0].set_ylabel("loss")
    figure.supxlabel("epoch", fontsize="medium")
    legend_above(figure, _legend(grid.flat), columns=4)
    return figure


def _draw_rates(axes: Axes, stage: dict[str, Any], splits: list[str]) -> None:
    for number, split in enumerate(splits):
        unknown = [None] * len(stage["epoch"])
        draw_curve(
            axes,
            stage["epoch"],
            stage["wer"].get(split, unknown),
            color=CYCLE[number % len(CYCLE)],
            label=split,
        )


def _draw_losses(axes: Axes, stage: dict[str, Any]) -> None:
    for key, (label, style) in LOSSES.items():
        if known(stage[key]):
            draw_curve(
                axes,
                stage["epoch"],
                stage[key],
                color="#8a929e",
                linestyle=style,
                label=label,
            )


def _legend(panels: Iterable[Axes]) -> tuple[list, list]:
    """The entries of all panels, without repetitions."""
    entries = {
        label: handle
        for axes in panels
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    return list(entries.values()), list(entries)

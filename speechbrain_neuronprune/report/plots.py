"""The plots of a training run, one function each.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from speechbrain_neuronprune.report.canvas import (
    CYCLE,
    draw_curve,
    known,
    legend_above,
    make_panels,
    new_figure,
    thousands,
)

# Of Okabe and Ito, see ``canvas.CYCLE``.
COLOURS = {
    "FFN 1": "#0072B2",
    "query": "#E69F00",
    "value": "#D55E00",
    "conv": "#009E73",
    "FFN 2": "#56B4E9",
    "ffn": "#0072B2",
    "fc": "#CC79A7",
    "units": "#CC79A7",
}
VARIANTS = {"dense": "o", "masked": "s", "compact": "D"}


def plot_survival(units: list[dict[str, Any]]) -> Figure:
    """Draw the share of units alive per block and place in the block.

    It corresponds to Figure 2 of "Adaptive Dropout for Pruning Conformers".

    Arguments
    ---------
    units : list of dict
        Rows with ``block``, ``place``, ``size`` and ``alive``.

    Returns
    -------
    Figure
        Groups of bars, one group per block.
    """
    blocks = sorted({row["block"] for row in units})
    places = list(dict.fromkeys(row["place"] for row in units))
    figure = new_figure(min(max(7.0, 0.4 * len(blocks) + 2), 9.0), 4.0)
    axes = figure.subplots()
    width = 0.84 / max(len(places), 1)
    for number, place in enumerate(places):
        rows = [row for row in units if row["place"] == place]
        offset = (number - (len(places) - 1) / 2) * width
        axes.bar(
            [row["block"] + offset for row in rows],
            [row["alive"] / max(row["size"], 1) for row in rows],
            width=width * 0.9,
            color=_colour(place),
            label=place,
        )
    axes.set_xticks(blocks)
    axes.margins(x=0.02)
    axes.set(xlabel="block", ylabel="units alive", ylim=(0, 1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    legend_above(figure)
    return figure


def plot_logits(training: dict[str, Any]) -> Figure:
    """Draw how the retention logits spread while c(t) falls.

    Arguments
    ---------
    training : dict
        ``step``, ``c`` and ``logit_quantiles`` (0, 5, 25, 50, 75, 95 and
        100 % per kind and epoch).

    Returns
    -------
    Figure
        One panel per kind: bands of quantiles, the median and c(t).
    """
    quantiles = training["logit_quantiles"]
    figure, panels = make_panels(list(quantiles), share_y=True)
    for axes, (kind, epochs) in zip(panels, quantiles.items(), strict=True):
        _draw_bands(axes, training["step"], epochs, _colour(kind))
        draw_curve(
            axes,
            training["step"],
            training["c"],
            color=matplotlib.rcParams["text.color"],
            linestyle="--",
            linewidth=1.2,
            label="c(t)",
        )
        axes.set_title(kind)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(thousands))
    figure.supxlabel("optimiser step", fontsize="medium")
    figure.supylabel("retention logit", fontsize="medium")
    legend_above(figure, _neutral_legend(panels))
    return figure


def plot_histogram(training: dict[str, Any]) -> Figure:
    """Draw the histogram of the final retention logits, kind by kind.

    Arguments
    ---------
    training : dict
        ``logit_histogram`` with ``edges`` and ``counts`` per kind, and ``c``,
        whose last value is drawn as a line.

    Returns
    -------
    Figure
        One panel per kind.
    """
    histogram = training["logit_histogram"] or {"edges": [], "counts": {}}
    figure, panels = make_panels(list(histogram["counts"]))
    for axes, (kind, counts) in zip(
        panels, histogram["counts"].items(), strict=True
    ):
        shares = [count / max(sum(counts), 1) for count in counts]
        axes.stairs(shares, histogram["edges"], fill=True, color=_colour(kind))
        if training["c"] and training["c"][-1] is not None:
            axes.axvline(
                training["c"][-1],
                color=matplotlib.rcParams["text.color"],
                linestyle="--",
                linewidth=1.2,
                label="c(t) at the end",
            )
        axes.set_title(f"{kind} ({sum(counts):,} units)")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.supxlabel("retention logit at the end", fontsize="medium")
    figure.supylabel("share of the units", fontsize="medium")
    legend_above(figure, panels[0].get_legend_handles_labels())
    return figure


def plot_progress(training: dict[str, Any]) -> Figure:
    """Draw the model's size and its word error rate over the epochs.

    Arguments
    ---------
    training : dict
        ``epoch``, ``expected_parameters``, ``kept_parameters``,
        ``dense_parameters`` and ``valid_wer``.

    Returns
    -------
    Figure
        Two panels over one axis: size above, error below.
    """
    figure = new_figure(7.0, 5.0)
    size, error = figure.subplots(2, sharex=True)
    dense = training["dense_parameters"]
    for key, style, label in (
        ("expected_parameters", "-", "expected in training"),
        ("kept_parameters", "--", "kept by the threshold"),
    ):
        values = [_ratio(value, dense) for value in training[key]]
        draw_curve(
            size, training["epoch"], values, linestyle=style, label=label
        )
    size.set(ylabel="parameters", ylim=(0, 1.04))
    size.set_title("Size, in percent of the dense model")
    size.yaxis.set_major_formatter(PercentFormatter(1))
    size.legend(loc="best", fontsize="small")
    draw_curve(error, training["epoch"], training["valid_wer"], color=CYCLE[1])
    error.set(xlabel="epoch", ylabel="WER (%)")
    error.set_ylim(bottom=0)
    error.set_title("Word error rate on the validation set")
    error.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    return figure


def plot_tradeoff(results: dict[str, Any]) -> Figure:
    """Draw error rate against size: dense, masked and compact model.

    Arguments
    ---------
    results : dict
        ``splits`` with error rates, and ``cost`` with parameters, per model.

    Returns
    -------
    Figure
        One line per split, one marker shape per model.
    """
    figure = new_figure(7.0, 4.2)
    axes = figure.subplots()
    for number, (split, rates) in enumerate(results["splits"].items()):
        points = _points(rates, results["cost"])
        colour = CYCLE[number % len(CYCLE)]
        ends = [point for point in points if point[0] != "masked"]
        axes.plot(
            [size for _, size, _ in ends],
            [rate for _, _, rate in ends],
            color=colour,
            linewidth=1.2,
            label=split,
        )
        for variant, size, rate in points:
            _draw_variant(axes, variant, size, rate, colour)
    axes.set(xlabel="parameters (million)", ylabel="WER (%)")
    axes.margins(0.12)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    legend_above(figure, _tradeoff_legend(axes))
    return figure


def _colour(name: str) -> str:
    return COLOURS.get(name, CYCLE[-1])


def _ratio(value: float | None, whole: float | None) -> float | None:
    return None if value is None or not whole else value / whole


def _draw_bands(axes: Axes, steps: list, epochs: list, colour: str) -> None:
    points = known(steps, epochs)
    if not points:
        return
    xs = [step for step, _ in points]
    bands = list(zip(*(quantiles for _, quantiles in points), strict=True))
    for low, high, opacity, label in (
        (0, 6, 0.15, "all units"),
        (1, 5, 0.25, "5 – 95 %"),
        (2, 4, 0.45, "25 – 75 %"),
    ):
        axes.fill_between(
            xs,
            bands[low],
            bands[high],
            color=colour,
            alpha=opacity,
            linewidth=0,
            label=label,
        )
    axes.plot(xs, bands[3], color=colour, label="median")


def _neutral_legend(panels: list[Axes]) -> tuple[list, list]:
    """Legend entries of the first panel that has any; bands mean the same
    in every colour."""
    entries = [axes.get_legend_handles_labels() for axes in panels]
    return next((entry for entry in entries if entry[0]), ([], []))


def _points(
    rates: dict[str, Any], cost: dict[str, Any]
) -> list[tuple[str, float, float]]:
    """The known (model, million parameters, error rate) of a split."""
    points = []
    for variant in VARIANTS:
        parameters = (cost.get(variant) or {}).get("parameters")
        if parameters is not None and rates.get(variant) is not None:
            points.append((variant, parameters / 1e6, rates[variant]))
    return points


def _draw_variant(
    axes: Axes, variant: str, size: float, rate: float, colour: str
) -> None:
    """A masked model is as large as the dense one: hollow, so that a dense
    marker beneath it stays visible."""
    hollow = variant == "masked"
    axes.plot(
        [size],
        [rate],
        linestyle="none",
        marker=VARIANTS[variant],
        markersize=11 if hollow else 7,
        markerfacecolor="none" if hollow else colour,
        markeredgecolor=colour,
        clip_on=False,
        zorder=3,
    )


def _tradeoff_legend(axes: Axes) -> tuple[list, list]:
    handles, labels = axes.get_legend_handles_labels()
    for variant, marker in VARIANTS.items():
        (handle,) = axes.plot(
            [],
            [],
            linestyle="none",
            marker=marker,
            markerfacecolor="none" if variant == "masked" else None,
            color=matplotlib.rcParams["text.color"],
        )
        handles.append(handle)
        labels.append(variant)
    return handles, labels

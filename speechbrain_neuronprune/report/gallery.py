"""Which plots a run's figures allow, and what is said about them.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from matplotlib.figure import Figure

from speechbrain_neuronprune.report.adaptation_plots import plot_adaptation
from speechbrain_neuronprune.report.plots import (
    plot_histogram,
    plot_logits,
    plot_progress,
    plot_survival,
    plot_tradeoff,
)
from speechbrain_neuronprune.report.removal_plots import plot_removals
from speechbrain_neuronprune.report.saliency_plots import (
    plot_agreement,
    plot_saliency,
)

Plots = dict[str, Callable[[], Figure]]

# File stem, or what it begins with, -> title and caption.
CAPTIONS = {
    "survival": (
        "Units surviving per block and place",
        "Share of the hidden units that are kept, at the five places of every "
        "block: the hidden layers of both feed-forward modules, the query and "
        "value vectors of self-attention, and the channels of the depthwise "
        "convolution.",
    ),
    "tradeoff": (
        "Word error rate and size",
        "Filled circle: every unit open. Hollow square: the removed units at "
        "zero. Diamond: the small dense model without them.",
    ),
    "progress": (
        "Size and error over training",
        "The expected size adds up the retention probabilities of all units.",
    ),
    "logits": (
        "Retention logits over training",
        "An untouched logit follows the dashed line, c(t); the loss lifts "
        "those of the units that it wants to keep.",
    ),
    "histogram": (
        "Retention logits at the end",
        "Two separate heaps mean that the choice of units is clear-cut.",
    ),
    "saliency": (
        "Saliency of the neurons, layer by layer",
        "Every criterion sorts the neurons by itself. Shaded: the hypo and "
        "hyper neurons. What is below a ten-thousandth of the highest value "
        "is drawn there.",
    ),
    "agreement": (
        "Agreement of the criteria",
        "Spearman's rank correlation: 1 where two criteria put the neurons in "
        "the same order, 0 where one says nothing about the other.",
    ),
    "removal": (
        "Removing neurons",
        "Nothing is trained afterwards. A line that leaves its panel at the "
        "top goes far beyond the unpruned error rate. Shaded, and a line at "
        "the diamond: the 95 % interval of the difference to the unpruned "
        "model, from a paired bootstrap over utterances. Splits have vertical "
        "axes of their own.",
    ),
    "adaptation": (
        "Adaptation, epoch by epoch",
        "Held back: speech of the new domain that is not trained on; its loss "
        "says when to stop. Error rates are only looked at.",
    ),
}


def draw_all(figures: dict[str, Any]) -> Plots:
    """Return the plots that a run's figures allow, not drawn yet.

    Arguments
    ---------
    figures : dict
        What ``collect_figures`` returned.

    Returns
    -------
    dict
        File stem -> function that draws the plot in the style of the moment,
        in the order of the page.
    """
    plots = _of_training(figures)
    if figures["analysis"]:
        plots |= _of_analysis(figures["analysis"])
    if figures["adaptation"]["curves"]:
        curves = figures["adaptation"]["curves"]
        plots["adaptation"] = partial(plot_adaptation, curves)
    return {
        stem: plots[stem]
        for kind in CAPTIONS
        for stem in plots
        if _kind(stem) == kind
    }


def caption_of(stem: str) -> tuple[str, str]:
    """Say what a plot shows.

    Arguments
    ---------
    stem : str
        One of ``draw_all``.

    Returns
    -------
    tuple of str
        Title and caption.

    Example
    -------
    >>> caption_of("removal-mi")[0]
    'Removing neurons, ranked by mi'
    """
    title, caption = CAPTIONS[_kind(stem)]
    criterion = stem.removeprefix(_kind(stem)).removeprefix("-")
    return title + (f", ranked by {criterion}" if criterion else ""), caption


def _kind(stem: str) -> str:
    return stem.partition("-")[0]


def _of_training(figures: dict[str, Any]) -> Plots:
    plots: Plots = {}
    training, results = figures["training"], figures["results"]
    if figures["units"]:
        plots["survival"] = partial(plot_survival, figures["units"])
    if training and training["logit_quantiles"]:
        plots["logits"] = partial(plot_logits, training)
    if training and (training["logit_histogram"] or {}).get("counts"):
        plots["histogram"] = partial(plot_histogram, training)
    if training:
        plots["progress"] = partial(plot_progress, training)
    if results and results["splits"] and results["cost"]:
        plots["tradeoff"] = partial(plot_tradeoff, results)
    return plots


def _of_analysis(analysis: dict[str, Any]) -> Plots:
    plots: Plots = {"saliency": partial(plot_saliency, analysis)}
    if len(analysis["criteria"]) > 1:
        plots["agreement"] = partial(plot_agreement, analysis)
    for criterion in analysis["criteria"]:
        draw = partial(plot_removals, analysis, criterion)
        plots[f"removal-{criterion}"] = draw
    return plots

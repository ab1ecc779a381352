"""Tests of the plots: what they draw, not how it looks.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from itertools import pairwise

import numpy
import pytest

from speechbrain_neuronprune.report.canvas import to_png
from speechbrain_neuronprune.report.figures import collect_figures
from speechbrain_neuronprune.report.gallery import draw_all
from speechbrain_neuronprune.report.plots import (
    plot_histogram,
    plot_logits,
    plot_progress,
    plot_survival,
    plot_tradeoff,
)


@pytest.fixture
def figures(run_folder):
    return collect_figures(run_folder)


def _legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_survival_has_one_bar_per_group(figures):
    figure = plot_survival(figures["units"])
    (axes,) = figure.axes
    bars = axes.containers
    assert _legend(figure) == ["FFN 1", "query", "value", "conv", "FFN 2"]
    assert [len(group) for group in bars] == [4] * 5
    rows = [row for row in figures["units"] if row["place"] == "conv"]
    heights = [bar.get_height() for bar in bars[3]]
    assert heights == [row["alive"] / row["size"] for row in rows]
    assert list(axes.get_xticks()) == [1, 2, 3, 4]


def test_bars_do_not_overlap(figures):
    (axes,) = plot_survival(figures["units"]).axes
    bars = sorted(
        (bar.get_x(), bar.get_x() + bar.get_width())
        for group in axes.containers
        for bar in group
    )
    assert all(end < start for (_, end), (start, _) in pairwise(bars))


def test_survival_of_an_empty_group():
    row = {"block": 1, "place": "query", "size": 0, "alive": 0}
    (axes,) = plot_survival([row]).axes
    assert axes.containers[0][0].get_height() == 0


def test_logits_have_one_panel_per_kind(figures):
    figure = plot_logits(figures["training"])
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    titles += [axes.get_title() for axes in figure.axes]
    assert {"ffn", "query", "value", "conv"} <= set(titles)
    assert _legend(figure) == [
        "all units",
        "5 – 95 %",
        "25 – 75 %",
        "median",
        "c(t)",
    ]
    median, centre = figure.axes[0].get_lines()
    assert list(centre.get_ydata()) == figures["training"]["c"]
    quantiles = figures["training"]["logit_quantiles"]["ffn"]
    assert list(median.get_ydata()) == [epoch[3] for epoch in quantiles]


def test_a_spare_panel_is_hidden(figures):
    del figures["training"]["logit_quantiles"]["conv"]
    figure = plot_logits(figures["training"])
    assert [axes.get_visible() for axes in figure.axes] == [True] * 3 + [False]


def test_histogram_shows_shares(figures):
    training = figures["training"]
    figure = plot_histogram(training)
    assert len(figure.axes) == 4
    (stairs,) = figure.axes[0].patches
    values, edges, _ = stairs.get_data()
    counts = training["logit_histogram"]["counts"]["ffn"]
    assert values.sum() == pytest.approx(1)
    assert numpy.argmax(values) == numpy.argmax(counts)
    assert list(edges) == training["logit_histogram"]["edges"]
    assert figure.axes[0].get_lines()[0].get_xdata()[0] == -2


def test_progress_skips_what_is_unknown(figures):
    training = figures["training"]
    training["valid_wer"][3] = None
    size, error = plot_progress(training).axes
    assert len(error.get_lines()[0].get_xdata()) == 19
    expected, kept = size.get_lines()
    last = training["expected_parameters"][-1] / training["dense_parameters"]
    assert expected.get_ydata()[-1] == last
    assert kept.get_ydata()[0] == 1


def test_progress_of_nothing(figures):
    training = figures["training"]
    training["dense_parameters"] = None
    training["valid_wer"] = [None] * 20
    to_png(plot_progress(training), dots_per_inch=20)


def test_tradeoff_has_a_marker_per_model(figures):
    figure = plot_tradeoff(figures["results"])
    (axes,) = figure.axes
    assert _legend(figure) == ["dev", "test", "dense", "masked", "compact"]
    markers = [
        (line.get_marker(), line.get_xdata()[0], line.get_ydata()[0])
        for line in axes.get_lines()
        if len(line.get_xdata()) == 1
    ]
    assert markers[:3] == [("o", 1.03, 4.1), ("s", 1.03, 4.0), ("D", 0.433, 4)]
    assert len(markers) == 6


def test_tradeoff_without_a_dense_evaluation(figures):
    for rates in figures["results"]["splits"].values():
        rates["dense"] = None
    (axes,) = plot_tradeoff(figures["results"]).axes
    single = [ln for ln in axes.get_lines() if ln.get_marker() == "o"]
    assert all(len(line.get_xdata()) == 0 for line in single)


def test_plots_of_a_run_in_its_first_epoch(figures):
    training = figures["training"]
    for key, value in list(training.items()):
        if isinstance(value, list):
            training[key] = value[:1]
    training["logit_quantiles"] = {
        kind: epochs[:1] for kind, epochs in training["logit_quantiles"].items()
    }
    figures["results"] = None
    plots = draw_all(figures)
    assert "tradeoff" not in plots
    for draw in plots.values():
        to_png(draw(), dots_per_inch=20)


def test_many_blocks_fit_into_a_page():
    units = [
        {"block": block, "place": place, "size": 8, "alive": 4}
        for block in range(1, 33)
        for place in ("FFN 1", "conv")
    ]
    assert plot_survival(units).get_size_inches()[0] <= 9

"""The plot of an adaptation: what it draws, not how it looks.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest

from speechbrain_neuronprune.report.adaptation_figures import read_curves
from speechbrain_neuronprune.report.adaptation_plots import plot_adaptation
from speechbrain_neuronprune.report.canvas import to_png


@pytest.fixture
def curves(adaptation_folder):
    return read_curves(adaptation_folder)[0]


def test_a_column_per_stage(curves):
    figure = plot_adaptation(curves)
    assert len(figure.axes) == 4
    rates, losses = figure.axes[1], figure.axes[3]
    dev, reverb = rates.get_lines()
    assert list(reverb.get_ydata()) == curves["all"]["wer"]["reverb"]
    train, held_back = losses.get_lines()
    assert list(held_back.get_ydata()) == curves["all"]["loss_held_back"]
    assert list(train.get_xdata()) == [1, 2, 3]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["dev", "reverb", "loss in training", "loss held back"]


def test_a_split_keeps_its_colour(curves):
    del curves["neurons"]["wer"]["dev"]
    first, second = plot_adaptation(curves).axes[:2]
    colours = {
        axes: {line.get_label(): line.get_color() for line in axes.get_lines()}
        for axes in (first, second)
    }
    assert colours[first]["reverb"] == colours[second]["reverb"]


def test_losses_alone(curves):
    for one in curves.values():
        one["wer"] = {}
        one["loss_train"] = [None] * 3
    figure = plot_adaptation(curves)
    assert len(figure.axes) == 2
    assert len(figure.axes[0].get_lines()) == 1
    assert len(to_png(figure, dots_per_inch=20)) > 0


def test_nothing_known_but_epochs(curves):
    for one in curves.values():
        one["wer"] = {}
        one["loss_train"] = one["loss_held_back"] = [None] * 3
    figure = plot_adaptation(curves)
    assert figure.legends == []
    assert len(to_png(figure, dots_per_inch=20)) > 0

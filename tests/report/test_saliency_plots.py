"""Plots of rankings: what they draw, not how it looks.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest

from speechbrain_neuronprune.report.analysis_figures import read_analysis
from speechbrain_neuronprune.report.canvas import to_png
from speechbrain_neuronprune.report.saliency_plots import (
    FLOOR,
    plot_agreement,
    plot_saliency,
)


@pytest.fixture
def analysis(analysis_folder):
    return read_analysis(analysis_folder)


def test_one_panel_per_layer_one_curve_per_criterion(analysis):
    figure = plot_saliency(analysis)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    titles += [axes.get_title() for axes in figure.axes]
    assert {"linear1 (50 neurons)", "linear2 (50 neurons)"} <= set(titles)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["hypo", "hyper", "mi", "obs"]
    for axes in figure.axes:
        mi, obs = axes.get_lines()
        values = analysis["layers"]["linear1"]["saliency"]["mi"]["values"]
        expected = [value / values[-1] for value in values]
        assert list(mi.get_ydata()) == pytest.approx(
            [max(value, FLOOR) for value in expected]
        )
        assert list(mi.get_xdata()) == sorted(mi.get_xdata())
        assert 0 < mi.get_xdata()[0] and mi.get_xdata()[-1] < 1
        assert axes.get_yscale() == "log"


def test_hypo_and_hyper_are_shaded_at_the_ends(analysis):
    figure = plot_saliency(analysis)
    zones = [
        (patch.get_x(), patch.get_x() + patch.get_width())
        for patch in figure.axes[0].patches
    ]
    assert zones == [
        (0, pytest.approx(0.08)),
        (pytest.approx(0.96), pytest.approx(1)),
    ]


def test_neurons_that_are_never_salient(analysis):
    for layer in analysis["layers"].values():
        layer["saliency"]["mi"]["values"] = [0.0] * 50
        layer["saliency"]["obs"]["values"][:20] = [0.0] * 20
    figure = plot_saliency(analysis)
    mi, obs = figure.axes[0].get_lines()
    assert set(mi.get_ydata()) == {FLOOR}
    assert min(obs.get_ydata()) == FLOOR
    assert len(to_png(figure, dots_per_inch=20)) > 0


def test_agreement_is_a_matrix_of_numbers(analysis):
    figure = plot_agreement(analysis)
    axes = figure.axes[0]
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["1.00", "−0.42", "−0.42", "–"]
    [image] = axes.images
    assert image.get_array().tolist() == [[1.0, -0.42], [-0.42, 0.0]]
    assert image.get_clim() == (-1, 1)
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["mi", "obs"]

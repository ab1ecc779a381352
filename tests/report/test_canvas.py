"""What plots share: style, panels, curves and legends.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import io

import matplotlib
import pytest
from matplotlib.image import imread

from speechbrain_neuronprune.report.canvas import (
    draw_curve,
    legend_above,
    make_panels,
    new_figure,
    plot_style,
    to_png,
)
from speechbrain_neuronprune.report.figures import collect_figures
from speechbrain_neuronprune.report.plots import plot_survival


@pytest.fixture
def figures(run_folder):
    return collect_figures(run_folder)


def test_dark_style_has_a_dark_ground_and_leaves_no_trace(figures):
    before = dict(matplotlib.rcParams)
    with plot_style(dark=True):
        dark = to_png(plot_survival(figures["units"]), dots_per_inch=30)
    with plot_style():
        light = to_png(plot_survival(figures["units"]), dots_per_inch=30)
    assert imread(io.BytesIO(dark))[0, 0, :3].max() < 0.2
    assert imread(io.BytesIO(light))[0, 0, :3].min() > 0.9
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
def test_one_panel_per_name_two_in_a_row(count):
    figure, panels = make_panels([str(n) for n in range(count)])
    assert len(panels) == max(count, 1)
    assert sum(axes.get_visible() for axes in figure.axes) == len(panels)
    columns = {axes.get_subplotspec().colspan.start for axes in panels}
    assert len(columns) == min(max(count, 1), 2)


def test_the_last_panel_of_every_column_has_numbers():
    _, panels = make_panels(["a", "b", "c"])
    labelled = [
        axes.xaxis.get_major_ticks()[0].label1.get_visible() for axes in panels
    ]
    assert labelled == [False, True, True]


def test_unknown_points_are_passed_over():
    axes = new_figure(3, 2).subplots()
    draw_curve(axes, [1, 2, None, 4], [5, None, 7, 8], color="red")
    [line] = axes.get_lines()
    assert list(line.get_xdata()) == [1, 4]
    assert list(line.get_ydata()) == [5, 8]
    assert line.get_marker() == "o"


def test_many_points_have_no_marks():
    axes = new_figure(3, 2).subplots()
    draw_curve(axes, range(20), range(20))
    assert axes.get_lines()[0].get_marker() == "None"


def test_a_legend_without_entries_is_none():
    figure = new_figure(3, 2)
    figure.subplots()
    legend_above(figure)
    assert figure.legends == []

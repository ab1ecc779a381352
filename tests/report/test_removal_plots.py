"""The plot of removals: what it draws, not how it looks.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
from matplotlib.collections import LineCollection, PolyCollection

from speechbrain_neuronprune.report.analysis_figures import read_analysis
from speechbrain_neuronprune.report.canvas import PARTS, to_png
from speechbrain_neuronprune.report.removal_plots import plot_removals


@pytest.fixture
def analysis(analysis_folder):
    return read_analysis(analysis_folder)


def curves(axes, colour=None, style="-"):
    return [
        line
        for line in axes.get_lines()
        if len(line.get_xdata()) > 1
        and line.get_linestyle() == style
        and line.get_color() == colour
    ]


def test_a_row_per_place_and_a_column_per_split(analysis):
    figure = plot_removals(analysis, "mi")
    assert len(figure.axes) == 3 * 2
    titles = [axes.get_title(loc="left") for axes in figure.axes[:2]]
    titles += [axes.get_title() for axes in figure.axes[:2]]
    assert {"dev (home)", "reverb (new domain)"} <= set(titles)
    places = [axes.get_ylabel().split("\n")[0] for axes in figure.axes[::2]]
    assert places == ["linear1", "linear2", "linear1 + linear2"]


def test_lines_begin_at_the_unpruned_error_rate(analysis):
    axes = plot_removals(analysis, "obs").axes[1]
    for part, colour in PARTS.items():
        [line] = curves(axes, colour)
        rows = [
            row
            for row in analysis["removals"]
            if row["part"] == part
            and row["criterion"] in ("obs", None)
            and row["place"] == "linear1"
            and row["split"] == "reverb"
            and row["ablation"] == "zero"
        ]
        assert list(line.get_xdata()) == pytest.approx([0, 4, 8, 12])
        rates = [row["wer"] for row in rows]
        assert list(line.get_ydata()) == pytest.approx([42.4, *rates])


def test_mean_ablation_is_dashed(analysis):
    axes = plot_removals(analysis, "mi").axes[0]
    assert len(curves(axes, PARTS["hypo"], "--")) == 1
    assert curves(axes, PARTS["random"], "--") == []
    analysis["removals"] = [
        row for row in analysis["removals"] if row["ablation"] == "zero"
    ]
    figure = plot_removals(analysis, "mi")
    assert curves(figure.axes[0], PARTS["hypo"], "--") == []
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == [*PARTS, "unpruned", "hypo and hyper"]


def test_intervals_are_shaded(analysis):
    axes = plot_removals(analysis, "mi").axes[0]
    bands = [c for c in axes.collections if isinstance(c, PolyCollection)]
    assert len(bands) == len(PARTS)
    [line] = curves(axes, PARTS["hypo"])
    ends = bands[list(PARTS).index("hypo")].get_paths()[0].vertices
    for share, rate in list(zip(*line.get_data(), strict=True))[1:]:
        at = {round(y - rate, 6) for x, y in ends if abs(x - share) < 1e-9}
        assert at == {-0.5, 1.0}
    [mark] = [c for c in axes.collections if isinstance(c, LineCollection)]
    low, high = mark.get_segments()[0][:, 1]
    assert high - low == pytest.approx(1.5)


def test_without_intervals_nothing_is_shaded(analysis):
    for row in analysis["removals"]:
        row["wer_difference"] = None
    axes = plot_removals(analysis, "mi").axes[0]
    assert list(axes.collections) == []


def test_hypo_and_hyper_together_are_one_mark(analysis):
    axes = plot_removals(analysis, "mi").axes[0]
    [mark] = [line for line in axes.get_lines() if line.get_marker() == "D"]
    assert mark.get_xdata()[0] == pytest.approx(12)


def test_a_broken_model_does_not_flatten_the_others(analysis):
    for row in analysis["removals"]:
        if row["part"] == "hyper":
            row["wer"] = 500.0
    axes = plot_removals(analysis, "mi").axes[0]
    low, high = axes.get_ylim()
    assert 0 <= low < 9.1
    assert 9.1 < high < 45


def test_one_split_without_any_change(analysis):
    del analysis["splits"]["reverb"]
    rows = [row for row in analysis["removals"] if row["split"] == "dev"]
    analysis["removals"] = [{**row, "wer": 9.1} for row in rows]
    figure = plot_removals(analysis, "mi")
    low, high = figure.axes[0].get_ylim()
    assert low < 9.1 < high
    assert len(to_png(figure, dots_per_inch=20)) > 0

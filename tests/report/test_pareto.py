"""The Pareto front and its plot.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from hypothesis import given
from hypothesis import strategies as st

from speechbrain_neuronprune.report.pareto import pareto_front, plot_pareto

NUMBERS = st.integers(0, 5)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=8))
def test_the_front_is_what_nothing_beats(points):
    front = pareto_front(points)
    best = [p for p, is_best in zip(points, front, strict=True) if is_best]
    assert bool(best) == bool(points)
    for point, is_best in zip(points, front, strict=True):
        beaten = any(
            one != point and one[0] <= point[0] and one[1] <= point[1]
            for one in best
        )
        assert is_best is not beaten


def test_a_curve_per_split_in_both_panels():
    rows = [
        {"size": "dense", "parameters": 90_000, "latency_ms": 9.0},
        {"size": "0.5", "parameters": 45_000, "latency_ms": 6.0},
        {"size": "0.2", "parameters": 18_000, "latency_ms": 7.0},
    ]
    for row, dev, test in zip(rows, (4, 3, 9), (5, 6, 8), strict=True):
        row["wer"] = {"dev": dev, "test": test}
    figure = plot_pareto(rows)
    sizes, times = figure.axes
    names = [text.get_text() for text in sizes.texts]
    assert names == ["dense", "0.5", "0.2"]
    curve, front, beaten, *_ = times.lines
    assert list(curve.get_xdata()) == [6.0, 7.0, 9.0]
    assert list(front.get_xdata()) == [6.0]  # dev: both faster and better
    assert list(beaten.get_xdata()) == [7.0, 9.0]
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["dev", "test"]


def test_one_size_alone():
    row = {"size": "dense", "parameters": 9, "latency_ms": 1, "wer": {"d": 0}}
    assert len(plot_pareto([row]).axes) == 2

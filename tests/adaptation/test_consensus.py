"""Consensus: the view nearest to all, whatever the tokens."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_neuronprune.adaptation.consensus import consensus

VIEWS = st.lists(
    st.lists(st.integers(1, 3), max_size=4), min_size=1, max_size=5
)


def levenshtein(one, other):
    """The textbook's table."""
    table = np.add.outer(np.arange(len(one) + 1), np.arange(len(other) + 1))
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            table[i + 1, j + 1] = min(
                table[i, j + 1] + 1, table[i + 1, j] + 1, table[i, j] + (a != b)
            )
    return table[-1, -1]


@given(VIEWS)
def test_no_view_is_nearer_to_all_others(views):
    label = consensus(views)
    assert label.tokens in views
    sums = [sum(levenshtein(a, b) for b in views) for a in views]
    least = sums[views.index(label.tokens)]
    assert least == min(sums)
    if label.tokens:
        pairs = max(len(views) - 1, 1) * len(label.tokens)
        assert np.isclose(label.confidence, -least / pairs)


def test_views_that_agree_are_sure():
    assert consensus([[1, 2]] * 3).confidence == 0.0
    assert consensus([[1, 2]]).confidence == 0.0


def test_nothing_heard_is_never_sure():
    assert consensus([[], [], [1]]).confidence == -float("inf")


def test_of_equally_near_views_the_plain_one_counts():
    assert consensus([[1], [2]]).tokens == [1]
    assert consensus([[2], [1]]).tokens == [2]

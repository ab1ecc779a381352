"""Pseudo-labels: who is chosen, who is held back, what is on disk.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_neuronprune.adaptation.pseudo_labels import (
    PseudoLabel,
    choose_labels,
    hold_back,
    load_labels,
    save_labels,
)
from speechbrain_neuronprune.errors import SelectionError

LABELS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=4),
    st.builds(
        PseudoLabel,
        st.lists(st.integers(1, 9), min_size=1, max_size=3),
        st.floats(-5, 5),
    ),
    min_size=2,
    max_size=12,
)


@given(LABELS, st.floats(0.1, 1.0))
def test_the_surest_are_chosen(labels, fraction):
    chosen = choose_labels(labels, fraction)
    assert len(chosen) == max(1, round(fraction * len(labels)))
    others = labels.keys() - chosen.keys()
    least = min(label.confidence for label in chosen.values())
    assert all(labels[name].confidence <= least for name in others)


def test_an_utterance_without_words_is_never_chosen():
    labels = {"a": PseudoLabel([], 9.0), "b": PseudoLabel([1], -1.0)}
    assert list(choose_labels(labels, 1.0)) == ["b"]
    with pytest.raises(SelectionError, match="all pseudo-labels are empty"):
        choose_labels({"a": PseudoLabel([], 9.0)}, 1.0)


@given(LABELS, st.floats(0.01, 0.49), st.integers(0, 9))
def test_holding_back_splits_the_same_way_whatever_the_order(
    labels, share, seed
):
    learn, held = hold_back(labels, share, seed)
    assert learn | held == labels
    assert not learn.keys() & held.keys() and learn and held
    turned = dict(reversed(labels.items()))
    assert hold_back(turned, share, seed)[1] == held


@pytest.mark.parametrize("share", [0.0, 1.0, 0.9])
def test_both_sides_need_something(share):
    labels = {name: PseudoLabel([1], 0.0) for name in "ab"}
    with pytest.raises(SelectionError, match=f"a share of {share} cannot"):
        hold_back(labels, share)


def test_a_file_brings_everything_back(tmp_path):
    labels = {"a": PseudoLabel([1, 2], 0.5), "b": PseudoLabel([], -math.inf)}
    save_labels(labels, tmp_path / "labels.json")
    assert load_labels(tmp_path / "labels.json") == labels


def test_a_confidence_that_is_no_number_is_kept_as_none(tmp_path):
    labels = {"a": PseudoLabel([1], math.nan), "b": PseudoLabel([2], 0.5)}
    save_labels(labels, tmp_path / "labels.json")
    loaded = load_labels(tmp_path / "labels.json")
    assert loaded["a"] == PseudoLabel([1], -math.inf)
    assert loaded["b"] == labels["b"]


def test_an_utterance_without_doubt_stays_the_surest(tmp_path):
    """The next class may have a probability of exactly 0."""
    labels = {"a": PseudoLabel([1], 1e30), "b": PseudoLabel([2], math.inf)}
    save_labels(labels, tmp_path / "labels.json")
    loaded = load_labels(tmp_path / "labels.json")
    assert list(choose_labels(loaded, 1.0)) == ["b", "a"]

"""Confidences against a plain loop, and the choice by them.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_neuronprune.adaptation.confidence import (
    most_confident,
    utterance_confidence,
)
from speechbrain_neuronprune.errors import SelectionError


def by_loop(log_probs, ends, blank):
    """The definition, frame by frame in float64."""
    for utterance, end in zip(log_probs.double().tolist(), ends, strict=True):
        leads = []
        for frame in utterance[:end]:
            first, second = sorted(frame, reverse=True)[:2]
            if frame.index(first) != blank:
                leads.append(first - second)
        yield sum(leads) / len(leads) if leads else -math.inf


@given(st.integers(0, 2**31), st.integers(0, 4))
def test_against_a_plain_loop(seed, blank):
    generator = torch.Generator().manual_seed(seed)
    logits = 4.0 * torch.randn(4, 10, 5, generator=generator)
    logits[..., blank] += 2.0
    log_probs = logits.log_softmax(-1)
    lengths = torch.tensor([0.1, 0.5, 0.7, 1.0])
    got = utterance_confidence(log_probs, lengths, blank)
    expected = list(by_loop(log_probs, [1, 5, 7, 10], blank))
    torch.testing.assert_close(
        got.double(), torch.tensor(expected).double(), rtol=1e-5, atol=1e-6
    )


def test_padding_does_not_count():
    log_probs = torch.randn(1, 8, 5).log_softmax(-1)
    alone = utterance_confidence(log_probs[:, :4], torch.ones(1), 0)
    log_probs[:, 4:] = float("nan")
    padded = utterance_confidence(log_probs, torch.tensor([0.5]), 0)
    assert torch.equal(alone, padded)


def test_a_negative_blank_counts_from_the_end():
    log_probs = torch.randn(2, 30, 5).log_softmax(-1)
    got = utterance_confidence(log_probs, torch.ones(2), -1)
    assert got.equal(utterance_confidence(log_probs, torch.ones(2), 4))


def test_nothing_but_blanks_is_never_chosen():
    log_probs = torch.tensor([[[9.0, 0.0]] * 4, [[0.0, 9.0]] * 4])
    got = utterance_confidence(log_probs.log_softmax(-1), torch.ones(2), 0)
    assert got.tolist() == [-math.inf, pytest.approx(9.0)]
    chosen = most_confident(dict(zip("ab", got.tolist(), strict=True)), 1.0)
    assert chosen == ["b"]


# ----------------------------------------------------------------- choice

CONFIDENCES = {"a": 1.0, "b": 3.0, "c": 2.0, "d": 0.5}


@pytest.mark.parametrize(
    "fraction, expected",
    [(1.0, "bcad"), (0.75, "bca"), (0.5, "bc"), (0.25, "b"), (1e-9, "b")],
)
def test_the_highest_come_first(fraction, expected):
    assert most_confident(CONFIDENCES, fraction) == list(expected)


@given(
    st.dictionaries(
        st.text(min_size=1),
        st.sampled_from([-1.0, 0.0, 1.0]),
        min_size=1,
    ),
    st.floats(0.01, 1.0),
    st.randoms(),
)
def test_the_order_of_decoding_makes_no_difference(confidences, share, random):
    shuffled = list(confidences.items())
    random.shuffle(shuffled)
    chosen = most_confident(confidences, share)
    assert most_confident(dict(shuffled), share) == chosen
    assert len(chosen) == max(round(share * len(confidences)), 1)
    left = [v for k, v in confidences.items() if k not in chosen]
    assert min(confidences[k] for k in chosen) >= max(left, default=-math.inf)


def test_the_share_is_of_all_utterances():
    empty = {"e": -math.inf, "f": math.nan}
    assert most_confident({**CONFIDENCES, **empty}, 0.5) == ["b", "c", "a"]
    assert most_confident({**CONFIDENCES, **empty}, 1.0) == list("bcad")


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.01, math.nan])
def test_a_fraction_is_a_share(fraction):
    with pytest.raises(SelectionError, match=f"A fraction of {fraction}"):
        most_confident(CONFIDENCES, fraction)


@pytest.mark.parametrize("confidences", [{}, {"a": -math.inf}, {"a": math.nan}])
def test_without_labels_there_is_nothing_to_choose(confidences):
    with pytest.raises(SelectionError, match="all pseudo-labels are empty"):
        most_confident(confidences, 0.5)

"""Rank agreement: Spearman's correlation, group by group.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_neuronprune.errors import SaliencyError
from speechbrain_neuronprune.saliency import rank_agreement


@given(seed=st.integers(0, 10**6), units=st.integers(3, 30))
def test_without_ties_it_is_spearmans_own_formula(seed, units):
    """1 - 6 sum d^2 / (n (n^2 - 1)) over differences of ranks."""
    generator = torch.Generator().manual_seed(seed)
    one = torch.randperm(units, generator=generator)
    two = torch.randperm(units, generator=generator)
    squared = int((one - two).square().sum())
    wanted = 1 - 6 * squared / (units * (units**2 - 1))
    scores = {"mi": {"fc": one.float().exp()}, "obs": {"fc": 2.0 * two}}
    names, matrix = rank_agreement(scores)["fc"]
    assert names == ("mi", "obs")
    assert matrix[0, 1].item() == pytest.approx(wanted, abs=1e-6)
    assert torch.equal(matrix, matrix.T)
    assert matrix.diagonal().tolist() == pytest.approx([1, 1])


def test_groups_come_one_by_one():
    rise, fall = torch.arange(5.0), -torch.arange(5.0)
    agreement = rank_agreement(
        {
            "mi": {"0": rise, "2": rise},
            "obs": {"0": rise, "2": fall},
            "mbp": {"0": fall, "2": fall},
        }
    )
    assert list(agreement) == ["0", "2"]
    assert agreement["0"][1][0].tolist() == pytest.approx([1, 1, -1])
    assert agreement["2"][1][0].tolist() == pytest.approx([1, -1, -1])


def test_a_constant_criterion_has_no_order(recwarn):
    scores = {"mi": {"fc": torch.arange(4.0)}, "obs": {"fc": torch.ones(4)}}
    matrix = rank_agreement(scores)["fc"][1]
    assert matrix[0, 0] == 1
    assert math.isnan(matrix[0, 1])
    assert not recwarn.list


def test_scores_in_half_precision_are_ranked():
    one, two = torch.tensor([3.0, 1.0, 2.0]), torch.tensor([3.0, 1.0, 1.5])
    scores = {"mi": {"fc": one}, "obs": {"fc": two.bfloat16()}}
    assert rank_agreement(scores)["fc"][1][0, 1].item() == pytest.approx(1)


def test_different_units_are_refused():
    scores = {"mi": {"fc": torch.ones(3)}, "obs": {"fc": torch.ones(4)}}
    with pytest.raises(SaliencyError, match="mi and obs score different units"):
        rank_agreement(scores)
    scores["obs"] = {"dnn": torch.ones(3)}
    with pytest.raises(SaliencyError, match="measure both on the same model"):
        rank_agreement(scores)


def test_nothing_agrees_with_nothing():
    assert rank_agreement({}) == {}

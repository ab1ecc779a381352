"""Cancelled sums are zero, and only those.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_neuronprune.saliency.rounding import above_rounding, near_mean


@given(value=st.floats(-1e6, 1e6), count=st.integers(1, 5000))
def test_the_variance_of_a_constant_is_zero(value, count):
    x = torch.full((count,), value, dtype=torch.float64)
    assert above_rounding(x.square().mean(), -x.mean().square()) == 0


def test_a_true_difference_stays():
    """A unit that varies in the sixth digit still varies."""
    x = 1000.0 + 1e-2 * torch.randn(10_000, dtype=torch.float64)
    variance = above_rounding(x.square().mean(), -x.mean().square())
    assert variance.item() == pytest.approx(x.var().item(), rel=1e-2)


@given(value=st.floats(-1e6, 1e6, width=32), count=st.integers(1, 5000))
def test_a_constant_is_near_its_mean_exactly(value, count):
    x = torch.full((count, 1), value)
    assert near_mean(x).item() == value


def test_other_columns_are_near_their_means():
    x = torch.tensor([3.0, 1000.0]) + torch.randn(500, 2)
    assert torch.allclose(near_mean(x), x.mean(0), rtol=1e-6)

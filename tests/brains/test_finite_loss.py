"""Brains whose loss is not a number.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import torch

from speechbrain_neuronprune.errors import TrainingError
from tests.toy_brain import fit


def test_a_loss_that_is_no_number_stops_before_the_parameters(make_brain):
    brain = make_brain()
    before = [p.detach().clone() for p in brain.modules.parameters()]
    brain.compute_objectives = lambda predictions, batch, stage: (
        predictions.mean() * float("nan")
    )
    with pytest.raises(TrainingError, match="loss is nan at optimizer step 1"):
        fit(brain)
    for old, new in zip(before, brain.modules.parameters(), strict=True):
        assert torch.equal(old, new)


def test_single_bad_losses_may_be_skipped(make_brain):
    brain = make_brain(epochs=1, skip_nonfinite_grads=True)
    losses = iter([float("inf")] * 2 + [1.0] * 10)
    brain.compute_objectives = lambda predictions, batch, stage: (
        predictions.mean() * next(losses)
    )
    fit(brain)
    for parameter in brain.modules.parameters():
        assert torch.isfinite(parameter).all()


def test_patience_with_bad_losses_ends(make_brain):
    brain = make_brain(skip_nonfinite_grads=True, nonfinite_patience=2)
    brain.compute_objectives = lambda predictions, batch, stage: (
        predictions.mean() * float("nan")
    )
    with pytest.raises(TrainingError, match="--skip_nonfinite_grads"):
        fit(brain)
    assert brain.nonfinite_count == 3

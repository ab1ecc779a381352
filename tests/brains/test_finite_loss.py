"""Brains whose loss is not a number.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import speechbrain as sb
import torch

from speechbrain_neuronprune.errors import TrainingError
from tests.toy_brain import BATCHES, fit


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


def unbounded(predictions, batch, stage):
    """A finite loss whose gradient is not."""
    return predictions.mean() + (predictions * 0.0).sum().abs().sqrt()


def test_broken_parameters_are_never_an_epochs_checkpoint(make_brain):
    fit(make_brain(epochs=1))
    brain = make_brain(epochs=2)
    own = brain.compute_objectives

    def compute_objectives(predictions, batch, stage):
        last = stage == sb.Stage.TRAIN and brain.step == BATCHES
        return (unbounded if last else own)(predictions, batch, stage)

    brain.compute_objectives = compute_objectives
    message = (
        r"parameter Transformer\.\S+ is not finite after optimizer step "
        f"{2 * BATCHES}"
    )
    with pytest.raises(TrainingError, match=message):
        fit(brain)
    resumed = make_brain(epochs=2)
    fit(resumed)
    assert resumed.optimizer_step == 2 * BATCHES


def test_a_checkpoint_that_may_be_broken_is_not_said_to_be_intact(make_brain):
    options = {"ckpt_interval_minutes": 0, "ckpt_interval_steps": 1}
    for _ in range(2):
        brain = make_brain(epochs=1, **options)
        brain.compute_objectives = unbounded
        with pytest.raises(TrainingError) as refused:
            fit(brain)
    newest = brain.checkpointer.find_checkpoint().path
    assert f"delete {newest} then" in str(refused.value)
    assert "intact" not in str(refused.value)


def test_an_intact_checkpoint_is_said_to_be(make_brain):
    fit(make_brain(epochs=1))
    brain = make_brain(epochs=2)
    brain.compute_objectives = lambda predictions, batch, stage: (
        predictions.mean() * float("nan")
    )
    with pytest.raises(TrainingError, match="The last checkpoint is intact"):
        fit(brain)

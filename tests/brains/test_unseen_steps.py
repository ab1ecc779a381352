"""Brains that step their optimisers past the mixin.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import speechbrain as sb
import torch

from speechbrain_neuronprune.brains import unseen_steps
from speechbrain_neuronprune.errors import TrainingError
from tests.toy_brain import BATCHES, PruningToy, fit


class FittingToy(PruningToy):
    def fit_batch(self, batch):
        outputs = self.compute_forward(batch, sb.Stage.TRAIN)
        loss = self.compute_objectives(outputs, batch, sb.Stage.TRAIN)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach()


class SteppingToy(PruningToy):
    def optimizers_step(self):
        for optimizer in self.optimizers_dict.values():
            optimizer.step()
            optimizer.zero_grad()
        self.optimizer_step += 1


class AlternatingToy(PruningToy):
    """Steps one of its optimisers by itself, before it asks."""

    def fit_batch(self, batch):
        self.optimizer.step()
        return super().fit_batch(batch)


@pytest.mark.parametrize(
    "kind, steps", [(FittingToy, BATCHES), (SteppingToy, 2 * BATCHES)]
)
def test_steps_past_the_mixin_are_refused(make_brain, kind, steps):
    brain = make_brain(kind=kind)
    message = (
        f"{kind.__name__} has stepped its optimisers {steps} times .*"
        r"self.optimizers_step\(\).*super\(\).optimizers_step\(\)"
    )
    with pytest.raises(TrainingError, match=message):
        fit(brain)
    assert brain.checkpointer.find_checkpoint() is None


def test_a_long_epoch_does_not_hide_them(make_brain, monkeypatch):
    monkeypatch.setattr(unseen_steps, "PATIENCE", 3)
    brain = make_brain(kind=FittingToy)
    with pytest.raises(TrainingError, match="3 times"):
        fit(brain)


def test_further_steps_are_a_brains_own_business(make_brain, monkeypatch):
    monkeypatch.setattr(unseen_steps, "PATIENCE", 3)
    brain = make_brain(kind=AlternatingToy, epochs=1)
    fit(brain)
    assert brain.schedule.step == BATCHES


def test_a_brain_may_advance_the_schedule_itself(make_brain):
    brain = make_brain(kind=SteppingToy, epochs=1)
    brain.on_fit_batch_end = lambda *_: brain.schedule.advance()
    fit(brain)
    assert brain.schedule.step == BATCHES


def test_no_step_is_watched_once_one_is_seen(make_brain):
    brain = make_brain(epochs=1)
    fit(brain)
    for optimizer in brain.optimizers_dict.values():
        assert not optimizer._optimizer_step_post_hooks
    assert isinstance(brain.optimizer, torch.optim.Optimizer)

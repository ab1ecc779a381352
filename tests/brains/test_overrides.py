"""Brains whose own methods do not call those of the mixin.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import speechbrain as sb
import torch

from speechbrain_neuronprune.brains import AdaptiveDropoutMixin
from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.units import count_parameters
from tests.toy_brain import BATCHES, PruningToy, Toy, fit, logits


class FreezingToy(PruningToy):
    """Steps what it knows of, as SpeechBrain's recipes do."""

    def freeze_optimizers(self, optimizers):
        return {"opt_class": optimizers["opt_class"]}


class FrozenToy(Toy):
    freeze_optimizers = FreezingToy.freeze_optimizers


class FreezingBehindToy(AdaptiveDropoutMixin, FrozenToy):
    """The same, behind the mixin."""


class EndingToy(PruningToy):
    """Knows of nothing to ask at the end of a stage."""

    def on_stage_start(self, stage, epoch=None):
        if stage == sb.Stage.TRAIN:
            self.sizes = [
                *getattr(self, "sizes", []),
                count_parameters(self.pruned),
            ]

    def on_stage_end(self, stage, stage_loss, epoch=None):
        self.train_loss = "its own"


class EvaluatingToy(PruningToy):
    """Tests as soon as it has asked."""

    def on_stage_end(self, stage, stage_loss, epoch=None):
        super().on_stage_end(stage, stage_loss, epoch)
        if stage == sb.Stage.VALID:
            self.evaluate(torch.utils.data.DataLoader([torch.ones(2, 10, 20)]))

    def on_evaluate_start(self, max_key=None, min_key=None):
        pass

    def evaluate_batch(self, batch, stage):
        return torch.zeros(())


class StartingToy(PruningToy):
    def on_fit_start(self):
        self.init_optimizers()


@pytest.mark.parametrize("kind", [FreezingToy, FreezingBehindToy])
def test_the_logits_step_whatever_a_brain_chooses_to_step(make_brain, kind):
    brain = make_brain(kind=kind, epochs=1)
    brain.checkpointer = None
    fit(brain)
    usual = make_brain(epochs=1)
    fit(usual)
    for a, b in zip(logits(brain), logits(usual), strict=True):
        assert a.ne(0).any() and torch.equal(a, b)
    for a, b in zip(
        brain.modules.parameters(), usual.modules.parameters(), strict=True
    ):
        assert torch.equal(a, b)


def test_the_scaler_bears_a_brain_that_steps_all_without_asking(make_brain):
    """Settled logits, too, which have no gradients."""
    brain = make_brain(epochs=1, settle_step=3)
    brain.freeze_optimizers = lambda optimizers: optimizers
    brain.scaler = torch.GradScaler("cpu", init_scale=2.0**10)
    fit(brain)
    assert brain.schedule.step == BATCHES


def test_the_gates_are_logged_where_a_brain_does_not_ask(make_brain):
    brain = make_brain(kind=EndingToy)
    fit(brain)
    lines = brain._retention_log.lines()
    assert brain.train_loss == "its own"
    brain._retention_log.path.unlink()
    usual = make_brain()
    fit(usual)
    assert lines == usual._retention_log.lines()


def test_units_leave_where_a_brain_does_not_ask(make_brain):
    brain = make_brain(kind=EndingToy)
    brain.hparams.shrink = True
    brain.hparams.shrink_every = 1
    brain.hparams.shrink_below = 0.1
    fit(brain)
    dense = count_parameters(brain.pruned)
    assert brain.sizes[0] == dense > brain.sizes[1]


def test_an_evaluation_at_the_end_of_a_stage_logs_nothing_twice(make_brain):
    brain = make_brain(kind=EvaluatingToy)
    fit(brain)
    epochs = [line["epoch"] for line in brain._retention_log.lines()]
    assert epochs == [1, 2]


def test_a_brain_has_its_own_methods_back(make_brain):
    brain = make_brain(epochs=1)
    own = {"on_stage_end": lambda *_: None}
    vars(brain).update(own)
    before = dict(vars(brain))
    fit(brain)
    assert brain.on_stage_end is own["on_stage_end"]
    assert "freeze_optimizers" not in before.keys() | vars(brain).keys()


def test_a_start_that_asks_for_nothing_is_refused(make_brain):
    message = r"StartingToy replaces .*; let it call super\(\).on_fit_start"
    with pytest.raises(TrainingError, match=message):
        fit(make_brain(kind=StartingToy))

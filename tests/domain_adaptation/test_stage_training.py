"""The training of a stage: its learning rate, and how it fails.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import pytest
import speechbrain as sb
import torch

from speechbrain_neuronprune.brains import AdaptationASR
from speechbrain_neuronprune.domain_adaptation import DomainAdaptation
from speechbrain_neuronprune.domain_adaptation.stage_training import (
    StageTraining,
)
from speechbrain_neuronprune.errors import DataError, TrainingError
from speechbrain_neuronprune.fingerprint import fingerprint
from tests.tiny_adaptation import as_model


def schedule(one):
    """What the last checkpoint of the first stage says of the rate."""
    [path] = one.folder.glob("round1/stage1/save/*/lr_annealing.ckpt")
    return torch.load(path)


@pytest.mark.parametrize("factor", [1, 2])
def test_the_rate_ends_at_zero(adaptation, factor):
    one = adaptation(run_opts={"grad_accumulation_factor": factor})
    one.run()
    saved = schedule(one)
    assert saved["current_step"] == saved["num_training_steps"]
    # Five batches an epoch; what is left over makes no step.
    assert saved["current_step"] == 2 * (5 // factor)


def test_the_rate_rises_and_falls(adaptation, monkeypatch):
    one = adaptation(warmup=0.4)
    rates = []
    step = AdaptationASR.optimizers_step

    def note(brain):
        rates.append(brain.optimizer.param_groups[0]["lr"])
        step(brain)

    monkeypatch.setattr(AdaptationASR, "optimizers_step", note)
    one.run()
    lr = one.stages[0].lr
    rise = [0.0, 0.25, 0.5, 0.75]
    fall = [1 - n / 6 for n in range(6)]
    assert rates == pytest.approx([lr * part for part in rise + fall])


def test_a_model_that_went_silent_is_refused(adaptation, monkeypatch):
    one = as_model(adaptation(), "A")
    fit = StageTraining._fit

    def fit_to_silence(*arguments):
        stopping = fit(*arguments)
        output = [name for name in stopping.best if name.endswith("bias")][-1]
        stopping.best[output] += torch.tensor([1e4, 0.0, 0.0, 0.0])
        return stopping

    monkeypatch.setattr(StageTraining, "_fit", fit_to_silence)
    with pytest.raises(TrainingError, match="After round1/stage1, the model"):
        one.run()
    assert not (one.folder / "model").exists()
    assert not (one.folder / "round1/stage1/best.ckpt").exists()


def test_an_epoch_too_short_for_a_step_is_refused(adaptation):
    one = adaptation(run_opts={"grad_accumulation_factor": 6})
    message = "5 batches, too few for a step with grad_accumulation_factor=6"
    with pytest.raises(DataError, match=message):
        one.run()


@pytest.mark.parametrize("name", ["A", "B"])
def test_a_stage_that_fails_leaves_the_model_as_it_was(
    adaptation, monkeypatch, name
):
    one = as_model(adaptation(), name)
    start = fingerprint(one.encoder)
    fit = StageTraining._fit

    def interrupted(*arguments):
        fit(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(StageTraining, "_fit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            one.run()
    assert fingerprint(one.encoder) == start
    one.run()


def test_options_of_the_yaml_reach_the_brain(adaptation):
    """The host's run options hold a default value for every option."""
    _, run_opts, _ = sb.parse_arguments(["a.yaml", "--device=cpu"])
    one = adaptation(max_grad_norm=0.5)
    one = DomainAdaptation(one.recogniser, one.speech, one.hparams, run_opts)
    assert one.model.learner(None, {}).max_grad_norm == 0.5
    assert one.model.option("max_grad_norm", 5.0) == 0.5

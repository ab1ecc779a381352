"""The Brain that adapts: the start counts, and a kill changes nothing.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
import random
from functools import partial

import pytest
import torch
from speechbrain.nnet.losses import ctc_loss
from speechbrain.nnet.schedulers import LinearWarmupScheduler

from speechbrain_neuronprune.adaptation.early_stopping import (
    EarlyStopping,
    EpochsUntilStopping,
)
from speechbrain_neuronprune.adaptation.full import FullUpdate
from speechbrain_neuronprune.brains.adaptation import AdaptationASR
from speechbrain_neuronprune.deploy.transcribe import load_model
from speechbrain_neuronprune.training.checkpoints import AtomicCheckpointer
from speechbrain_neuronprune.training.dataio import speech_dataset
from speechbrain_neuronprune.training.epoch_log import EpochLog
from tests.tiny_recogniser import write_recogniser

PATIENCE = 2
BATCHES = 2  # in an epoch


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recogniser") / "run"
    return load_model(str(write_recogniser(folder)))


def speech():
    """Noise, with labels that are no matter."""
    waves = {str(n): torch.randn(8000 + 500 * n) for n in range(4)}
    rows = {
        name: {
            "wav": name,
            "duration": 0.5,
            "wrd": "",
            "labels": [1 + int(name) % 3],
        }
        for name in waves
    }
    return speech_dataset(rows, waves.__getitem__)


FIXED = {
    "ctc_cost": partial(ctc_loss, blank_index=0),
    "blank_index": 0,
    "loss": "ctc",
    "seed": 1,
    "stage_name": "stage",
}
LOADER = {"batch_size": 2}


@pytest.fixture
def adapt(recogniser, tmp_path):
    """Fit, in a folder; what learns is a copy of the recogniser. Returns the
    stopping, the log, and the learning rate at the end."""
    torch.manual_seed(0)
    data = speech()

    def fit(
        lr,
        folder="run",
        epochs=4,
        uphill=False,
        start_counts=True,
        augment=None,
        **run_opts,
    ):
        own = copy.deepcopy(recogniser)
        stopping = EarlyStopping(PATIENCE)
        counter = EpochsUntilStopping(epochs, stopping)
        (tmp_path / folder).mkdir(exist_ok=True)
        parts = {"stopping": stopping, "counter": counter}
        steps = epochs * BATCHES
        parts["lr_annealing"] = LinearWarmupScheduler(lr, 0, steps)
        parts["model"] = own.mods.encoder
        brain = AdaptationASR.of(
            own,
            FullUpdate(own.mods.encoder),
            {
                **FIXED,
                "epoch_counter": counter,
                "stopping": stopping,
                "start_counts": start_counts,
                "lr_annealing": parts["lr_annealing"],
                "log": EpochLog(tmp_path / folder / "epochs.jsonl"),
                **({"wav_augment": augment} if augment else {}),
            },
            opt_class=partial(torch.optim.SGD, lr=lr, maximize=uphill),
            run_opts={"noprogressbar": True, **run_opts},
            checkpointer=AtomicCheckpointer(tmp_path / folder / "save", parts),
        )
        brain.fit(counter, data, data, None, LOADER, LOADER)
        assert statistics(own) == statistics(recogniser)
        rate = brain.optimizer.param_groups[0]["lr"]
        return stopping, brain.hparams.log.lines(), rate

    return fit


def statistics(recogniser):
    normalize = recogniser.mods.encoder.normalize
    return normalize.count, normalize.glob_mean.tolist()


def losses(lines):
    return [line["loss_held_back"] for line in lines]


def test_what_only_makes_it_worse_ends_where_it_began(adapt, recogniser):
    stopping, lines, _ = adapt(lr=0.3, uphill=True)
    assert [line["epoch"] for line in lines] == list(range(2 + PATIENCE))
    assert lines[0]["step"] == 0 and "loss_train" not in lines[0]
    assert stopping.lowest == losses(lines)[0] < min(losses(lines)[1:])
    for name, value in recogniser.mods.encoder.state_dict().items():
        assert stopping.best[name].equal(value)


def test_a_start_that_does_not_count_is_only_logged(adapt):
    stopping, lines, _ = adapt(lr=0.3, uphill=True, start_counts=False)
    assert lines[0]["epoch"] == 0
    assert stopping.lowest == min(losses(lines)[1:]) > losses(lines)[0]


def test_what_makes_it_better_is_taken(adapt):
    stopping, lines, _ = adapt(lr=0.05, epochs=2)
    assert [line["epoch"] for line in lines] == [0, 1, 2]
    assert stopping.lowest == min(losses(lines)[1:]) < losses(lines)[0]


def test_a_held_back_loss_that_is_no_number_is_never_the_best(
    adapt, monkeypatch
):
    objectives = AdaptationASR.compute_objectives

    def broken(brain, predictions, batch, stage):
        loss = objectives(brain, predictions, batch, stage)
        return loss if brain.modules.training else loss * float("nan")

    monkeypatch.setattr(AdaptationASR, "compute_objectives", broken)
    stopping, lines, _ = adapt(lr=0.05, epochs=2)
    assert stopping.best is None
    assert losses(lines) == [None] * 3


class Noise(torch.nn.Module):
    """An augmentation that draws from both generators that the host uses."""

    def forward(self, wavs, lengths):
        return wavs + random.random() * torch.randn_like(wavs), lengths

    def replicate_labels(self, labels):
        return labels


@pytest.mark.parametrize("saved", ["epochs", "batches"])
@pytest.mark.parametrize("batches", [0, 1, 2, 3])
def test_a_kill_changes_nothing(adapt, monkeypatch, batches, saved):
    options = {"lr": 0.05, "epochs": 2, "augment": Noise()}
    options["ckpt_interval_steps"] = 1 if saved == "batches" else 0
    expected, whole, rate = adapt(folder="whole", **options)
    assert rate == 0.0
    fit_batch, done = AdaptationASR.fit_batch, []

    def killed(brain, batch):
        if len(done) == batches:
            raise KeyboardInterrupt
        done.append(batch)
        return fit_batch(brain, batch)

    with monkeypatch.context() as patch:
        patch.setattr(AdaptationASR, "fit_batch", killed)
        with pytest.raises(KeyboardInterrupt):
            adapt(**options)
    random.seed(batches)  # a new process begins elsewhere
    torch.manual_seed(batches)
    stopping, lines, rate = adapt(**options)
    assert rate == 0.0
    assert lines == whole
    assert stopping.lowest == expected.lowest
    for name, value in expected.best.items():
        assert stopping.best[name].equal(value)

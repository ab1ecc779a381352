"""What the tests do in several processes: trainings of tiny models.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import os
import runpy
import sys
from functools import partial

import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.dataio.dataloader import make_dataloader
from speechbrain.nnet.losses import ctc_loss
from speechbrain.processing.features import InputNormalization
from speechbrain.utils.epoch_loop import EpochCounter

from speechbrain_neuronprune import (
    RetentionSchedule,
    adaptive_dropouts,
    attach_adaptive_dropout,
)
from speechbrain_neuronprune.brains import AdaptiveDropoutASR
from speechbrain_neuronprune.deploy import finalise
from speechbrain_neuronprune.processes import (
    join_processes,
    process_number,
)
from speechbrain_neuronprune.training.batching import ShortFirstSampler
from speechbrain_neuronprune.training.checkpoints import AtomicCheckpointer
from speechbrain_neuronprune.training.dataio import speech_dataset
from speechbrain_neuronprune.training.draws import draws_for
from tests.tiny_adaptation import make_adaptation
from tests.tiny_recogniser import CONFORMER

BANDS = 20
EPOCH_STEPS = 10
EPOCHS = 5
SETTLE_STEP = 40


def speech():
    """Utterances of noise, of several lengths."""
    generator = torch.Generator().manual_seed(0)
    sizes = [BANDS * (12 + 3 * number % 11) for number in range(24)]
    waves = {
        f"u{number}": torch.randn(size, generator=generator)
        for number, size in enumerate(sizes)
    }
    rows = {
        name: {
            "wav": name,
            "duration": float(len(wave)),
            "wrd": "",
            "labels": [1 + len(wave) % 2, 3],
        }
        for name, wave in waves.items()
    }
    return speech_dataset(rows, waves.__getitem__)


class Recogniser(AdaptiveDropoutASR):
    """Draws by the names of utterances; remembers how its logits moved."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.trajectory = {}

    def compute_forward(self, batch, stage):
        with draws_for(*batch.id):
            return super().compute_forward(batch, stage)

    def on_fit_batch_end(self, batch, outputs, loss, should_step):
        gates = adaptive_dropouts(self.pruned).values()
        if should_step:
            values = torch.cat([g.logits.detach().clone() for g in gates])
            self.trajectory[self.optimizer_step] = values


def make_brain(folder, run_opts):
    torch.manual_seed(0)
    parts = load_hyperpyyaml(CONFORMER)
    attach_adaptive_dropout(parts["Transformer"], RetentionSchedule(steps=30))
    counter = EpochCounter(limit=EPOCHS)
    hparams = {
        "logits_opt_class": partial(torch.optim.Adam, lr=0.02),
        "compute_features": lambda wavs: wavs.view(len(wavs), -1, BANDS),
        "log_softmax": partial(torch.log_softmax, dim=-1),
        "ctc_cost": partial(ctc_loss, blank_index=0),
        "epoch_counter": counter,
        "lr_annealing": lambda optimizer: None,
        "settle_step": SETTLE_STEP,
        "shrink": True,
        "steer_size": True,
        "target_parameters": 0.6,
        "round_to": 1,
        "balance_heads": False,
    }
    model = torch.nn.ModuleDict(parts)
    return Recogniser(
        modules=parts | {"normalize": InputNormalization(norm_type="sentence")},
        opt_class=partial(torch.optim.Adam, lr=0.001),
        hparams=hparams,
        run_opts={
            "device": "cpu",
            "noprogressbar": True,
            "distributed_backend": "gloo",
            "distributed_launch": "RANK" in os.environ,
            **run_opts,
        },
        checkpointer=AtomicCheckpointer(
            folder, {"model": model, "counter": counter}
        ),
    )


def train(folder, **run_opts):
    """Train, or go on; returns what came of it."""
    brain = make_brain(folder, run_opts)
    data = speech()
    sampler = ShortFirstSampler(
        [data.data[name]["duration"] for name in data.data_ids],
        max_batch_length=1500.0,
        short_steps=5,
        epoch_steps=EPOCH_STEPS,
        accumulated=brain.grad_accumulation_factor,
        num_buckets=2,
    )
    brain.train_sampler = sampler
    brain.fit(
        brain.hparams.epoch_counter,
        make_dataloader(data, batch_sampler=sampler),
    )
    return {
        "trajectory": brain.trajectory,
        "keep": brain.make_plan().keep,
        "step": brain.schedule.step,
        "state": brain.pruned.state_dict(),
        "draw": torch.rand(4),
        "modules": [type(module).__name__ for module in brain.modules.values()],
    }


def three_trainings(folder):
    """The whole one; one that is interrupted in its third epoch; and one
    that another process began, in whose checkpoint the units are settled."""
    join_processes({"distributed_backend": "gloo"})
    often = {"ckpt_interval_minutes": 0, "ckpt_interval_steps": 5}
    part = {"optimizer_step_limit": 27, **often}
    return {
        "whole": train(folder / "two"),
        "two-to-one": train(folder / "two-to-one", **part),
        "one-to-two": train(folder / "one-to-two"),
    }


def run_recipe(script, arguments):
    """Run a recipe's script without its report, which takes longest."""
    sys.path.insert(0, str(script.parent))
    finalise.write_report = lambda folder: None
    recipe = runpy.run_path(str(script), run_name="recipe")
    recipe["main"](arguments)


def adapt(model, folder, **options):
    """Adapt, without anything that is drawn for an utterance."""
    one = make_adaptation(model, folder, augments=False, **options)
    one.run()
    return one.encoder.state_dict()


def adapt_together(model, folder):
    """The same in several processes."""
    join_processes({"distributed_backend": "gloo"})
    return adapt(model, folder)


def follow(gate):
    """Train data-parallel, without a Brain, each process with other data;
    gives the logits after every step."""
    join_processes({"distributed_backend": "gloo"})
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 7), torch.nn.Tanh(), torch.nn.Linear(7, 2)
    )
    schedule = RetentionSchedule(hold=3, steps=5)
    attach_adaptive_dropout(model, schedule, gamma=1e-3, gate=gate)
    wrapped = torch.nn.parallel.DistributedDataParallel(model.train())
    optimizer = torch.optim.Adam(wrapped.parameters(), lr=0.01)
    [dropout] = adaptive_dropouts(model).values()
    torch.manual_seed(1 + process_number())
    learned = []
    for _ in range(6):
        optimizer.zero_grad()
        wrapped(torch.randn(4, 3)).square().sum().backward()
        optimizer.step()
        learned.append(dropout.logits.detach().clone())
    return torch.stack(learned)

"""The training of one stage, from its rows to its best state.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.nnet.schedulers import LinearWarmupScheduler
from speechbrain.utils.distributed import main_process_only, run_on_main

from speechbrain_neuronprune.adaptation.early_stopping import (
    EarlyStopping,
    EpochsUntilStopping,
)
from speechbrain_neuronprune.adaptation.stages import Stage
from speechbrain_neuronprune.domain_adaptation.kept import save_tensors
from speechbrain_neuronprune.domain_adaptation.model import AdaptingModel
from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.training.batching import ShortFirstSampler
from speechbrain_neuronprune.training.checkpoints import AtomicCheckpointer
from speechbrain_neuronprune.training.dataio import Rows
from speechbrain_neuronprune.training.epoch_log import EpochLog


@dataclass(frozen=True)
class StageTraining:
    """One stage of an adaptation: its training and what is kept of it.

    Arguments
    ---------
    name : str
        The stage's folder in that of the run, ``round1/stage1``.
    stage : Stage
        What learns, and how.
    model : AdaptingModel
        The model that learns.
    output : Path
        The folder of the run.
    """

    name: str
    stage: Stage
    model: AdaptingModel
    output: Path

    @property
    def folder(self) -> Path:
        """Where the stage keeps its files."""
        return self.output / self.name

    @property
    def is_done(self) -> bool:
        """Whether a best state is there, for all processes."""
        return main_process_only(self._best.exists)()

    @property
    def _best(self) -> Path:
        return self.folder / "best.ckpt"

    def load(self, update: Any) -> None:
        """Take the best state.

        Arguments
        ---------
        update : Adaptation or FullUpdate
            What has learned.
        """
        best = torch.load(self._best, map_location="cpu", weights_only=True)
        update.load_state_dict(best)

    def run(self, update: Any, learn: Rows, held: Rows) -> None:
        """Train, or go on, and keep the best state.

        Arguments
        ---------
        update : Adaptation or FullUpdate
            What learns.
        learn : dict
            Labelled rows to learn from.
        held : dict
            Rows whose loss says which state is the best.

        Raises
        ------
        TrainingError
            If no state has a finite loss, or the best one hears nothing.
        """
        stopping = self._fit(update, self.model.dataset(learn), held)
        if stopping.best is None:
            raise TrainingError(
                f"The held-back loss of {self.name} was never a number; lower "
                f"the learning rate from {self.stage.lr}."
            )
        update.load_state_dict(stopping.best)
        self._refuse_silence(held)
        run_on_main(self._keep, args=[stopping.best])

    # ------------------------------------------------------------- training

    def _fit(
        self, update: Any, train: DynamicItemDataset, held: Rows
    ) -> EarlyStopping:
        """Train; what it returns has the best state."""
        sampler = self._sampler(train)
        parts = self._training_parts(sampler.epoch_steps)
        brain = self._learner(update, parts)
        brain.train_sampler = sampler
        brain.fit(
            parts["epoch_counter"],
            train,
            self.model.dataset(held),
            train_loader_kwargs={"batch_sampler": sampler},
            valid_loader_kwargs=self.model.loader,
        )
        return parts["stopping"]

    def _sampler(self, train: DynamicItemDataset) -> ShortFirstSampler:
        hparams = self.model.hparams
        return ShortFirstSampler(
            [train.data[name]["duration"] for name in train.data_ids],
            max_batch_length=hparams["max_batch_length"],
            seed=hparams["seed"],
            accumulated=self.model.accumulated,
            num_buckets=hparams["num_buckets"],
        )

    def _training_parts(self, steps: int) -> dict[str, Any]:
        """What a stage trains with and a checkpoint must hold; ``steps`` are
        those of the optimiser in an epoch."""
        hparams, stage = self.model.hparams, self.stage
        stopping = EarlyStopping(hparams["patience"])
        return {
            "stopping": stopping,
            "epoch_counter": EpochsUntilStopping(stage.epochs, stopping),
            # Without the decline, the noise of the last steps stays in the
            # weights, and an averaged starting model is better than that.
            "lr_annealing": LinearWarmupScheduler(
                stage.lr,
                round(hparams["warmup"] * stage.epochs * steps),
                stage.epochs * steps,
            ),
        }

    def _learner(self, update: Any, parts: Mapping[str, Any]) -> Any:
        """The Brain, whose checkpoints hold the parts."""
        encoder = self.model.recogniser.mods.encoder
        return self.model.learner(
            update,
            {
                "stage_name": self.name,
                "loss": self.stage.loss,
                "log": self._log,
                **parts,
            },
            opt_class=self._optimiser(parts["lr_annealing"]),
            checkpointer=AtomicCheckpointer(
                self.folder / "save", {"model": encoder, **parts}
            ),
        )

    def _optimiser(self, schedule: LinearWarmupScheduler) -> Callable[..., Any]:
        return functools.partial(
            self.model.hparams["opt_class"],
            lr=schedule.calculate_lr(0),
            weight_decay=self.model.hparams["weight_decay"],
        )

    # -------------------------------------------------------------- the end

    def _refuse_silence(self, held: Rows) -> None:
        """A learning rate too high leads CTC back to where it began: a model
        that gives nothing but blanks, of which a loss does not tell."""
        heard = self.model.label(held)
        if any(label.tokens for label in heard.values()):
            return
        raise TrainingError(
            f"After {self.name}, the model hears nothing in any of the "
            f"{len(held)} held-back utterances, in all of which it heard "
            f"something before; lower the learning rate from {self.stage.lr}, "
            f"or raise warmup from {self.model.hparams['warmup']}, and choose "
            "another output_folder."
        )

    def _keep(self, best: Mapping[str, Any]) -> None:
        """Keep the best state; add the epochs to the log of the whole run."""
        save_tensors(best, self._best)
        whole = EpochLog(self.output / "adaptation.jsonl")
        for line in self._log.lines():
            whole.append({"stage": self.name, **line})

    @property
    def _log(self) -> EpochLog:
        return EpochLog(self.folder / "epochs.jsonl")

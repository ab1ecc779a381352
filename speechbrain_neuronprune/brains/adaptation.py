"""The Brain that adapts a trained recogniser to speech without labels.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import speechbrain as sb
import torch
from speechbrain.inference import EncoderASR
from speechbrain.utils.distributed import main_process_only
from torch import Tensor

from speechbrain_neuronprune.adaptation.entropy import suta_loss
from speechbrain_neuronprune.brains.decoding import DecodingASR
from speechbrain_neuronprune.processes import (
    average_gradients,
    process_number,
)
from speechbrain_neuronprune.training.draws import draws_for


class AdaptationASR(DecodingASR):
    """One stage of adaptation: an update, a loss, and when to stop.

    What learns is the business of ``update``, the handle that a selective
    update, a scaling or a full update returns; this Brain gives it speech and
    takes its best state. It is made by ``AdaptationASR.of``.

    The start is epoch 0 in the log. With ``start_counts``, ``stopping`` keeps
    it if no epoch has a lower loss on the held-back part. Where pseudo-labels
    are the start's own, which it explains better than anyone, that undoes
    most adaptations, useful ones included; so it is off in our yaml. The
    start uses up no patience.

    What a step draws (augmentations, dropout) follows from ``seed``,
    ``stage_name``, epoch and step alone, so that a training that was stopped
    goes on as if it had not been.

    In several processes, each learns from its own batches, with draws of its
    own. The few gradients are averaged here, so the model needs no wrapper.

    Hyperparameters: those of ``DecodingASR``, and ``seed``, ``stage_name``,
    ``ctc_cost``, ``loss`` (``ctc`` on pseudo-labels, or ``entropy``, which
    needs none), ``epoch_counter``, ``stopping`` (an ``EarlyStopping``),
    ``start_counts``, ``log`` (a ``EpochLog``); optionally ``lr_annealing``
    (called after every step).
    """

    @classmethod
    def of(
        cls,
        recogniser: EncoderASR,
        update: Any,
        hparams: Mapping[str, Any],
        **options: Any,
    ) -> "AdaptationASR":
        """Make the Brain of one stage.

        Arguments
        ---------
        recogniser : EncoderASR
            The model, from its directory.
        update : Adaptation or FullUpdate
            What learns.
        hparams : mapping
            See the class.
        **options
            Further arguments of ``Brain``: ``opt_class``, ``run_opts``,
            ``checkpointer``.

        Returns
        -------
        AdaptationASR
            Ready for ``fit``.
        """
        brain = cls(recogniser, hparams, **options)
        brain.update = update
        return brain

    def init_optimizers(self) -> None:
        """Only what the update lets learn."""
        self.optimizer = self.opt_class(list(self.update.parameters()))
        self.optimizers_dict = {"opt_class": self.optimizer}
        if self.checkpointer is not None:
            self.checkpointer.add_recoverable("optimizer", self.optimizer)

    def compute_objectives(
        self, predictions: tuple[Tensor, Tensor], batch: Any, stage: sb.Stage
    ) -> Tensor:
        """The stage's loss.

        Arguments
        ---------
        predictions : tuple of torch.Tensor
            What ``compute_forward`` gives.
        batch : Any
            The batch, with ``tokens`` where the loss is CTC.
        stage : sb.Stage
            Training multiplies labels as it did the speech.

        Returns
        -------
        torch.Tensor
            The loss, a scalar.
        """
        log_probs, lengths = predictions
        if self.hparams.loss == "entropy":
            return suta_loss(log_probs, lengths, self.hparams.blank_index)
        tokens, token_lengths = batch.tokens
        if stage == sb.Stage.TRAIN and hasattr(self.hparams, "wav_augment"):
            tokens = self.hparams.wav_augment.replicate_labels(tokens)
            token_lengths = self.hparams.wav_augment.replicate_labels(
                token_lengths
            )
        return self.hparams.ctc_cost(log_probs, tokens, lengths, token_lengths)

    def fit(
        self,
        epoch_counter: Iterable[int],
        train_set: Any,
        valid_set: Any,
        progressbar: bool | None = None,
        train_loader_kwargs: Mapping[str, Any] | None = None,
        valid_loader_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Learn, as ``Brain.fit`` does, after a look at the start.

        Arguments
        ---------
        epoch_counter : iterable of int
            The epochs.
        train_set : DynamicItemDataset
            What to learn from.
        valid_set : DynamicItemDataset
            The held-back part.
        progressbar : bool, optional
            Whether to show the progress of every epoch.
        train_loader_kwargs : mapping, optional
            Of the data loader of what to learn from.
        valid_loader_kwargs : mapping, optional
            Of the data loader of the held-back part.
        """
        self.held_back = self.make_dataloader(
            valid_set,
            sb.Stage.VALID,
            ckpt_prefix=None,
            **(valid_loader_kwargs or {}),
        )
        super().fit(
            epoch_counter,
            train_set,
            self.held_back,
            progressbar,
            dict(train_loader_kwargs or {}),
        )

    def on_fit_start(self) -> None:
        """Recover and drop log lines of epochs that will run again; where
        there is nothing to recover, look at the start."""
        super().on_fit_start()
        if self._is_resumed():
            self._drop_after(self.hparams.epoch_counter.current)
            return
        self._drop_after(-1)
        loss = self.evaluate(self.held_back)
        if self.hparams.start_counts:
            self.hparams.stopping.see_start(loss, self.update.state_dict())
        self._log(0, held_back=loss)

    def _is_resumed(self) -> bool:
        return (
            self.checkpointer is not None
            and self.checkpointer.find_checkpoint() is not None
        )

    def fit_batch(self, batch: Any) -> Tensor:
        """Learn from a batch, with draws of its own."""
        epoch = self.hparams.epoch_counter.current
        place = (self.hparams.seed, self.hparams.stage_name, epoch, self.step)
        # The first process draws what it would draw alone.
        others = [process_number()] if process_number() else []
        with draws_for(*place, *others):
            return super().fit_batch(batch)

    def optimizers_step(self) -> None:
        """Step by the mean of the gradients of all processes."""
        average_gradients(self.update.parameters())
        super().optimizers_step()

    def on_fit_batch_end(
        self, batch: Any, outputs: Any, loss: Tensor, should_step: bool
    ) -> None:
        """Anneal the learning rate."""
        if should_step and hasattr(self.hparams, "lr_annealing"):
            self.hparams.lr_annealing(self.optimizer)

    def update_average(self, loss: Tensor, avg_loss: float) -> float:
        """Not a number as soon as one held-back loss is none; the host would
        leave it out, and a model that gives NaN alone would be the best."""
        if self.modules.training or torch.isfinite(loss):
            return super().update_average(loss, avg_loss)
        return math.nan

    def on_stage_end(
        self, stage: sb.Stage, stage_loss: float, epoch: int | None = None
    ) -> None:
        """After an epoch: log, remember the best state, save."""
        if stage == sb.Stage.TRAIN:
            self.train_loss = stage_loss
        if stage != sb.Stage.VALID:
            return
        self.hparams.stopping.see(stage_loss, self.update.state_dict())
        self._log(epoch, train=self.train_loss, held_back=stage_loss)
        if self.checkpointer is not None:
            self.checkpointer.save_and_keep_only(
                meta={"epoch": epoch}, num_to_keep=1
            )

    @main_process_only
    def _drop_after(self, epoch: int) -> None:
        self.hparams.log.drop_after(epoch)

    @main_process_only
    def _log(self, epoch: int, **losses: float) -> None:
        self.hparams.log.append(
            {
                "epoch": epoch,
                "step": self.optimizer_step,
                **{
                    # JSON knows no NaN.
                    f"loss_{name}": value if math.isfinite(value) else None
                    for name, value in losses.items()
                },
            }
        )

"""The Brain that adapts a trained recogniser to speech without labels.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import speechbrain as sb
import torch
from speechbrain.inference import EncoderASR
from speechbrain.processing.features import InputNormalization
from speechbrain.utils.distributed import main_process_only
from torch import Tensor, nn
from tqdm import tqdm

from speechbrain_neuronprune.adaptation.confidence import utterance_confidence
from speechbrain_neuronprune.adaptation.consensus import consensus
from speechbrain_neuronprune.adaptation.entropy import suta_loss
from speechbrain_neuronprune.adaptation.pseudo_labels import PseudoLabel
from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.processes import (
    average_gradients,
    process_number,
)
from speechbrain_neuronprune.training.draws import draws_for
from speechbrain_neuronprune.training.error_rates import ErrorRates
from speechbrain_neuronprune.units.stagewise import run_stages


class AdaptationASR(sb.Brain):
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

    Hyperparameters: ``seed``, ``stage_name``, ``ctc_cost``, ``blank_index``,
    ``loss`` (``ctc`` on pseudo-labels, or ``entropy``, which needs none),
    ``epoch_counter``, ``stopping`` (an ``EarlyStopping``), ``start_counts``,
    ``log`` (a ``EpochLog``), ``error_rate_computer``, ``cer_computer``;
    optionally ``lr_annealing`` (called after every step), ``wav_augment`` and
    ``fea_augment``.
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
        brain = cls(
            {"encoder": recogniser.mods.encoder}, hparams=hparams, **options
        )
        # Else the host would wrap the model, whose stages run one by one.
        brain.distributed_launch = False
        brain.recogniser = recogniser
        brain.update = update
        return brain

    def init_optimizers(self) -> None:
        """Only what the update lets learn."""
        self.optimizer = self.opt_class(list(self.update.parameters()))
        self.optimizers_dict = {"opt_class": self.optimizer}
        if self.checkpointer is not None:
            self.checkpointer.add_recoverable("optimizer", self.optimizer)

    # ------------------------------------------------------------ computing

    def compute_forward(
        self, batch: Any, stage: sb.Stage
    ) -> tuple[Tensor, Tensor]:
        """Recognise a batch.

        Arguments
        ---------
        batch : Any
            The batch, with ``sig``.
        stage : sb.Stage
            Training augments.

        Returns
        -------
        tuple of torch.Tensor
            Log-posteriors (batch, frames, tokens) and relative lengths
            (batch,).
        """
        return self._recognise(batch, stage == sb.Stage.TRAIN)

    def _recognise(self, batch: Any, augments: bool) -> tuple[Tensor, Tensor]:
        batch = batch.to(self.device)
        wavs, lengths = batch.sig
        if augments and hasattr(self.hparams, "wav_augment"):
            wavs, lengths = self.hparams.wav_augment(wavs, lengths)
        return self._encode(wavs, lengths, augments), lengths

    def _encode(self, x: Tensor, lengths: Tensor, augments: bool) -> Tensor:
        """The chain of the model directory, with features augmented."""

        def augment(stage: nn.Module, features: Tensor) -> Tensor:
            if not isinstance(stage, InputNormalization):
                return features
            return self.hparams.fea_augment(features, lengths)[0]

        augments = augments and hasattr(self.hparams, "fea_augment")
        then = augment if augments else None
        return run_stages(self.modules.encoder, x, lengths, then=then)

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

    # ------------------------------------------------------------- recognising

    def label(
        self, dataset: Any, views: int = 0, **loader_options: Any
    ) -> dict[str, PseudoLabel]:
        """Decode speech, and say how sure the model is.

        Arguments
        ---------
        dataset : DynamicItemDataset
            With ``id`` and ``sig``.
        views : int
            How many augmented views of every utterance are decoded as well.
            If there are any, the label is their ``consensus``; if not, its
            confidence is that of the posteriors (``utterance_confidence``).
        **loader_options
            Of the data loader.

        Returns
        -------
        dict of str to PseudoLabel
            By the utterance's name.

        Raises
        ------
        TrainingError
            If views would all be the same, as there is no augmentation, or
            the augmentation repeats utterances.
        """
        if views and not self._augments():
            raise TrainingError(
                f"With views={views}, but neither wav_augment nor fea_augment, "
                "all views of an utterance are the same; set views to 0, or "
                "add an augmentation."
            )
        plain = self._hear(dataset, loader_options)
        if not views:
            return plain
        others = [
            self._hear(dataset, loader_options, augments=True)
            for _ in tqdm(range(views), "views", disable=self.noprogressbar)
        ]
        return {
            name: consensus([one[name].tokens for one in (plain, *others)])
            for name in plain
        }

    def _augments(self) -> bool:
        names = ("wav_augment", "fea_augment")
        return any(hasattr(self.hparams, name) for name in names)

    def _hear(
        self,
        dataset: Any,
        loader_options: Mapping[str, Any],
        augments: bool = False,
    ) -> dict[str, PseudoLabel]:
        """One view of every utterance."""
        blank = self.hparams.blank_index
        heard: dict[str, PseudoLabel] = {}
        for batch, log_probs, lengths in self._decode(
            dataset, loader_options, augments
        ):
            if len(log_probs) != len(batch.id):
                raise TrainingError(
                    f"The augmentation makes {len(log_probs)} utterances of "
                    f"{len(batch.id)}; views need one of each: set "
                    "parallel_augment and concat_original to False."
                )
            tokens = self.recogniser.decoding_function(log_probs, lengths)
            sure = utterance_confidence(log_probs, lengths, blank).tolist()
            for name, one, confidence in zip(
                batch.id, tokens, sure, strict=True
            ):
                heard[name] = PseudoLabel([int(t) for t in one], confidence)
        return heard

    def count_errors(self, dataset: Any, **loader_options: Any) -> ErrorRates:
        """Recognise a labelled split.

        Arguments
        ---------
        dataset : DynamicItemDataset
            With ``id``, ``sig`` and ``wrd``.
        **loader_options
            Of the data loader.

        Returns
        -------
        ErrorRates
            Its word and character errors.
        """
        errors = ErrorRates(
            self.hparams.error_rate_computer(), self.hparams.cer_computer()
        )
        decode = self.recogniser.tokenizer.decode_ids
        for batch, log_probs, lengths in self._decode(dataset, loader_options):
            tokens = self.recogniser.decoding_function(log_probs, lengths)
            words = [decode(one).split() for one in tokens]
            errors.append(batch.id, words, [t.split() for t in batch.wrd])
        return errors

    @torch.no_grad()
    def _decode(
        self,
        dataset: Any,
        loader_options: Mapping[str, Any],
        augments: bool = False,
    ) -> Iterator[tuple[Any, Tensor, Tensor]]:
        loader = self.make_dataloader(
            dataset, sb.Stage.TEST, ckpt_prefix=None, **loader_options
        )
        self.modules.eval()
        for batch in loader:
            log_probs, lengths = self._recognise(batch, augments)
            yield batch, log_probs, lengths

    # --------------------------------------------------------------- stages

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

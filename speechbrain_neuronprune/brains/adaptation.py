"""The Brain that adapts a trained recogniser to speech without labels.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterator, Mapping
from typing import Any

import speechbrain as sb
import torch
from speechbrain.inference import EncoderASR
from speechbrain.processing.features import InputNormalization
from torch import Tensor

from speechbrain_neuronprune.adaptation.confidence import utterance_confidence
from speechbrain_neuronprune.adaptation.entropy import suta_loss
from speechbrain_neuronprune.adaptation.pseudo_labels import PseudoLabel
from speechbrain_neuronprune.error_rates import ErrorRates


class AdaptationASR(sb.Brain):
    """One stage of adaptation: an update, a loss, and when to stop.

    What learns is the business of ``update``, the handle that a selective
    update, a scaling or a full update returns; this Brain gives it speech and
    takes its best state. It is made by ``AdaptationASR.of``.

    Hyperparameters: ``ctc_cost``, ``blank_index``, ``loss`` (``ctc`` on
    pseudo-labels, or ``entropy``, which needs none), ``epoch_counter``,
    ``stopping`` (an ``EarlyStopping``), ``log`` (a ``EpochLog``),
    ``error_rate_computer``, ``cer_computer``; optionally ``wav_augment`` and
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
        """Log-posteriors (batch, frames, tokens) and relative lengths."""
        batch = batch.to(self.device)
        wavs, lengths = batch.sig
        learns = stage == sb.Stage.TRAIN
        if learns and hasattr(self.hparams, "wav_augment"):
            wavs, lengths = self.hparams.wav_augment(wavs, lengths)
        return self._encode(wavs, lengths, learns), lengths

    def _encode(self, x: Tensor, lengths: Tensor, learns: bool) -> Tensor:
        """The chain of the model directory, with features augmented."""
        chain = self.modules.encoder
        names = chain.lengths_arg_names
        for stage, name in zip(chain.values(), names, strict=True):
            x = stage(x) if name is None else stage(x, **{name: lengths})
            x = x[0] if isinstance(x, tuple) else x
            is_normal = isinstance(stage, InputNormalization)
            if learns and is_normal and hasattr(self.hparams, "fea_augment"):
                x, _ = self.hparams.fea_augment(x, lengths)
        return x

    def compute_objectives(
        self, predictions: tuple[Tensor, Tensor], batch: Any, stage: sb.Stage
    ) -> Tensor:
        """The stage's loss."""
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
        self, dataset: Any, **loader_options: Any
    ) -> dict[str, PseudoLabel]:
        """Decode speech, and say how sure the model is.

        Arguments
        ---------
        dataset : DynamicItemDataset
            With ``id`` and ``sig``.
        **loader_options
            Of the data loader.

        Returns
        -------
        dict of str to PseudoLabel
            By the utterance's name.
        """
        blank = self.hparams.blank_index
        return {
            name: PseudoLabel([int(token) for token in tokens], confidence)
            for batch, log_probs, lengths in self._decode(
                dataset, loader_options
            )
            for name, tokens, confidence in zip(
                batch.id,
                self.recogniser.decoding_function(log_probs, lengths),
                utterance_confidence(log_probs, lengths, blank).tolist(),
                strict=True,
            )
        }

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
        self, dataset: Any, loader_options: Mapping[str, Any]
    ) -> Iterator[tuple[Any, Tensor, Tensor]]:
        loader = self.make_dataloader(
            dataset, sb.Stage.TEST, ckpt_prefix=None, **loader_options
        )
        self.modules.eval()
        for batch in loader:
            log_probs, lengths = self.compute_forward(batch, sb.Stage.TEST)
            yield batch, log_probs, lengths

    # --------------------------------------------------------------- stages

    def on_stage_start(self, stage: sb.Stage, epoch: int | None = None) -> None:
        """The features keep the normalisation of the starting model."""
        for module in self.modules.modules():
            if isinstance(module, InputNormalization):
                module.eval()

    def on_stage_end(
        self, stage: sb.Stage, stage_loss: float, epoch: int | None = None
    ) -> None:
        """After an epoch: log, remember the best state, save."""
        if stage == sb.Stage.TRAIN:
            self.train_loss = stage_loss
        if stage != sb.Stage.VALID:
            return
        self.hparams.stopping.see(stage_loss, self.update.state_dict())
        losses = {"train": self.train_loss, "held_back": stage_loss}
        self.hparams.log.append(
            {
                "epoch": epoch,
                "step": self.optimizer_step,
                **{f"loss_{name}": value for name, value in losses.items()},
            }
        )
        if self.checkpointer is not None:
            self.checkpointer.save_and_keep_only(
                meta={"epoch": epoch}, num_to_keep=1
            )

    def on_fit_start(self) -> None:
        """Recover, then drop log lines of epochs that will run again."""
        super().on_fit_start()
        self.hparams.log.drop_after(self.hparams.epoch_counter.current)

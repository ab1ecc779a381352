"""The recipes' CTC recognisers.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import speechbrain as sb
from speechbrain.lobes.models.transformer.TransformerASR import (
    EncoderWrapper,
    TransformerASR,
)
from speechbrain.nnet.containers import LengthsCapableSequential
from torch import Tensor, nn

from speechbrain_neuronprune.brains.adaptive_dropout import (
    AdaptiveDropoutMixin,
)
from speechbrain_neuronprune.fast_layers import use_fast_layers
from speechbrain_neuronprune.processes import unwrapped
from speechbrain_neuronprune.training.batching import go_on, keep_length
from speechbrain_neuronprune.training.error_rates import ErrorRates


def as_stage(module: nn.Module) -> nn.Module:
    """A module as a stage of a chain: of a ``TransformerASR`` its encoder.

    Arguments
    ---------
    module : nn.Module
        A module of a recogniser.

    Returns
    -------
    nn.Module
        Called with (batch, time, features), or with relative lengths too.
    """
    is_transformer = isinstance(module, TransformerASR)
    return EncoderWrapper(module) if is_transformer else module


class CTCRecogniser(AdaptiveDropoutMixin, sb.Brain):
    """Features, a network, CTC: all but the network itself.

    Subclasses say which modules the network consists of, and how they follow
    each other. Other modules: ``normalize``. Hyperparameters:
    ``compute_features``, ``log_softmax``, ``ctc_cost``,
    ``decoding_function``, ``tokenizer``, ``lr_annealing``,
    ``epoch_counter``, ``train_logger``, ``error_rate_computer``,
    ``cer_computer``, ``number_of_checkpoints``; optionally ``wav_augment``,
    and ``fea_augment`` with the number of optimizer steps before it begins,
    ``fea_augment_after``, and ``tensorboard_logger``.

    Where there are gates, all of the network gets fast layers, see
    ``use_fast_layers``. A network without any stays SpeechBrain's own.
    """

    network: tuple[str, ...] = ()  # modules from features to posteriors
    interface = "EncoderASR"  # of speechbrain.inference, for the finished model

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if self.schedule is not None:
            for name, module in self.modules.items():
                if name in self.network and name != self.pruned_module:
                    use_fast_layers(module)

    def compute_forward(
        self, batch: Any, stage: sb.Stage
    ) -> tuple[Tensor, Tensor, list[list[int]] | None]:
        """Recognise a batch.

        Arguments
        ---------
        batch : Any
            The batch, with ``sig``.
        stage : sb.Stage
            Training augments; the other stages decode.

        Returns
        -------
        tuple
            Log-posteriors (batch, frames, tokens), relative lengths (batch,)
            and decoded token ids (None in training).
        """
        features, lengths = self.features(batch, stage)
        activations = self.activations(features, lengths)
        log_probs = self.hparams.log_softmax(activations)
        if stage == sb.Stage.TRAIN:
            return log_probs, lengths, None
        return log_probs, lengths, self.decode(log_probs, lengths)

    def compute_objectives(
        self, predictions: tuple, batch: Any, stage: sb.Stage
    ) -> Tensor:
        """The CTC loss; out of training also the word errors.

        Arguments
        ---------
        predictions : tuple
            What ``compute_forward`` gives.
        batch : Any
            The batch, with ``tokens``, and with ``wrd`` out of training.
        stage : sb.Stage
            Out of training, words and characters are counted.

        Returns
        -------
        torch.Tensor
            The loss, a scalar.
        """
        log_probs, lengths, hypotheses = predictions
        if stage != sb.Stage.TRAIN:
            self.errors.append(
                batch.id, self.words(hypotheses), self.references(batch)
            )
        tokens, token_lengths = self.labels(batch, stage)
        return self.hparams.ctc_cost(log_probs, tokens, lengths, token_lengths)

    def features(self, batch: Any, stage: sb.Stage) -> tuple[Tensor, Tensor]:
        """Compute normalised features, augmented in training.

        Arguments
        ---------
        batch : Any
            The batch, with ``sig``: waveforms and relative lengths.
        stage : sb.Stage
            Whether to augment.

        Returns
        -------
        tuple of torch.Tensor
            Features (batch, time, bands) and relative lengths (batch,).
        """
        batch = batch.to(self.device)
        wavs, lengths = batch.sig
        if self._augments(stage):
            wavs, lengths = self.hparams.wav_augment(wavs, lengths)
        features = self.hparams.compute_features(wavs)
        features = self.modules.normalize(
            features, lengths, epoch=self.hparams.epoch_counter.current
        )
        if stage == sb.Stage.TRAIN and self._masks_features:
            features, lengths = self.hparams.fea_augment(features, lengths)
        return features, lengths

    def labels(self, batch: Any, stage: sb.Stage) -> tuple[Tensor, Tensor]:
        """The labels of every utterance that ``features`` gives.

        Augmentation may have multiplied the utterances.

        Arguments
        ---------
        batch : Any
            The batch, with ``tokens``.
        stage : sb.Stage
            Whether ``features`` has augmented.

        Returns
        -------
        tuple of torch.Tensor
            Tokens (batch, tokens) and relative lengths (batch,).
        """
        if not self._augments(stage):
            return batch.tokens
        replicate = self.hparams.wav_augment.replicate_labels
        tokens, lengths = batch.tokens
        return replicate(tokens), replicate(lengths)

    def activations(self, features: Tensor, lengths: Tensor) -> Tensor:
        """What the network makes of features, before the softmax.

        Arguments
        ---------
        features : torch.Tensor
            (batch, time, bands).
        lengths : torch.Tensor
            Relative lengths, (batch,).

        Returns
        -------
        torch.Tensor
            (batch, frames, tokens).
        """
        raise NotImplementedError

    def chain(self, pruned: nn.Module) -> LengthsCapableSequential:
        """From waveforms to log-posteriors, as the model directory has it.

        Arguments
        ---------
        pruned : nn.Module
            What stands in place of the pruned module.

        Returns
        -------
        LengthsCapableSequential
            Called with waveforms (batch, samples) and, if there are several,
            relative lengths (batch,).
        """
        modules = {name: self.modules[name] for name in self.network}
        modules[self.pruned_module] = pruned
        return LengthsCapableSequential(
            compute_features=self.hparams.compute_features,
            normalize=self.modules.normalize,
            **{name: as_stage(module) for name, module in modules.items()},
            log_softmax=self.hparams.log_softmax,
        )

    def _augments(self, stage: sb.Stage) -> bool:
        return stage == sb.Stage.TRAIN and hasattr(self.hparams, "wav_augment")

    @property
    def _masks_features(self) -> bool:
        """Whether SpecAugment has begun; it would lengthen the plateau."""
        begin = getattr(self.hparams, "fea_augment_after", 0)
        has_begun = self.optimizer_step >= begin
        return has_begun and hasattr(self.hparams, "fea_augment")

    # ------------------------------------------------------------- decoding

    def decode(self, log_probs: Tensor, lengths: Tensor) -> list[list[int]]:
        """Token ids of every utterance.

        Arguments
        ---------
        log_probs : torch.Tensor
            Log-posteriors, (batch, frames, tokens).
        lengths : torch.Tensor
            Relative lengths, (batch,).

        Returns
        -------
        list of list of int
            By utterance.
        """
        return self.hparams.decoding_function(log_probs, lengths)

    def words(self, hypotheses: list[list[int]]) -> list[list[str]]:
        """Words of decoded token ids.

        Arguments
        ---------
        hypotheses : list of list of int
            Token ids, by utterance.

        Returns
        -------
        list of list of str
            Words, by utterance.
        """
        decode = self.hparams.tokenizer.decode_ids
        return [decode(tokens).split() for tokens in hypotheses]

    @staticmethod
    def references(batch: Any) -> list[list[str]]:
        """The words that were spoken.

        Arguments
        ---------
        batch : Any
            The batch, with ``wrd``.

        Returns
        -------
        list of list of str
            Words, by utterance.
        """
        return [text.split() for text in batch.wrd]

    @contextlib.contextmanager
    def replaced(self, pruned: nn.Module) -> Iterator[None]:
        """Compute with another network in place of the pruned module, in a
        block.

        Arguments
        ---------
        pruned : nn.Module
            The other network; it is moved to the device and put in evaluation
            mode.
        """
        original = self.modules[self.pruned_module]
        self.modules[self.pruned_module] = pruned.to(self.device).eval()
        try:
            yield
        finally:
            self.modules[self.pruned_module] = original

    # --------------------------------------------------------------- stages

    def fit(self, *arguments: Any, **options: Any) -> None:
        """Learn, as ``Brain.fit`` does. Then take the modules out of their
        distributed wrappers, in which no process could compute alone."""
        super().fit(*arguments, **options)
        for name, module in self.modules.items():
            self.modules[name] = unwrapped(module)

    def on_fit_start(self) -> None:
        """Recover, and go on within an epoch that was interrupted."""
        keep_length(self)
        super().on_fit_start()
        go_on(self)

    def on_fit_batch_start(self, batch: Any, should_step: bool) -> None:
        """Anneal the model's learning rate; the logits keep theirs."""
        if should_step:
            self.hparams.lr_annealing(self.optimizer)

    def on_stage_start(self, stage: sb.Stage, epoch: int | None = None) -> None:
        """Start counting errors."""
        if stage != sb.Stage.TRAIN:
            self.errors = self.error_rates()

    def error_rates(self) -> ErrorRates:
        """Counters of word and character errors, at zero.

        Returns
        -------
        ErrorRates
            New ones.
        """
        return ErrorRates(
            self.hparams.error_rate_computer(), self.hparams.cer_computer()
        )

    def valid_figures(self) -> dict[str, float]:
        """The error rates of the development split.

        Returns
        -------
        dict of str to float
            ``valid_wer`` and ``valid_cer``, in per cent.
        """
        return {"valid_wer": self.errors.wer, "valid_cer": self.errors.cer}

    def on_stage_end(
        self, stage: sb.Stage, stage_loss: float, epoch: int | None = None
    ) -> None:
        """Log, and save a checkpoint after every epoch."""
        super().on_stage_end(stage, stage_loss, epoch)
        if stage != sb.Stage.VALID:
            return
        wer = self.errors.wer
        stats = {
            "stats_meta": {
                "epoch": epoch,
                "steps": self.optimizer_step,
                "lr": self.optimizer.param_groups[0]["lr"],
                **self.retention_stats(),
            },
            "train_stats": {"loss": self.train_loss},
            "valid_stats": {
                "loss": stage_loss,
                "CER": self.errors.cer,
                "WER": wer,
            },
        }
        for name in ("train_logger", "tensorboard_logger"):
            if hasattr(self.hparams, name):
                getattr(self.hparams, name).log_stats(**stats)
        self.checkpointer.save_and_keep_only(
            meta={"epoch": epoch, "WER": wer, "final_phase": self.final_phase},
            num_to_keep=self.hparams.number_of_checkpoints,
            ckpt_predicate=lambda checkpoint: checkpoint.meta["end-of-epoch"],
        )


class AdaptiveDropoutASR(CTCRecogniser):
    """A Conformer: convolutions, encoder, output layer.

    Modules: ``CNN``, ``Transformer`` (a ``TransformerASR`` without decoder),
    ``ctc_lin``.
    """

    network = ("CNN", "Transformer", "ctc_lin")
    pruned_module = "Transformer"

    def activations(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Convolutions, encoder, output layer."""
        hidden = self.modules.CNN(features)
        # forward, not encode: a distributed wrapper knows only the former
        encoded, _ = self.modules.Transformer(hidden, None, lengths)
        return self.modules.ctc_lin(encoded)


class AcousticModelASR(CTCRecogniser):
    """Any network that maps features to activations of the output layer.

    Modules: ``acoustic_model``, which takes features and relative lengths,
    for instance a ``TimeFrequencyCNN``, or a ``LengthsCapableSequential`` of
    SpeechBrain's ``CRDNN`` and an output layer.
    """

    network = ("acoustic_model",)
    pruned_module = "acoustic_model"

    def activations(self, features: Tensor, lengths: Tensor) -> Tensor:
        """All in one module."""
        return self.modules.acoustic_model(features, lengths)

"""The Brain that decodes with a recogniser from a model directory.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterator, Mapping
from typing import Any

import speechbrain as sb
import torch
from speechbrain.inference import EncoderASR
from speechbrain.processing.features import InputNormalization
from torch import Tensor, nn
from tqdm import tqdm

from speechbrain_neuronprune.adaptation.confidence import utterance_confidence
from speechbrain_neuronprune.adaptation.consensus import consensus
from speechbrain_neuronprune.adaptation.pseudo_labels import PseudoLabel
from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.training.error_rates import ErrorRates
from speechbrain_neuronprune.units.stagewise import run_stages


class DecodingASR(sb.Brain):
    """Labels speech, and counts the errors in speech that is labelled.

    Hyperparameters: ``blank_index``; ``error_rate_computer`` and
    ``cer_computer`` where errors are counted; optionally ``wav_augment`` and
    ``fea_augment``.

    Arguments
    ---------
    recogniser : EncoderASR
        The model, from its directory.
    hparams : mapping
        See above.
    **options
        Further arguments of ``Brain``, for instance ``run_opts``.
    """

    def __init__(
        self,
        recogniser: EncoderASR,
        hparams: Mapping[str, Any],
        **options: Any,
    ) -> None:
        modules = {"encoder": recogniser.mods.encoder}
        super().__init__(modules, hparams=hparams, **options)
        # Else the host would wrap the model, whose stages run one by one.
        self.distributed_launch = False
        self.recogniser = recogniser

    def print_trainable_parameters(self) -> None:
        """Nothing: the recogniser is frozen, and what learns is not of it."""

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

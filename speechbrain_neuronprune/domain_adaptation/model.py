"""The model that adapts: it hears speech, and it can be taught.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataloader import SaveableDataLoader
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.inference import EncoderASR
from torch import Tensor

from speechbrain_neuronprune.adaptation.pseudo_labels import PseudoLabel
from speechbrain_neuronprune.brains.adaptation import AdaptationASR
from speechbrain_neuronprune.brains.decoding import DecodingASR
from speechbrain_neuronprune.training.dataio import Rows, speech_dataset


@dataclass(frozen=True)
class AdaptingModel:
    """A recogniser, with the settings by which it hears and learns.

    Arguments
    ---------
    recogniser : EncoderASR
        The model, as it is at the moment.
    hparams : mapping
        See ``hparams/adapt_hyper_hypo.yaml``.
    run_opts : mapping
        Of the Brain; they go before the hyperparameters.
    read : callable
        Path to waveform.
    """

    recogniser: EncoderASR
    hparams: Mapping[str, Any]
    run_opts: Mapping[str, Any]
    read: Callable[[str], Tensor]

    # -------------------------------------------------------------- hearing

    def count_errors(self, rows: Rows) -> dict[str, Any]:
        """Recognise labelled speech.

        Arguments
        ---------
        rows : dict
            Utterance to row.

        Returns
        -------
        dict of str to Any
            As ``ErrorRates.as_dict`` gives them.
        """
        data = self.dataset(rows)
        return self._decoder().count_errors(data, **self.loader).as_dict()

    def label(self, rows: Rows, views: int = 0) -> dict[str, PseudoLabel]:
        """Say what is heard, and how surely.

        Arguments
        ---------
        rows : dict
            Utterance to row.
        views : int
            How many augmented views are decoded as well.

        Returns
        -------
        dict of str to PseudoLabel
            By utterance.
        """
        return self._decoder().label(self.dataset(rows), views, **self.loader)

    def _decoder(self) -> DecodingASR:
        return DecodingASR(
            self.recogniser, self.hparams, run_opts=dict(self.run_opts)
        )

    # ------------------------------------------------------------- learning

    def learner(
        self, update: Any, hparams: Mapping[str, Any], **options: Any
    ) -> AdaptationASR:
        """The Brain that teaches the model.

        Arguments
        ---------
        update : Adaptation or FullUpdate
            What learns.
        hparams : mapping
            What the Brain needs besides those of the yaml.
        **options
            As for ``AdaptationASR.of``.

        Returns
        -------
        AdaptationASR
            Ready for ``fit``.
        """
        return AdaptationASR.of(
            self.recogniser,
            update,
            {**self.hparams, **hparams},
            run_opts=dict(self.run_opts),
            **options,
        )

    def option(self, name: str, default: Any) -> Any:
        """What a Brain will take for one of its options.

        Arguments
        ---------
        name : str
            The option.
        default : Any
            The host's.

        Returns
        -------
        Any
            Its value.
        """
        return {**self.hparams, **self.run_opts}.get(name, default)

    @property
    def accumulated(self) -> int:
        """How many batches a Brain takes for a step."""
        return self.option("grad_accumulation_factor", 1)

    # -------------------------------------------------------------- reading

    @property
    def loader(self) -> dict[str, Any]:
        """Options of the data loader where nothing is learned."""
        return self.hparams["valid_dataloader_opts"]

    def dataset(self, rows: Rows) -> DynamicItemDataset:
        """Speech for a Brain, see ``speech_dataset``.

        Arguments
        ---------
        rows : dict
            Utterance to row.

        Returns
        -------
        DynamicItemDataset
            The longest utterances first.
        """
        return speech_dataset(rows, self.read)

    def waveforms(self, rows: Rows) -> Iterator[tuple[Tensor, Tensor]]:
        """Speech in batches.

        Arguments
        ---------
        rows : dict
            Utterance to row.

        Yields
        ------
        tuple of torch.Tensor
            Waveforms (batch, samples) and relative lengths (batch,).
        """
        loader = SaveableDataLoader(
            self.dataset(rows), collate_fn=PaddedBatch, **self.loader
        )
        for batch in loader:
            yield tuple(batch.sig)

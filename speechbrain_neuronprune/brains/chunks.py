"""A Conformer that learns to hear chunk by chunk.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import speechbrain as sb
from torch import Tensor

from speechbrain_neuronprune.brains.recogniser import AdaptiveDropoutASR
from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.processes import process_count


class ChunkedASR(AdaptiveDropoutASR):
    """A Conformer that is trained with SpeechBrain's dynamic chunks, for
    ``StreamingASR``.

    It has one more hyperparameter, ``dynchunktrain_config_sampler``, which
    draws the chunks of a training batch and says those of an evaluation.
    """

    def on_fit_start(self) -> None:
        """Refuse several processes.

        Raises
        ------
        TrainingError
            If there are several.
        """
        if process_count() > 1:
            raise TrainingError(
                "ChunkedASR cannot train in several processes: a distributed "
                "wrapper knows only the forward of SpeechBrain's "
                "TransformerASR, which takes no chunks. Train in one process, "
                "with --grad_accumulation_factor for larger steps."
            )
        super().on_fit_start()

    def activations(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Convolutions, encoder with chunks, output layer."""
        training = self.modules.training
        stage = sb.Stage.TRAIN if training else sb.Stage.TEST
        encoded = self.modules.Transformer.encode(
            self.modules.CNN(features),
            lengths,
            dynchunktrain_config=self.hparams.dynchunktrain_config_sampler(
                stage
            ),
        )
        return self.modules.ctc_lin(encoded)

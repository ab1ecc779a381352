"""What passed one tap in one batch, as the hooks saw it.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from dataclasses import dataclass

from torch import Tensor

from speechbrain_neuronprune.errors import SaliencyError
from speechbrain_neuronprune.saliency.batches import Batch
from speechbrain_neuronprune.saliency.positions import Positions
from speechbrain_neuronprune.saliency.taps import Tap


@dataclass(eq=False)
class Passage:
    """What passed one tap in one batch, padding included.

    Arguments
    ---------
    tap : Tap
        Where.
    batch : Batch
        The batch that the model is working on.
    inputs : torch.Tensor
        The producer's input.
    units : torch.Tensor
        The consumer's input.
    gradient : torch.Tensor, optional
        Of a loss, by ``units``.
    """

    tap: Tap
    batch: Batch
    inputs: Tensor
    units: Tensor
    gradient: Tensor | None = None

    def speech(self, stride: int = 1) -> list[Positions]:
        """Where speech is in the tensors, for a few utterances at a time.

        Arguments
        ---------
        stride : int
            Of so many frames one will be looked at.

        Returns
        -------
        list of Positions
            One for a few utterances each.

        Raises
        ------
        SaliencyError
            If they do not look like a batch of utterances.
        """
        shape = self.units.shape[:-1]
        turned = shape[::-1] if self.tap.time_first else shape
        if len(turned) not in (1, 2) or turned[0] != len(self.batch.x):
            raise SaliencyError(
                f"Group {self.tap.name} sees a tensor of shape "
                f"{tuple(self.units.shape)} in a batch of "
                f"{len(self.batch.x)} utterances, not (batch, time, "
                "features); leave the group out with targets=."
            )
        self._refuse_tokens()
        return self.batch.speech(
            shape, self.tap.time_first, self.units.device, stride
        )

    def _refuse_tokens(self) -> None:
        """The lengths are of speech, those of tokens are not known here."""
        lengths = self.batch.lengths
        if not self.tap.of_tokens or lengths is None or lengths.min() == 1:
            return
        raise SaliencyError(
            f"Group {self.tap.name} is in a decoder and sees tokens, of which "
            "the lengths of the speech do not say where they end; leave the "
            "group out with targets=, or give one utterance at a time."
        )

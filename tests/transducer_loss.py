"""The transducer loss on a CPU, in place of SpeechBrain's, which needs CUDA.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from torch import Tensor
from torchaudio.functional import rnnt_loss


def transducer_loss(
    logits: Tensor,
    targets: Tensor,
    input_lens: Tensor,
    target_lens: Tensor,
    blank_index: int,
    reduction: str = "mean",
) -> Tensor:
    """As ``speechbrain.nnet.losses.transducer_loss``, with relative lengths."""
    return rnnt_loss(
        logits,
        targets.int(),
        (input_lens * logits.shape[1]).round().int(),
        (target_lens * targets.shape[1]).round().int(),
        blank=blank_index,
        reduction=reduction,
    )

"""Which frames of a batch are spoken.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from torch import Tensor

from speechbrain_neuronprune.padding import frames_of


def spoken_frames(
    log_probs: Tensor, lengths: Tensor, blank_index: int
) -> Tensor:
    """The frames that are no padding and whose likeliest class is no blank.

    Arguments
    ---------
    log_probs : torch.Tensor
        Log-posteriors, (batch, time, classes).
    lengths : torch.Tensor
        Relative lengths, (batch,).
    blank_index : int
        The class of the CTC blank; if negative, counted from the end.

    Returns
    -------
    torch.Tensor
        Bool (batch, time).

    Example
    -------
    >>> import torch
    >>> probs = torch.tensor([[[0.9, 0.1], [0.2, 0.8], [0.2, 0.8]]])
    >>> spoken_frames(probs.log(), torch.tensor([0.67]), blank_index=0)
    tensor([[False,  True, False]])
    """
    if blank_index < 0:
        blank_index += log_probs.shape[-1]
    spoken = log_probs.argmax(dim=-1) != blank_index
    return spoken & frames_of(log_probs, lengths)

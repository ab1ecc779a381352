"""Which frames of a padded batch are speech.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch
from torch import Tensor


def valid_frames(
    lengths: Tensor | None,
    rows: int,
    frames: int,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Which frames of a padded batch are speech.

    As everywhere in SpeechBrain, an utterance of relative length r has
    round(r * frames) frames, at every layer's own frame rate.

    Arguments
    ---------
    lengths : torch.Tensor or None
        Relative lengths, (rows,); None if nothing is padded.
    rows : int
        Number of utterances.
    frames : int
        Number of frames of the padded batch.
    device : torch.device or str
        Where the mask shall be.

    Returns
    -------
    torch.Tensor
        Bool, (rows, frames).

    Example
    -------
    >>> valid_frames(torch.tensor([1.0, 0.5]), 2, 4)
    tensor([[ True,  True,  True,  True],
            [ True,  True, False, False]])
    """
    if lengths is None:
        return torch.ones(rows, frames, dtype=torch.bool, device=device)
    # Not the host's length_to_mask, which fixes the batch size of an export.
    ends = (lengths * frames).round().to(device)
    return torch.arange(frames, device=device) < ends.unsqueeze(1)


def frames_of(batch: Tensor, lengths: Tensor | None) -> Tensor:
    """The frames of a batch that are no padding.

    Arguments
    ---------
    batch : torch.Tensor
        Features or posteriors, (rows, frames, ...).
    lengths : torch.Tensor or None
        Relative lengths, (rows,); None if nothing is padded.

    Returns
    -------
    torch.Tensor
        Bool, (rows, frames).

    Example
    -------
    >>> frames_of(torch.zeros(2, 3, 80), torch.tensor([1.0, 0.34])).sum(1)
    tensor([3, 1])
    """
    return valid_frames(lengths, *batch.shape[:2], batch.device)

"""Batches of speech, and which of their frames are speech.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from speechbrain.dataio.dataio import length_to_mask
from torch import Tensor

from speechbrain_neuronprune.errors import SaliencyError

Batches = Iterable[Tensor | tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Batch:
    """One batch of utterances.

    Arguments
    ---------
    index : int
        Its place in the stream.
    x : torch.Tensor
        The model's input, (batch, time, features) or (batch, features).
    lengths : torch.Tensor or None
        Relative lengths (batch,), 1 being the longest; None if nothing is
        padded.
    """

    index: int
    x: Tensor
    lengths: Tensor | None


def read_batches(
    batches: Batches, device: torch.device | str = "cpu"
) -> Iterator[Batch]:
    """Check what a user's iterable yields, and bring it to the model.

    Arguments
    ---------
    batches : iterable
        Yields input tensors, or pairs of input tensor and relative lengths.
    device : torch.device or str
        Where the model is.

    Yields
    ------
    Batch
        One after the other.

    Raises
    ------
    SaliencyError
        If something else comes, or a length is outside of (0, 1].

    Example
    -------
    >>> [batch] = read_batches([(torch.zeros(2, 7, 3), torch.ones(2))])
    >>> batch.x.shape, batch.lengths
    (torch.Size([2, 7, 3]), tensor([1., 1.]))
    """
    for index, batch in enumerate(batches):
        if torch.is_tensor(batch):
            x, lengths = batch, None
        else:
            x, lengths = _pair(batch, index)
            lengths = _relative(lengths, len(x), index).to(device)
        yield Batch(index, x.detach().to(device), lengths)


def _pair(batch: Any, index: int) -> tuple[Tensor, Tensor]:
    is_pair = isinstance(batch, tuple | list) and len(batch) == 2
    if not is_pair or not all(torch.is_tensor(part) for part in batch):
        raise SaliencyError(
            f"Batch {index} is a {type(batch).__name__}; batches must be "
            "input tensors (batch, time, features) or pairs (tensor, relative "
            "lengths)."
        )
    return batch[0], batch[1]


def _relative(lengths: Tensor, size: int, index: int) -> Tensor:
    """SpeechBrain multiplies in float32, which decides what is rounded up."""
    lengths = lengths.float()
    fits = lengths.shape == (size,)
    if not fits or not ((lengths > 0) & (lengths <= 1)).all():
        raise SaliencyError(
            f"The lengths of batch {index} are {lengths.tolist()} for {size} "
            "utterances; give one relative length in (0, 1] per utterance."
        )
    return lengths


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
    return length_to_mask((lengths * frames).round(), frames).bool().to(device)

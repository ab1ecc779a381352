"""Batches of speech: what may come, and parts of them.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from speechbrain_neuronprune.errors import SaliencyError
from speechbrain_neuronprune.saliency.positions import Positions, find_speech

Batches = Iterable[Tensor | tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Batch:
    """One batch of utterances.

    Arguments
    ---------
    index : int
        Its place in the stream.
    x : torch.Tensor
        The model's input, (batch, time, features), (batch, samples) or
        (batch, features).
    lengths : torch.Tensor or None
        Relative lengths (batch,), 1 being the longest; None if nothing is
        padded.
    first : int
        How many utterances the stream had before; not counted in parts of
        a batch.
    """

    index: int
    x: Tensor
    lengths: Tensor | None
    first: int = 0
    _speech: dict[tuple, list[Positions]] = field(
        default_factory=dict, init=False, repr=False
    )

    def speech(self, *layer: Any) -> list[Positions]:
        """What ``find_speech`` says about a layer.

        Layers of the same shape share the answer.

        Arguments
        ---------
        *layer : Any
            The arguments of ``find_speech``, all but the lengths.

        Returns
        -------
        list of Positions
            For a few utterances at a time.
        """
        if layer not in self._speech:
            self._speech[layer] = find_speech(self.lengths, *layer)
        return self._speech[layer]

    def split(self, stride: int) -> tuple["Batch | None", "Batch | None"]:
        """Split the batch into one of every so many utterances, and the
        others.

        Counting goes over the whole stream; its first utterance is chosen.

        Arguments
        ---------
        stride : int
            Of so many utterances one is chosen.

        Returns
        -------
        tuple of Batch or None
            The chosen ones and the others; None where there are none here.

        Example
        -------
        >>> batch = Batch(1, torch.arange(4.0), lengths=None, first=3)
        >>> chosen, others = batch.split(3)
        >>> chosen.x, others.x  # the stream's numbers 3 and 6, 4 and 5
        (tensor([0., 3.]), tensor([1., 2.]))
        """
        numbers = self.first + torch.arange(len(self.x), device=self.x.device)
        chosen = numbers % stride == 0
        return self._part(chosen), self._part(~chosen)

    def _part(self, chosen: Tensor) -> "Batch | None":
        if not chosen.any():
            return None
        if chosen.all():
            return self
        x = self.x[chosen]
        if self.lengths is None:
            return Batch(self.index, x, None)
        return Batch(self.index, *_longest_is_one(x, self.lengths[chosen]))


def _longest_is_one(x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Cut off what is padding in all utterances, frames or samples: models
    may rely on it, as SpeechBrain's RNNs do."""
    if lengths.max() == 1:
        return x, lengths
    frames = (lengths * x.shape[1]).round()
    longest = max(int(frames.max()), 1)
    return x[:, :longest], frames / longest


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
    first = 0
    for index, batch in enumerate(batches):
        if torch.is_tensor(batch):
            x, lengths = batch, None
        else:
            x, lengths = _pair(batch, index)
            lengths = _relative(lengths, len(x), index).to(device)
        yield Batch(index, x.detach().to(device), lengths, first)
        first += len(x)


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

"""Which rows of a layer's tensors are frames of speech.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from speechbrain_neuronprune.padding import valid_frames

FRAMES_AT_ONCE = 4096  # on a CPU, see find_speech

T = TypeVar("T")


class Positions:
    """Where the speech of some utterances is in a layer's tensors.

    Frames of one utterance stand after those of another, without padding.

    Arguments
    ---------
    valid : torch.Tensor
        Which frames of them are speech, (utterances, time), bool.
    utterances : int
        How many utterances there are with all others in the batch.
    first : int
        The first of these, among all.
    time_first : bool
        The layer's tensors are (time, batch, features).

    Attributes
    ----------
    utterances : torch.Tensor
        Which utterance each of these frames belongs to, (frames,).
    times : torch.Tensor
        Its place t there, (frames,).
    shape : tuple of int
        Number of utterances, and how many frames they can have.

    Example
    -------
    >>> valid = torch.tensor([[True, True, False], [True, True, True]])
    >>> positions = Positions(valid, utterances=2)
    >>> positions.utterances, positions.times
    (tensor([0, 0, 1, 1, 1]), tensor([0, 1, 0, 1, 2]))
    >>> positions.rows_of(torch.zeros(2, 3, 80))[1]
    tensor([0, 1, 3, 4, 5])
    """

    def __init__(
        self,
        valid: Tensor,
        utterances: int,
        first: int = 0,
        time_first: bool = False,
    ) -> None:
        self.utterances, self.times = valid.nonzero(as_tuple=True)
        self.shape = tuple(valid.shape)
        self.all_utterances = utterances
        self.first = first
        self.time_first = time_first
        self._known: dict[Any, Any] = {}

    def __len__(self) -> int:
        """How many frames are speech."""
        return len(self.times)

    def rows_of(self, passed: Tensor) -> tuple[Tensor, Tensor]:
        """The rows of a layer's tensor, without a copy if that can be.

        A layer that sees (time, batch) may get a view of (batch, time).

        Arguments
        ---------
        passed : torch.Tensor
            The layer's tensor, of the whole batch, (batch, time, features) or
            (time, batch, features).

        Returns
        -------
        tuple of torch.Tensor
            The rows, (rows, features), and which of them are speech, long
            (frames,).
        """
        turned = self.time_first and passed.transpose(0, 1).is_contiguous()
        if turned:
            passed = passed.transpose(0, 1)
        by_time = self.time_first and not turned
        return passed.flatten(0, -2), self._rows(by_time)

    def _rows(self, by_time: bool) -> Tensor:
        def find() -> Tensor:
            utterances = self.first + self.utterances
            if by_time:
                return self.times * self.all_utterances + utterances
            return utterances * self.shape[1] + self.times

        return self.once(("rows", by_time), find)

    def block(self, passed: Tensor) -> Tensor:
        """What a layer's tensor has of these utterances, padding included.

        Arguments
        ---------
        passed : torch.Tensor
            The layer's tensor, of the whole batch.

        Returns
        -------
        torch.Tensor
            A view.
        """
        axis = 1 if self.time_first else 0
        return passed.narrow(axis, self.first, self.shape[0])

    def spread(self, weights: Tensor) -> Tensor:
        """Weights of the frames as weights of all rows of the block.

        Arguments
        ---------
        weights : torch.Tensor
            (frames,).

        Returns
        -------
        torch.Tensor
            (rows,); those of padding are zero.
        """
        utterances, frames = self.shape

        def find() -> Tensor:
            if self.time_first:
                return self.times * utterances + self.utterances
            return self.utterances * frames + self.times

        rows = self.once("rows of the block", find)
        zeros = weights.new_zeros(utterances * frames)
        return zeros.index_copy_(0, rows, weights)

    @cached_property
    def lengths(self) -> Tensor:
        """How many frames the utterance of every frame has, (frames,)."""
        return self.utterances.bincount()[self.utterances]

    def every(self, stride: int) -> Tensor:
        """Which of the frames are the middle ones of every ``stride`` frames
        of their utterance; one of an utterance that is shorter.

        The first ones would not do: an utterance's first frame is like no
        other, and would count for all frames around it.

        Arguments
        ---------
        stride : int
            Of so many frames one is taken.

        Returns
        -------
        torch.Tensor
            Long, their numbers among the frames.
        """

        def find() -> Tensor:
            middle = (self.lengths.clamp(max=stride) - 1) // 2
            return (self.times % stride == middle).nonzero().squeeze(1)

        return self.once(("every", stride), find)

    def once(self, key: Any, find: Callable[[], T]) -> T:
        """What is found out about these frames, once for all layers that share
        them.

        Arguments
        ---------
        key : Any
            What it is kept by.
        find : callable
            Finds it out, when it is first asked for.

        Returns
        -------
        Any
            What ``find`` returned.
        """
        if key not in self._known:
            self._known[key] = find()
        return self._known[key]


def find_speech(
    lengths: Tensor | None,
    shape: tuple[int, ...],
    time_first: bool = False,
    device: torch.device | str = "cpu",
    stride: int = 1,
) -> list[Positions]:
    """Find the speech in a layer's tensors.

    Arguments
    ---------
    lengths : torch.Tensor or None
        Relative lengths, (batch,); None if nothing is padded.
    shape : tuple of int
        Of the tensors but for the features: (batch, time), or (batch,),
        where every row is an utterance of one frame.
    time_first : bool
        The shape is (time, batch).
    device : torch.device or str
        Where the tensors are.
    stride : int
        Of so many frames one will be looked at.

    Returns
    -------
    list of Positions
        For a few utterances at a time: on a CPU what is made of their frames
        shall stay in the cache, and in memory that is used again and again.
        All at once on other devices. Without those that have no speech.

    Example
    -------
    >>> [positions] = find_speech(torch.tensor([0.5, 1.0]), (2, 4))
    >>> positions.utterances, positions.times
    (tensor([0, 0, 1, 1, 1, 1]), tensor([0, 1, 0, 1, 2, 3]))
    """
    if len(shape) == 1:
        shape, lengths, time_first = (*shape, 1), None, False
    utterances, frames = shape[::-1] if time_first else shape
    valid = valid_frames(lengths, utterances, frames, device)
    few = max(utterances, 1)
    if valid.device.type == "cpu":
        few = max(FRAMES_AT_ONCE * stride // max(frames, 1), 1)
    parts = [
        Positions(valid[first : first + few], utterances, first, time_first)
        for first in range(0, utterances, few)
    ]
    return [part for part in parts if len(part)]

"""The frames of speech that passed a tap, seen the way criteria need them.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from speechbrain_neuronprune.errors import SaliencyError
from speechbrain_neuronprune.saliency.batches import Positions
from speechbrain_neuronprune.saliency.passage import Passage
from speechbrain_neuronprune.saliency.windows import (
    window_sums,
    windows_around,
)


class Frames:
    """The frames of some utterances at one tap.

    They stand one after another, without padding, in the model's precision,
    but at least float32. Everything is computed when first asked for, and
    then shared by all criteria.

    Arguments
    ---------
    passage : Passage
        What passed the tap.
    positions : Positions
        Where the frames are in its tensors.
    window : int
        Frames in the time window, q.
    """

    def __init__(
        self, passage: Passage, positions: Positions, window: int
    ) -> None:
        self.passage = passage
        self.positions = positions
        self.window = window
        self._few: dict[int, FewFrames] = {}

    def __len__(self) -> int:
        """T, how many frames there are."""
        return len(self.positions)

    def every(self, stride: int) -> "Frames":
        """The middle one of every ``stride`` frames of an utterance, for
        criteria that need not see all; windows still take all frames."""
        if stride == 1:
            return self
        if stride not in self._few:
            # Not made of self: a circle of references would keep the
            # activations in memory until Python looks for such.
            self._few[stride] = FewFrames(
                self.passage, self.positions, self.window, stride
            )
        return self._few[stride]

    @cached_property
    def inputs(self) -> Tensor:
        """x_{p,l-1}[t], (frames, inputs)."""
        return self._speech(self.passage.inputs)

    @cached_property
    def units(self) -> Tensor:
        """x_{n,l}[t], (frames, units)."""
        return self._speech(self.passage.units)

    @cached_property
    def magnitudes(self) -> Tensor:
        """``|x_{n,l}[t]|``, (frames, units)."""
        return self.units.abs()

    @cached_property
    def gradient(self) -> Tensor:
        """dL / dx_{n,l}[t], (frames, units)."""
        if self.passage.gradient is None:  # the loss does not depend on it
            return torch.zeros_like(self.units)
        return self._speech(self.passage.gradient)

    @cached_property
    def window_sums(self) -> Tensor:
        """sum_k x_{p,l-1}[t + k], (frames, inputs)."""
        return window_sums(self.inputs, self.positions, self.window)

    @cached_property
    def window_sizes(self) -> Tensor:
        """K_t, frames of the window at t that are in the utterance,
        (frames,)."""
        ones = self.inputs.new_ones(len(self), 1)
        return window_sums(ones, self.positions, self.window).squeeze(1)

    def refuse(self) -> None:
        """Say why sums over these frames are not finite.

        Raises
        ------
        SaliencyError
            Always.
        """
        group, batch = self.passage.tap.name, self.passage.batch.index
        for what, values in (
            ("activations", self.units),
            ("inputs", self.inputs),
            ("gradients", self.gradient),
        ):
            if not torch.isfinite(values).all():
                raise SaliencyError(
                    f"The {what} of group {group} contain NaN or infinity in "
                    f"batch {batch}; check that batch's speech and the "
                    "model's weights."
                )
        raise SaliencyError(
            f"Sums over the activations of group {group} overflow "
            f"{self.units.dtype} in batch {batch}; check that batch's speech "
            "and the model's weights."
        )

    @property
    def rows(self) -> Tensor:
        """Where the frames are in what passed, (frames,)."""
        return self.positions.rows

    def _speech(self, passed: Tensor) -> Tensor:
        return pick(passed, self.rows)


def pick(passed: Tensor, rows: Tensor) -> Tensor:
    """Some rows of what passed, in its own precision or, if that is less, in
    float32.

    Arguments
    ---------
    passed : torch.Tensor
        (..., features).
    rows : torch.Tensor
        Numbers of rows, counted over all axes but the features.

    Returns
    -------
    torch.Tensor
        (rows, features).

    Example
    -------
    >>> pick(torch.arange(6.0).view(1, 3, 2).half(), torch.tensor([2, 0]))
    tensor([[4., 5.],
            [0., 1.]])
    """
    chosen = passed.detach().flatten(0, -2).index_select(0, rows)
    return chosen.to(torch.promote_types(passed.dtype, torch.float32))


class FewFrames(Frames):
    """Some of the frames, with the same windows around them.

    Of the frames between them nothing is computed but what their windows
    need.

    Arguments
    ---------
    passage, positions, window
        As for ``Frames``.
    stride : int
        The middle one of so many frames of an utterance is taken.
    """

    def __init__(
        self, passage: Passage, positions: Positions, window: int, stride: int
    ) -> None:
        super().__init__(passage, positions, window)
        self.at = positions.every(stride)

    def __len__(self) -> int:
        """How many frames are taken."""
        return len(self.at)

    @property
    def rows(self) -> Tensor:
        """Where the frames are in what passed, (frames,)."""
        return self.positions.rows[self.at]

    @cached_property
    def window_sums(self) -> Tensor:
        """sum_k x_{p,l-1}[t + k], (frames, inputs)."""
        if self._overlap:
            return self._whole().window_sums[self.at]
        frames, sizes = self._windows
        inputs = pick(self.passage.inputs, self.positions.rows[frames])
        places = torch.arange(len(frames), device=frames.device)
        starts = sizes.cumsum(0) - sizes
        return F.embedding_bag(places, inputs, starts, mode="sum")

    @cached_property
    def window_sizes(self) -> Tensor:
        """K_t, frames of the window at t that are in the utterance,
        (frames,)."""
        if self._overlap:
            return self._whole().window_sizes[self.at]
        return self._windows[1].to(self.window_sums.dtype)

    def refuse(self) -> None:
        """The frames between them are in the windows, and can be to blame."""
        self._whole().refuse()

    def _whole(self) -> Frames:
        return Frames(self.passage, self.positions, self.window)

    @property
    def _overlap(self) -> bool:
        """Whether sums around all frames cost less than one by one, as
        ``running_sums`` makes a window of its halves."""
        one_by_one = len(self) * self.window
        return one_by_one > len(self.positions) * math.log2(2 * self.window)

    @cached_property
    def _windows(self) -> tuple[Tensor, Tensor]:
        return windows_around(self.positions, self.window, self.at)

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
from speechbrain_neuronprune.saliency.passage import Passage
from speechbrain_neuronprune.saliency.positions import Positions
from speechbrain_neuronprune.saliency.rounding import at_least_float32
from speechbrain_neuronprune.saliency.scratch import Scratch
from speechbrain_neuronprune.saliency.windows import (
    window_sums,
    windows_around,
)

ROWS_AT_ONCE = 1024


class Frames:
    """The frames of some utterances at one tap.

    They stand one after another, without padding, in the model's precision,
    but at least float32. What is computed when first asked for is shared by
    all criteria.

    Arguments
    ---------
    passage : Passage
        What passed the tap.
    positions : Positions
        Where the frames are in its tensors.
    window : int
        Frames in the time window, q.
    scratch : Scratch, optional
        Memory that may be used, by these frames until others use it.
    """

    def __init__(
        self,
        passage: Passage,
        positions: Positions,
        window: int,
        scratch: Scratch | None = None,
    ) -> None:
        self.passage = passage
        self.positions = positions
        self.window = window
        self.scratch = scratch or Scratch()
        self._few: dict[int, FewFrames] = {}
        self._block: Tensor | None = None

    def __len__(self) -> int:
        """T, how many frames there are."""
        return len(self.positions)

    def every(self, stride: int) -> "Frames":
        """The middle one of every so many frames of an utterance.

        It is for criteria that need not see all; windows still take all
        frames.

        Arguments
        ---------
        stride : int
            Of so many frames one is taken.

        Returns
        -------
        Frames
            Those frames; these ones if ``stride`` is 1.
        """
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

    def sum_of_magnitudes(self, weights: Tensor | None = None) -> Tensor:
        """``sum_t w[t] |x_{n,l}[t]|``, (units,).

        Arguments
        ---------
        weights : torch.Tensor, optional
            w, (frames,); None for ones.

        Returns
        -------
        torch.Tensor
            (units,).
        """
        if weights is None:
            weights = at_least_float32(self.passage.units.new_ones(len(self)))
        spread = self.positions.spread(weights)
        # Long sums in float32 would lose digits.
        parts = zip(
            spread.split(ROWS_AT_ONCE),
            self._block_magnitudes(weights).split(ROWS_AT_ONCE),
            strict=True,
        )
        total = sum((weight @ rows).double() for weight, rows in parts)
        if math.isfinite(total.sum()):
            return total.to(weights.dtype)
        # It may be padding that is not finite.
        return weights @ self._speech(self.passage.units).abs_()

    def _block_magnitudes(self, like: Tensor) -> Tensor:
        """``|x|`` with padding, which it would cost more to leave out,
        (rows, units)."""
        if self._block is None:
            block = self.positions.block(self.passage.units.detach())
            self._block = self.scratch.empty(block.shape, like)
            if block.dtype == like.dtype:
                torch.abs(block, out=self._block)
            else:
                self._block.copy_(block).abs_()
        return self._block.flatten(0, -2)

    @cached_property
    def gradient(self) -> Tensor:
        """dL / dx_{n,l}[t], (frames, units)."""
        if self.passage.gradient is None:  # the loss does not depend on it
            return torch.zeros_like(self.units)
        return self._speech(self.passage.gradient)

    @cached_property
    def window_sums(self) -> Tensor:
        """sum_k x_{p,l-1}[t + k], (frames, inputs)."""
        sums, frames = self._window_sums(self.passage.inputs.detach())
        return sums.index_select(0, frames)

    @cached_property
    def window_magnitudes(self) -> Tensor:
        """g[t] = (1/N) sum_p ``|sum_k x_{p,l-1}[t + k]|``, (frames,)."""
        sums, frames = self._window_sums(self.passage.inputs.detach())
        return sums.abs_().mean(1)[frames]

    def _window_sums(self, passed: Tensor) -> tuple[Tensor, Tensor]:
        rows = self.positions.rows_of(passed)
        return window_sums(*rows, self.positions, self.window)

    @cached_property
    def window_sizes(self) -> Tensor:
        """K_t, frames of the window at t that are in the utterance,
        (frames,)."""
        ones = self.passage.inputs[..., :1].detach()
        sums, frames = self._window_sums(torch.ones_like(ones))
        return sums[frames].squeeze(1)

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

    def _speech(self, passed: Tensor) -> Tensor:
        """These frames of what passed, a copy."""
        table, rows = self.positions.rows_of(passed.detach())
        return at_least_float32(table.index_select(0, rows))


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
        self.stride = stride
        self.at = positions.every(stride)

    def __len__(self) -> int:
        """How many frames are taken."""
        return len(self.at)

    def sum_of_magnitudes(self, weights: Tensor | None = None) -> Tensor:
        """``sum_t w[t] |x_{n,l}[t]|``, (units,); without weights, of ones."""
        magnitudes = self.units.abs()
        return magnitudes.sum(0) if weights is None else weights @ magnitudes

    def _speech(self, passed: Tensor) -> Tensor:
        """These frames of what passed, a copy."""
        table, rows = self.positions.rows_of(passed.detach())
        return at_least_float32(table.index_select(0, rows[self.at]))

    @cached_property
    def window_sums(self) -> Tensor:
        """sum_k x_{p,l-1}[t + k], (frames, inputs)."""
        if self._overlap:
            return self._whole().window_sums[self.at]
        frames, _, starts = self._windows
        table, rows = self.positions.rows_of(self.passage.inputs.detach())
        table = at_least_float32(table)
        return F.embedding_bag(rows[frames], table, starts, mode="sum")

    @cached_property
    def window_magnitudes(self) -> Tensor:
        """g[t] = (1/N) sum_p ``|sum_k x_{p,l-1}[t + k]|``, (frames,)."""
        return self.window_sums.abs().mean(1)

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

    @property
    def _windows(self) -> tuple[Tensor, Tensor, Tensor]:
        """The frames in the windows, how many each window has, and where
        among the frames it starts."""

        def find() -> tuple[Tensor, Tensor, Tensor]:
            frames, sizes = windows_around(self.positions, self.window, self.at)
            starts = sizes.cumsum(0) - sizes
            return frames, sizes, starts

        key = ("windows", self.window, self.stride)
        return self.positions.once(key, find)

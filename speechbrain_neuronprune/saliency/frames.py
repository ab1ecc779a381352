"""The valid frames that passed a tap, seen the way criteria need them.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from speechbrain_neuronprune.errors import SaliencyError
from speechbrain_neuronprune.saliency.batches import Batch, valid_frames
from speechbrain_neuronprune.saliency.taps import Tap


def window_sums(x: Tensor, window: int) -> Tensor:
    """Sums over a time window around every frame, clipped at both ends.

    The window of q frames reaches from t - (q/2 - 1) to t + q/2 (paper B,
    sec. 4); for odd q from t - (q-1)/2 to t + (q-1)/2.

    Arguments
    ---------
    x : torch.Tensor
        (utterances, frames, features).
    window : int
        Frames in the window, q.

    Returns
    -------
    torch.Tensor
        As ``x``.

    Example
    -------
    >>> x = torch.tensor([1.0, 10.0, 100.0, 1000.0]).reshape(1, 4, 1)
    >>> window_sums(x, 2).flatten()
    tensor([  11.,  110., 1100., 1000.])
    """
    ends = ((window - 1) // 2, window // 2)
    return F.pad(x, (0, 0, *ends)).unfold(1, window, 1).sum(-1)


class Frames:
    """What passed one tap in one batch, in float64 and zero at padding.

    Everything is computed when first asked for, and then shared by all
    criteria.

    Arguments
    ---------
    tap : Tap
        Where.
    batch : Batch
        The batch that the model is working on.
    inputs : torch.Tensor
        The producer's input, as the hook saw it.
    units : torch.Tensor
        The consumer's input, as the hook saw it.
    window : int
        Frames in the time window, q.
    """

    def __init__(
        self, tap: Tap, batch: Batch, inputs: Tensor, units: Tensor, window: int
    ) -> None:
        self.tap = tap
        self.batch = batch
        self.raw_inputs = inputs.detach()
        self.raw_units = units
        self.raw_gradient: Tensor | None = None
        self.window = window

    @cached_property
    def valid(self) -> Tensor:
        """Frames that are speech, (utterances, frames). Without a time axis
        every row is an utterance of one frame."""
        rows, frames, _ = self._by_utterance(self.raw_units).shape
        lengths = self.batch.lengths if self.raw_units.ndim == 3 else None
        return valid_frames(lengths, rows, frames, self.raw_units.device)

    @cached_property
    def count(self) -> Tensor:
        """T, how many frames are valid."""
        return self.valid.sum().double()

    @cached_property
    def inputs(self) -> Tensor:
        """x_{p,l-1}[t], (utterances, frames, inputs)."""
        return self._exact(self.raw_inputs, "inputs")

    @cached_property
    def units(self) -> Tensor:
        """x_{n,l}[t], (utterances, frames, units)."""
        return self._exact(self.raw_units, "activations")

    @cached_property
    def magnitudes(self) -> Tensor:
        """|x_{n,l}[t]|, (utterances, frames, units)."""
        return self.units.abs()

    @cached_property
    def gradient(self) -> Tensor:
        """dL / dx_{n,l}[t], (utterances, frames, units)."""
        if self.raw_gradient is None:  # the loss does not depend on it
            return torch.zeros_like(self.units)
        return self._exact(self.raw_gradient, "gradients")

    @cached_property
    def window_sums(self) -> Tensor:
        """sum_k x_{p,l-1}[t + k], (utterances, frames, inputs)."""
        sums = window_sums(self.inputs, self.window)
        return sums.masked_fill(~self.valid.unsqueeze(-1), 0.0)

    @cached_property
    def window_sizes(self) -> Tensor:
        """K_t, frames of the window at t that are in the utterance,
        (utterances, frames)."""
        valid = self.valid.double()
        return window_sums(valid.unsqueeze(-1), self.window).squeeze(-1) * valid

    def _exact(self, raw: Tensor, what: str) -> Tensor:
        padding = ~self.valid.unsqueeze(-1)
        exact = self._by_utterance(raw.detach()).double()
        exact = exact.masked_fill(padding, 0.0)
        if not torch.isfinite(exact).all():
            raise SaliencyError(
                f"The {what} of group {self.tap.name} contain NaN or infinity "
                f"in batch {self.batch.index}; check that batch's speech and "
                "the model's weights."
            )
        return exact

    def _by_utterance(self, raw: Tensor) -> Tensor:
        rows = len(self.batch.x)
        tensor = raw.unsqueeze(1) if raw.ndim == 2 else raw
        if self.tap.time_first:
            tensor = tensor.transpose(0, 1)
        if tensor.ndim != 3 or len(tensor) != rows:
            raise SaliencyError(
                f"Group {self.tap.name} sees a tensor of shape "
                f"{tuple(raw.shape)} in a batch of {rows} utterances, not "
                "(batch, time, features); leave the group out with targets=."
            )
        return tensor

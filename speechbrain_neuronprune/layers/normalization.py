"""Layer normalisation over channels of which some have been removed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch.nn.functional as F
from torch import Tensor, nn


class PartialLayerNorm(nn.Module):
    """LayerNorm over the surviving channels with the statistics of all.

    The removed channels are exact zeros at the input, so they hold no
    parameters, but they count: with r = kept / channels, and mean m and
    variance v of the kept ones, the mean of all is r * m and their variance
    is r * (v + (1 - r) * m^2).

    Arguments
    ---------
    weight : nn.Parameter or None
        Scale of the kept channels, (kept,); None where the norm has none.
    bias : nn.Parameter or None
        Shift of the kept channels, (kept,); None where the norm has none.
    channels : int
        How many channels there were.
    eps : float
        As in ``torch.nn.LayerNorm``.
    kept : int, optional
        How many channels survive; by default as many as ``weight`` has.
    bands : tuple of int
        Sizes of the dimensions before the channels that are normalised
        together with them.

    Example
    -------
    >>> import torch
    >>> full = nn.LayerNorm(4)
    >>> x = torch.randn(5, 4) * torch.tensor([1.0, 0.0, 1.0, 1.0])
    >>> kept = [0, 2, 3]
    >>> part = PartialLayerNorm(full.weight[kept], full.bias[kept], 4)
    >>> torch.allclose(part(x[:, kept]), full(x)[:, kept], atol=1e-6)
    True
    """

    is_partial_norm = True  # what finds units asks for it

    def __init__(
        self,
        weight: Tensor | None,
        bias: Tensor | None,
        channels: int,
        eps: float = 1e-5,
        kept: int | None = None,
        bands: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.weight = _own(weight)
        self.bias = _own(bias)
        self.kept = weight.shape[-1] if kept is None else kept
        self.bands = bands
        self.channels = channels
        self.eps = eps

    @classmethod
    def of(cls, norm: nn.Module, kept: int) -> "PartialLayerNorm":
        """The form of a norm whose parameters have been cut.

        Arguments
        ---------
        norm : nn.LayerNorm or PartialLayerNorm
            It still knows how many channels there were.
        kept : int
            How many channels survive.

        Returns
        -------
        PartialLayerNorm
            Over the surviving channels.
        """
        if isinstance(norm, cls):
            shape = *norm.bands, norm.channels
        else:
            shape = norm.normalized_shape
        *bands, channels = shape
        tensors = norm.weight, norm.bias
        partial = cls(*tensors, channels, norm.eps, kept, tuple(bands))
        return partial.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the kept channels.

        Arguments
        ---------
        x : torch.Tensor
            (..., kept).

        Returns
        -------
        torch.Tensor
            As ``x``.
        """
        # The fused kernel over a few zeros is faster than the formula above
        # spelled out, and sums in the order of the masked model.
        filled, weight, bias = map(self._fill, (x, self.weight, self.bias))
        shape = (*self.bands, self.channels)
        normal = F.layer_norm(filled, shape, weight, bias, eps=self.eps)
        return normal[..., : self.kept].to(x.dtype)

    def _fill(self, x: Tensor | None) -> Tensor | None:
        removed = self.channels - self.kept
        return None if x is None else F.pad(x, (0, removed))

    def extra_repr(self) -> str:
        """The sizes, for ``print(model)``."""
        return f"{self.kept} of {self.channels}, eps={self.eps}"


def _own(values: Tensor | None) -> nn.Parameter | None:
    if values is None:
        return None
    return nn.Parameter(values.detach(), values.requires_grad)

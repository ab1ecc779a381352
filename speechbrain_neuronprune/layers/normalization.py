"""Layer normalisation over channels of which some have been removed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch
from torch import Tensor, nn


class PartialLayerNorm(nn.Module):
    """LayerNorm over the surviving channels with the statistics of all.

    The removed channels are exact zeros at the input, so they need not be
    there: with r = kept / channels, and mean m and variance v of the kept
    ones, the mean of all is r * m and their variance is
    r * (v + (1 - r) * m^2). A sum of non-negative terms: no cancellation.

    Arguments
    ---------
    weight : nn.Parameter
        Scale of the kept channels, (kept,).
    bias : nn.Parameter
        Shift of the kept channels, (kept,).
    channels : int
        How many channels there were.
    eps : float
        As in ``torch.nn.LayerNorm``.

    Example
    -------
    >>> full = nn.LayerNorm(4)
    >>> x = torch.randn(5, 4) * torch.tensor([1.0, 0.0, 1.0, 1.0])
    >>> kept = [0, 2, 3]
    >>> part = PartialLayerNorm(full.weight[kept], full.bias[kept], 4)
    >>> torch.allclose(part(x[:, kept]), full(x)[:, kept], atol=1e-6)
    True
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, channels: int, eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach(), weight.requires_grad)
        self.bias = nn.Parameter(bias.detach(), bias.requires_grad)
        self.channels = channels
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` (..., kept)."""
        ratio = len(self.weight) / self.channels
        # float32 statistics, as LayerNorm has them under autocast.
        variance, mean = torch.var_mean(
            x.float(), dim=-1, correction=0, keepdim=True
        )
        variance = ratio * (variance + (1.0 - ratio) * mean.square())
        scale = torch.rsqrt(variance + self.eps)
        normal = (x - ratio * mean) * scale
        return (normal * self.weight + self.bias).to(x.dtype)

    def extra_repr(self) -> str:
        """The sizes, for ``print(model)``."""
        return f"{len(self.weight)} of {self.channels}, eps={self.eps}"

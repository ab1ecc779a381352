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
    >>> import torch
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
        kept = len(self.weight)
        # The fused kernel over a few zeros is faster than the formula above
        # spelled out, and sums in the order of the masked model.
        filled = F.pad(x, (0, self.channels - kept))
        normal = F.layer_norm(filled, (self.channels,), eps=self.eps)
        return (normal[..., :kept] * self.weight + self.bias).to(x.dtype)

    def extra_repr(self) -> str:
        """The sizes, for ``print(model)``."""
        return f"{len(self.weight)} of {self.channels}, eps={self.eps}"

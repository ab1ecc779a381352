"""Attention heads of different widths, packed in memory, padded in products.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class HeadPacking(nn.Module):
    """Turns a packed vector of all heads' units into (heads, width).

    Parameters hold the surviving units head after head, without gaps. The
    batched products want a rectangle: narrower heads are padded with zeros to
    the widest one, which changes no product. Heads of one width need no
    padding and cost a view.

    Arguments
    ---------
    widths : sequence of int
        Units per head.
    at_least : int
        Smallest padded width (a product needs one, a rotation two).

    Example
    -------
    >>> HeadPacking([2, 1])(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[[1., 2.],
             [3., 0.]]])
    """

    def __init__(self, widths: Sequence[int], at_least: int = 1) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.width = max(at_least, *self.widths)
        self.even = all(width == self.width for width in self.widths)
        total = sum(self.widths)
        # Position `total` is the zero that fills up the narrower heads.
        index = torch.full((len(self.widths), self.width), total)
        start = 0
        for head, width in enumerate(self.widths):
            index[head, :width] = torch.arange(start, start + width)
            start += width
        self.register_buffer("index", index.flatten(), persistent=False)
        taken = (self.index < total).nonzero().flatten()
        self.register_buffer("taken", taken, persistent=False)

    def forward(self, packed: Tensor) -> Tensor:
        """(..., units) -> (..., heads, width)."""
        if not self.even:
            packed = F.pad(packed, (0, 1)).index_select(-1, self.index)
        return self.unflatten(packed)

    def unflatten(self, padded: Tensor) -> Tensor:
        """(..., heads * width) -> (..., heads, width)."""
        return padded.unflatten(-1, (len(self.widths), self.width))

    def pack(self, padded: Tensor) -> Tensor:
        """(..., heads * width) -> (..., units), the inverse of forward."""
        return padded if self.even else padded.index_select(-1, self.taken)

    def rows(self, packed_rows: Tensor, filler: int) -> Tensor:
        """Which entry of some longer vector fills each padded place, given
        the entries of the packed units and that of a zero."""
        zero = packed_rows.new_full((1,), filler)
        return torch.cat([packed_rows, zero])[self.index]

"""Attention heads of different widths, packed in memory, padded in products.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Columns of which a processor's product computes a multiple.
REGISTERS = 16


class HeadPacking(nn.Module):
    """Turns a packed vector of all heads' units into (heads, width).

    Parameters hold the surviving units head after head, without gaps. The
    batched products want a rectangle: narrower heads are padded with zeros,
    which change no product. Heads of that width cost a view.

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
        self.even = len(set(self.widths)) == 1
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
        """Unpack a vector into heads of one width.

        Arguments
        ---------
        packed : torch.Tensor
            (..., units).

        Returns
        -------
        torch.Tensor
            (..., heads, width).
        """
        if self.even:
            return self.fill(
                packed.unflatten(-1, (len(self.widths), self.widths[0]))
            )
        packed = F.pad(packed, (0, 1)).index_select(-1, self.index)
        return self.unflatten(packed)

    def fill(self, heads: Tensor) -> Tensor:
        """Pad heads that all have the same number of units.

        Arguments
        ---------
        heads : torch.Tensor
            (..., heads, units per head).

        Returns
        -------
        torch.Tensor
            (..., heads, width).
        """
        missing = self.width - self.widths[0]
        return F.pad(heads, (0, missing)) if missing else heads

    def unflatten(self, padded: Tensor) -> Tensor:
        """Give padded heads a dimension of their own.

        Arguments
        ---------
        padded : torch.Tensor
            (..., heads * width).

        Returns
        -------
        torch.Tensor
            (..., heads, width).
        """
        return padded.unflatten(-1, (len(self.widths), self.width))

    def pack(self, padded: Tensor) -> Tensor:
        """Leave out the padding: the inverse of ``forward``.

        Arguments
        ---------
        padded : torch.Tensor
            (..., heads * width).

        Returns
        -------
        torch.Tensor
            (..., units).

        Example
        -------
        >>> HeadPacking([2, 1]).pack(torch.tensor([1.0, 2.0, 3.0, 0.0]))
        tensor([1., 2., 3.])
        """
        if not self.even:
            return padded.index_select(-1, self.taken)
        if self.width == self.widths[0]:
            return padded
        return self.unflatten(padded)[..., : self.widths[0]].flatten(-2)

    def rows(self, packed_rows: Tensor, filler: int) -> Tensor:
        """Which entry of some longer vector fills each padded place.

        Arguments
        ---------
        packed_rows : torch.Tensor
            Long, (units,): the entries of the packed units.
        filler : int
            The entry of a zero.

        Returns
        -------
        torch.Tensor
            Long, (heads * width,).

        Example
        -------
        >>> HeadPacking([2, 1]).rows(torch.tensor([5, 6, 7]), filler=9)
        tensor([5, 6, 7, 9])
        """
        zero = packed_rows.new_full((1,), filler)
        return torch.cat([packed_rows, zero])[self.index]


def weighted_sums(weights: Tensor, values: Tensor) -> Tensor:
    """Sum values by weights.

    A product of some hundred rows with few columns, or with a number that
    does not fill a processor's registers, takes a CPU longer than the same
    product the other way round: up to four times as long below 16 columns,
    1.1 times with 36.

    Arguments
    ---------
    weights : torch.Tensor
        (heads * batch, L, S).
    values : torch.Tensor
        (heads * batch, S, width).

    Returns
    -------
    torch.Tensor
        (heads * batch, L, width), perhaps the view of a transposed one.

    Example
    -------
    >>> weights = torch.tensor([[[0.5, 0.5]]])
    >>> weighted_sums(weights, torch.tensor([[[1.0], [3.0]]]))
    tensor([[[2.]]])
    """
    if values.is_cpu and values.shape[-1] % REGISTERS:
        return torch.bmm(values.mT, weights.mT).mT
    return torch.bmm(weights, values)


def product_width(widths: Sequence[int]) -> int:
    """How wide heads are padded for the fused kernel of attention.

    It takes longer for a few columns than for a few more that fill a
    processor's registers. Heads that are no trouble keep their width.

    Arguments
    ---------
    widths : sequence of int
        Units per head.

    Returns
    -------
    int
        At least the widest.

    Example
    -------
    >>> product_width([36, 36]), product_width([9, 9]), product_width([21, 27])
    (36, 16, 32)
    """
    widest = max(widths)
    fast = widest % 8 == 0 or (widest > 16 and widest % 4 == 0)
    if len(set(widths)) == 1 and fast:
        return widest
    return max(16, -(-widest // 8) * 8)

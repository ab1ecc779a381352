"""Differences of sums, without what rounding leaves of them.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch
from torch import Tensor

# Far above the rounding of float64 sums, far below that of the activations.
FLOOR = 1e-12


def above_rounding(*terms: Tensor) -> Tensor:
    """Add terms that may cancel; what lies below their rounding is zero.

    The variance of a constant, written as a difference of means, is not
    exactly zero in floating point.

    Arguments
    ---------
    *terms : torch.Tensor
        float64 tensors that broadcast.

    Returns
    -------
    torch.Tensor
        Their sum.

    Example
    -------
    >>> x = torch.full((7,), 0.1, dtype=torch.float64)
    >>> above_rounding(x.square().mean(), -x.mean().square())
    tensor(0., dtype=torch.float64)
    """
    total = sum(terms)
    size = sum(term.abs() for term in terms)
    return torch.where(total.abs() > FLOOR * size, total, 0.0)

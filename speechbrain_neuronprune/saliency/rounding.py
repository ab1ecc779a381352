"""Sums that lose digits: differences, and half precision.

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


def near_mean(x: Tensor) -> Tensor:
    """A value near the mean of every column; of a constant one its value.

    Less this, sums of products are hardly larger than the covariances that
    are to be found in them, and a constant gives zeros.

    Arguments
    ---------
    x : torch.Tensor
        (rows, columns), at least one row.

    Returns
    -------
    torch.Tensor
        (columns,), as exact as the mean in ``x``'s own precision can be.

    Example
    -------
    >>> x = torch.tensor([[0.1, 1.0], [0.1, 2.0], [0.1, 3.0]])
    >>> near_mean(x)
    tensor([0.1000, 2.0000])
    >>> x[:, 0] - near_mean(x)[0]
    tensor([0., 0., 0.])
    """
    return x[0] + (x - x[0]).mean(0)


def at_least_float32(x: Tensor) -> Tensor:
    """In float32 if it is in half precision, whose sums would be too coarse.

    Arguments
    ---------
    x : torch.Tensor
        Of any floating point type.

    Returns
    -------
    torch.Tensor
        ``x`` itself, or a copy in float32.

    Example
    -------
    >>> at_least_float32(torch.ones(2, dtype=torch.bfloat16)).dtype
    torch.float32
    >>> at_least_float32(torch.ones(2, dtype=torch.float64)).dtype
    torch.float64
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))

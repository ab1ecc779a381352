"""Scores by distance, read as scores by key, and back.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any

import torch
from torch import Tensor

from speechbrain_neuronprune.layers.eager import is_eager


def diagonals(scores: Tensor) -> Tensor:
    """Scores by distance, (..., L, L + S - 1), to scores by key, (..., L, S):
    out[i, j] = scores[i, L - 1 - i + j].

    In memory each row of the result begins one place earlier in its row of
    ``scores`` than the row before, so a view does without the copies of
    ``RelPosMHAXL.rel_shift``.

    Arguments
    ---------
    scores : torch.Tensor
        One row per query, from its largest distance to its smallest.

    Returns
    -------
    torch.Tensor
        The view.

    Example
    -------
    >>> diagonals(torch.tensor([[0, 1, 2, 3], [0, 1, 2, 3]]))
    tensor([[1, 2, 3],
            [0, 1, 2]])
    """
    if scores.shape[-2] == 1:
        return scores
    return ByKey.apply(scores) if _learns(scores) else _view(scores)


def strided_diagonals(scores: Tensor, length: int) -> Tensor:
    """``diagonals``, in one call, of scores that fill a memory of their own;
    not for graphs and gradients.

    Arguments
    ---------
    scores : torch.Tensor
        (heads, batch * L, L + S - 1), or any other shape.
    length : int
        L.

    Returns
    -------
    torch.Tensor
        The view, (heads * batch, L, S).

    Example
    -------
    >>> strided_diagonals(torch.tensor([[0, 1, 2, 3], [0, 1, 2, 3]]), 2)
    tensor([[[1, 2, 3],
             [0, 1, 2]]])
    """
    distances = scores.shape[-1]
    whole = length * distances
    shape = (scores.numel() // whole, length, distances - length + 1)
    return scores.as_strided(shape, (whole, distances - 1, 1), length - 1)


class ByKey(torch.autograd.Function):
    """``diagonals`` with a gradient that is written once: those of the views
    fill twice as many zeros, and copy all of it twice."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor) -> Tensor:
        """(..., L, L + S - 1) -> (..., L, S)."""
        return _view(scores)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """(..., L, S) -> (..., L, L + S - 1)."""
        return ByDistance.apply(gradient)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        """(..., L, L + S - 1) -> (..., L, S)."""
        return _view(tangent)


class ByDistance(torch.autograd.Function):
    """The other way: zeros at distances that no key has."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor) -> Tensor:
        """(..., L, S) -> (..., L, L + S - 1)."""
        length, keys = scores.shape[-2:]
        step = length + keys - 2
        flat = scores.new_empty(*scores.shape[:-2], length * (step + 1))
        # Before the first row, and behind the last one
        flat[..., : length - 1] = 0.0
        flat[..., -1:] = 0.0
        rows = _rows(flat, length, step)
        rows[..., :keys] = scores
        rows[..., keys:] = 0.0
        return flat.unflatten(-1, (length, step + 1))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """(..., L, L + S - 1) -> (..., L, S)."""
        return ByKey.apply(gradient)


def _learns(scores: Tensor) -> bool:
    """Whether gradients will be asked for, by the ordinary backward pass."""
    return torch.is_grad_enabled() and scores.requires_grad and is_eager()


def _view(scores: Tensor) -> Tensor:
    length, distances = scores.shape[-2:]
    rows = _rows(scores.flatten(-2), length, distances - 1)
    return rows[..., : distances - length + 1]


def _rows(flat: Tensor, length: int, step: int) -> Tensor:
    """Rows of one place less, of which the first begins at its last key."""
    start = length - 1
    return flat[..., start : start + length * step].unflatten(
        -1, (length, step)
    )

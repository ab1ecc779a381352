"""Masks over attention scores, at the lowest cost.

A mask of an utterance's padding is small, the scores of all heads are not: on
a CPU the mask is turned into numbers and added, which costs a fraction of
filling the scores by booleans, and nothing for the gradient.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from speechbrain_neuronprune.layers.eager import is_eager


class Masks(NamedTuple):
    """What keeps queries from attending to keys.

    All are (heads or 1, batch or 1, queries or 1, keys).

    Arguments
    ---------
    added : list of torch.Tensor
        Numbers that are added to the scores.
    closed : torch.Tensor, optional
        Bool; true where a query must not attend to a key but does attend to
        others.
    blind : torch.Tensor, optional
        Bool, of one key; true for queries that must attend to nothing, which
        happens in chunked training. None if there are none. Their softmax,
        and its gradient, would not be numbers, so it is taken of open scores
        and cleared.
    """

    added: list[Tensor]
    closed: Tensor | None = None
    blind: Tensor | None = None

    @classmethod
    def of(cls, masks: Iterable[Tensor]) -> "Masks":
        """Put masks together.

        Arguments
        ---------
        masks : iterable of torch.Tensor
            Bool, or numbers to add.

        Returns
        -------
        Masks
            All of them.

        Example
        -------
        >>> masks = Masks.of([torch.tensor([[[[False, True]]]])])
        >>> masks.close(torch.zeros(1, 1, 1, 2))
        tensor([[[[0., -inf]]]])
        """
        added, closed = [], None
        for mask in masks:
            if mask.dtype != torch.bool:
                added.append(mask)
            else:
                closed = mask if closed is None else closed | mask
        if closed is None:
            return cls(added)
        blind = closed.all(dim=-1, keepdim=True)
        if not _may_hold(blind):
            return cls(added, closed)
        return cls(added, closed & ~blind, blind)

    def of_queries(self, rows: slice) -> "Masks":
        """Those of a block of queries.

        Arguments
        ---------
        rows : slice
            Which queries.

        Returns
        -------
        Masks
            What these queries need of the masks.
        """
        if self is OPEN:
            return self
        added = [_cut(mask, rows) for mask in self.added]
        return Masks(added, _cut(self.closed, rows), _cut(self.blind, rows))

    def close(self, scores: Tensor) -> Tensor:
        """Apply the masks before the softmax.

        Arguments
        ---------
        scores : torch.Tensor
            (heads, batch, queries, keys).

        Returns
        -------
        torch.Tensor
            As ``scores``.
        """
        for mask in self.added:
            scores = scores + mask
        if self.closed is None:
            return scores
        if scores.device.type != "cpu":
            return scores.masked_fill(self.closed, -float("inf"))
        numbers = torch.zeros_like(self.closed, dtype=scores.dtype)
        return scores + numbers.masked_fill(self.closed, -float("inf"))

    def clear(self, weights: Tensor) -> Tensor:
        """Set to zero what blind queries see, after the softmax.

        Arguments
        ---------
        weights : torch.Tensor
            (heads, batch, queries, keys).

        Returns
        -------
        torch.Tensor
            As ``weights``.
        """
        if self.blind is None:
            return weights
        return weights.masked_fill(self.blind, 0.0)


# No masks.
OPEN = Masks([])


def _cut(mask: Tensor | None, rows: slice) -> Tensor | None:
    """A mask's rows, if it has one for each query."""
    whole = mask is None or mask.shape[2] == 1
    return mask if whole else mask[:, :, rows]


def _may_hold(mask: Tensor) -> bool:
    """Whether any of a mask is true; also if to know it would make an
    accelerator wait, or a graph depend on data."""
    known = mask.device.type == "cpu" and is_eager()
    return not known or bool(mask.any())

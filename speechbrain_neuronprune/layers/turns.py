"""Attention with relative positions whose queries take turns.

Some hundred queries need the scores of all distances, of which each uses half;
a block of them needs little more than it uses. On a CPU, and where no gradient
is asked for, blocks go all the way from scores to context in the same memory:
new memory costs a small model as much as its products.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import NamedTuple

import torch
from torch import Tensor

from speechbrain_neuronprune.layers.attention_masks import Masks
from speechbrain_neuronprune.layers.diagonals import diagonals

# Queries of a block, about: few enough for a processor's cache and for little
# waste on distances that none of them needs, enough for the products to be
# large. 10 s of speech are one block.
BLOCK = 256


class Sides(NamedTuple):
    """What meets: queries with two biases, (heads, batch, L, width); keys and
    values, (heads * batch, S, width); distances, (heads, distances, width);
    and which do not."""

    with_u: Tensor
    with_v: Tensor
    k: Tensor
    v: Tensor
    distances: Tensor
    masks: Masks

    def of(self, rows: slice) -> "Sides":
        """Those of a block of queries, in one type of numbers."""
        length, dtype = self.with_u.shape[2], self.k.dtype
        near = slice(length - rows.stop, 2 * length - 1 - rows.start)
        return self._replace(
            with_u=self.with_u[:, :, rows].to(dtype),
            with_v=self.with_v[:, :, rows].to(dtype),
            distances=self.distances[:, near].to(dtype),
            masks=self.masks.of_queries(rows),
        )


def attend_in_turns(
    sides: Sides, scale: float, weighted: bool
) -> tuple[Tensor, Tensor | None]:
    """Attend, a block of queries after the other.

    Arguments
    ---------
    sides : Sides
        Of as many keys as queries, and all their distances.
    scale : float
        Of the products of queries and keys; those with distances have theirs.
    weighted : bool
        Whether the weights are asked for.

    Returns
    -------
    context : torch.Tensor
        (heads, batch, L, width of values).
    weights : torch.Tensor, optional
        (heads, batch, L, S).
    """
    queries, keys = sides.with_u.shape[:3], sides.k.shape[1]
    context = sides.v.new_empty(*queries, sides.v.shape[2])
    weights = None
    if weighted:
        weights = context.new_empty(*queries, keys, dtype=torch.float32)
    scratch = _Scratch(sides.k)
    for rows in _blocks(queries[2]):
        place = None if weights is None else weights[:, :, rows]
        mine = _weights(sides.of(rows), scratch, scale, place)
        block = torch.bmm(mine.flatten(0, 1).to(sides.v.dtype), sides.v)
        context[:, :, rows] = block.unflatten(0, queries[:2])
    return context, weights


def _blocks(length: int) -> list[slice]:
    """Blocks of about as many queries."""
    size = -(-length // max(1, round(length / BLOCK)))
    return [
        slice(start, min(start + size, length))
        for start in range(0, length, size)
    ]


class _Scratch:
    """Memory for the scores of one turn after the other."""

    def __init__(self, like: Tensor) -> None:
        self.memory = {}
        self.like = like

    def __call__(self, purpose: str, *shape: int) -> Tensor:
        """Memory of that shape; what it held is lost."""
        numbers = torch.Size(shape).numel()
        memory = self.memory.get(purpose)
        if memory is None or memory.numel() < numbers:
            memory = self.memory[purpose] = self.like.new_empty(numbers)
        return memory[:numbers].view(shape)


def _weights(
    part: Sides, scratch: _Scratch, scale: float, place: Tensor | None
) -> Tensor:
    """The attention weights of a block, (heads, batch, L, S), in their place,
    if they have one."""
    heads, batch, rows = shape = part.with_u.shape[:3]
    distances, keys = part.distances.shape[1], part.k.shape[1]
    by_distance = torch.bmm(
        part.with_v.flatten(1, 2),
        part.distances.mT,
        out=scratch("distances", heads, batch * rows, distances),
    )
    scores = place
    if place is None or place.dtype != part.k.dtype:
        scores = scratch("keys", *shape, keys)
    torch.baddbmm(
        diagonals(by_distance.view(heads * batch, rows, distances)),
        part.with_u.flatten(0, 1),
        part.k.mT,
        alpha=scale,
        out=scores.view(heads * batch, rows, keys),
    )
    part.masks.close(scores, out=scores)
    if place is None and scores.dtype == torch.float32:
        place = scores
    weights = torch.softmax(scores, -1, dtype=torch.float32, out=place)
    if part.masks.blind is not None:
        weights.masked_fill_(part.masks.blind, 0.0)
    return weights

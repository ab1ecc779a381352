"""Attention heads of one width, filled up with units of zeros.

Heads that have lost unlike numbers of units are padded in each call, by
gathering what was projected. PyTorch does that fast, ONNX Runtime does not. To
that, a few more rows in the projections cost less.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from speechbrain_neuronprune.errors import UnitsError
from speechbrain_neuronprune.layers.heads import HeadPacking
from speechbrain_neuronprune.layers.slicing import replace_entry
from speechbrain_neuronprune.layers.unit_attention import UnitAttention
from speechbrain_neuronprune.units.layouts import LAYOUTS, kind_of
from speechbrain_neuronprune.units.vectors import UnitVector, entry_of


def level_heads(model: nn.Module) -> nn.Module:
    """Fill up the heads of compact attention, for other runtimes.

    A unit of zeros adds zero to every product, so the model computes the same,
    within rounding. It has more parameters than before, a quarter more where
    heads are very unlike, and its checkpoints fit no other model: a form to
    compute with, not to keep or to train.

    Arguments
    ---------
    model : nn.Module
        A compact model, changed in place; heads that are even already stay.

    Returns
    -------
    nn.Module
        The model itself.

    Raises
    ------
    UnitsError
        If there are gates over the units.

    Example
    -------
    >>> from speechbrain_neuronprune import PruningPlan, compact, find_units
    >>> from speechbrain.lobes.models.transformer.Conformer import (
    ...     ConformerEncoder,
    ... )
    >>> encoder = ConformerEncoder(1, 8, 8, nhead=2, kernel_size=3)
    >>> widths = {name: [2, 4] for name in find_units(encoder, ["query"])}
    >>> small = compact(encoder, PruningPlan.from_widths(encoder, widths))
    >>> small.layers[0].mha_layer.query_rows
    (2, 4)
    >>> level_heads(small).layers[0].mha_layer.query_rows
    (4, 4)
    """
    for path, layer in model.named_modules():
        if isinstance(layer, UnitAttention):
            _require_no_gates(path, layer)
            _level(layer)
            layer.turns_sums = False
    return model


def _require_no_gates(path: str, layer: UnitAttention) -> None:
    if layer.query_gate is not None or layer.value_gate is not None:
        raise UnitsError(
            f"The heads of {path or type(layer).__name__} cannot be filled up "
            "with zeros while a gate counts their units; call compact first."
        )


@torch.no_grad()
def _level(layer: UnitAttention) -> None:
    if layer._even:
        return
    before, heads = _vectors(layer), len(layer.heads)
    query = (layer.query_heads.width,) * heads
    value = (layer.value_heads.width,) * heads
    layer._fill_positions()
    layer._set_heads(query, value)
    layer._output_projection().in_features = sum(value)
    for (name, dim), moves in _moves(before, _vectors(layer)).items():
        entry = entry_of(layer, name)
        replace_entry(layer, name, _spread(entry, dim, moves))


def _vectors(layer: UnitAttention) -> list[UnitVector]:
    return LAYOUTS[kind_of(layer)](layer, layer.cross)


class _Move(NamedTuple):
    """What units own, (units, entries): where it was, and where all units of
    the filled heads have theirs; which of those are not zeros."""

    source: Tensor
    target: Tensor
    taken: Tensor


def _moves(
    before: list[UnitVector], after: list[UnitVector]
) -> dict[tuple[str, int | None], list[_Move]]:
    """By parameter and dimension. Queries and values share a projection."""
    moves: dict[tuple[str, int | None], list[_Move]] = {}
    for old, new in zip(before, after, strict=True):
        taken = HeadPacking(old.widths, new.widths[0]).taken
        for here, there in zip(old.slices, new.slices, strict=True):
            move = _Move(here.index, there.index, taken)
            moves.setdefault((here.parameter, here.dim), []).append(move)
    return moves


def _spread(entry: Tensor, dim: int | None, moves: list[_Move]) -> Tensor:
    """A parameter's entries at their new places, with zeros between; where
    ``dim`` is None, it is read flat."""
    if dim is None:
        entry, dim = entry.flatten(), 0
    shape = list(entry.shape)
    shape[dim] = sum(move.target.numel() for move in moves)
    spread = entry.new_zeros(shape)
    for source, target, taken in moves:
        here, there = (
            index.flatten().to(entry.device)
            for index in (source, target[taken])
        )
        spread.index_copy_(dim, there, entry.index_select(dim, here))
    return spread

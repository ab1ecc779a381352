"""Tables by position, remembered from one utterance to the next.

What attention makes of positions depends on weights and on the length only,
yet costs as much as a projection of the utterance itself. So in evaluation
on a CPU the table of the longest utterance so far is kept; those of shorter
ones are parts of it.

Nothing needs to be told that weights have changed: what a table was computed
from is compared, value by value, with what is given. That takes a small part
of the time that the table takes, and is right after training, loading, moving
and editing in place alike.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from speechbrain_neuronprune.layers.eager import is_eager

# Longer tables are computed anew: there, products of queries and keys, which
# grow with the square of the length, dwarf them.
LONGEST = 2048


class LongestTable:
    """A function of positions and weights that remembers its longest table.

    Arguments
    ---------
    centred : bool
        Where the positions of a shorter utterance are among those of a
        longer one: in the middle, as distances are, or at the beginning, as
        times are.

    Example
    -------
    >>> table = LongestTable(centred=False)
    >>> with torch.no_grad():
    ...     _ = table(lambda times: times.square(), torch.arange(5)[None], [])
    ...     table(lambda times: 1 / 0, torch.arange(3)[None], [])
    tensor([[0, 1, 4]])
    """

    def __init__(self, centred: bool) -> None:
        self.centred = centred
        self._kept: _Kept | None = None

    def __call__(
        self,
        compute: Callable[[Tensor], Tensor],
        positions: Tensor,
        weights: Sequence[Tensor],
    ) -> Tensor:
        """The table for some positions.

        Arguments
        ---------
        compute : callable
            Makes a table, (1, length, ...), of positions.
        positions : torch.Tensor
            The positions, (1, length, ...).
        weights : sequence of torch.Tensor
            Whatever else the table depends on.
        """
        if positions.shape[1] > LONGEST or not _may_remember(positions):
            return compute(positions)
        longest, part = _place(positions, self.centred)
        kept = self._kept
        if kept is None or not kept.is_of(longest, weights):
            copies = [weight.detach().clone() for weight in weights]
            kept = self._kept = _Kept(longest, copies, compute(longest))
        return kept.table[:, part]

    def __reduce__(self) -> tuple:
        """Copies and pickles begin with nothing."""
        return type(self), (self.centred,)


class _Kept(NamedTuple):
    positions: Tensor
    weights: list[Tensor]
    table: Tensor

    def is_of(self, positions: Tensor, weights: Sequence[Tensor]) -> bool:
        """Whether the table is what would be computed."""
        return (
            self.positions is positions
            and len(self.weights) == len(weights)
            and all(map(_same, self.weights, weights))
        )


def _may_remember(positions: Tensor) -> bool:
    """Not on accelerators, which a comparison has to wait for, and which
    cannot be waited for while a graph is captured; not with gradients, which
    belong to one pass; not under autocast, whose dtype is not the weights';
    not while somebody follows the operators (a compiler, an exporter, a
    counter of products), who shall see them all."""
    return not (
        positions.device.type != "cpu"
        or torch.is_grad_enabled()
        or torch.is_autocast_enabled(positions.device.type)
        or not is_eager()
        or is_in_torch_dispatch_mode()
    )


def _same(old: Tensor, new: Tensor) -> bool:
    alike = old.dtype == new.dtype and old.device == new.device
    return alike and torch.equal(old, new)


class _Known(NamedTuple):
    """The longest positions of a kind, and where those last seen are."""

    longest: Tensor
    last: weakref.ref
    version: int | None
    part: slice


# All the layers of a model are given the same positions: one looks them up.
_known: dict[Any, _Known] = {}
KINDS = 8


def _place(positions: Tensor, centred: bool) -> tuple[Tensor, slice]:
    """The longest positions so far, and the part that some positions are."""
    kind = (centred, positions.shape[2:], positions.dtype, positions.device)
    version = None if positions.is_inference() else positions._version
    known = _known.get(kind)
    if known and known.last() is positions and known.version == version:
        if version is not None:  # else it may have been changed since
            return known.longest, known.part
    if len(_known) > KINDS:
        _known.clear()
    longest, part = _search(known, positions, centred)
    last = weakref.ref(positions)
    _known[kind] = _Known(longest, last, version, part)
    return longest, part


def _search(
    known: _Known | None, positions: Tensor, centred: bool
) -> tuple[Tensor, slice]:
    length = positions.shape[1]
    if known is not None:
        excess = known.longest.shape[1] - length
        start = excess // 2 if centred else 0
        part = slice(start, start + length)
        if excess >= 0 and _same(known.longest[:, part], positions):
            return known.longest, part
    return positions.detach().clone(), slice(0, length)

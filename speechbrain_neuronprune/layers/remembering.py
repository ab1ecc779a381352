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
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import torch
from torch import Tensor

from speechbrain_neuronprune.layers.eager import is_plain

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
        # One entry, so that threads that share a model agree
        self._last: tuple[_Known, _Kept, Tensor] | None = None

    def __call__(
        self,
        compute: Callable[[Tensor], Tensor],
        positions: Tensor,
        weights: Collection[Tensor | None],
    ) -> Tensor:
        """As ``look_up``, with numbers of any kind."""
        if not is_plain(positions):
            return compute(positions)
        return self.look_up(compute, positions, weights)

    def look_up(
        self,
        compute: Callable[[Tensor], Tensor],
        positions: Tensor,
        weights: Collection[Tensor | None],
    ) -> Tensor:
        """The table for some positions, of plain numbers (``is_plain``).

        Arguments
        ---------
        compute : callable
            Makes a table, (1, length, ...), of positions.
        positions : torch.Tensor
            The positions, (1, length, ...).
        weights : collection of torch.Tensor or None
            Whatever else the table depends on.
        """
        # Autocast has another dtype than the weights
        if positions.shape[1] > LONGEST or torch.is_autocast_enabled("cpu"):
            return compute(positions)
        known, kept, part = self._last or (None, None, None)
        if known is None or not known.are(positions):
            known, part = _look_up(positions, self.centred), None
        if kept is None or not kept.is_of(known.longest, weights):
            kept, part = _Kept.of(compute, known.longest, weights), None
        if part is None:
            part = kept.table[:, known.part]
            self._last = known, kept, part
        return part

    def __reduce__(self) -> tuple:
        """Copies and pickles begin with nothing."""
        return type(self), (self.centred,)


class _Kept(NamedTuple):
    positions: Tensor
    weights: list[Tensor]
    table: Tensor

    @classmethod
    def of(
        cls,
        compute: Callable[[Tensor], Tensor],
        positions: Tensor,
        weights: Collection[Tensor | None],
    ) -> "_Kept":
        """A new table."""
        copies = [one.detach().clone() for one in weights if one is not None]
        return cls(positions, copies, compute(positions))

    def is_of(
        self, positions: Tensor, weights: Collection[Tensor | None]
    ) -> bool:
        """Whether the table is what would be computed."""
        if self.positions is not positions:
            return False
        given = [one for one in weights if one is not None]
        return len(self.weights) == len(given) and all(
            map(_same, self.weights, given)
        )


def _same(old: Tensor, new: Tensor) -> bool:
    if old.dtype != new.dtype or old.device != new.device:
        return False
    try:  # eight bytes at a time take half of the time, or less
        words = old.view(torch.int64), new.view(torch.int64)
    except RuntimeError:
        return torch.equal(old, new)
    return torch.equal(*words)


class _Known(NamedTuple):
    """The longest positions of a kind, and where those last seen are."""

    longest: Tensor
    last: weakref.ref
    version: int | None
    part: slice

    def are(self, positions: Tensor) -> bool:
        """Whether these were seen last, and have not been changed since, as
        far as that can be known."""
        return (
            self.version is not None
            and self.last() is positions
            and self.version == positions._version
        )


# All the layers of a model are given the same positions: one looks them up.
_known: dict[Any, _Known] = {}
KINDS = 8


def _look_up(positions: Tensor, centred: bool) -> _Known:
    """The longest positions so far, and the part that some positions are."""
    kind = (centred, positions.shape[2:], positions.dtype, positions.device)
    known = _known.get(kind)
    if known is not None and known.are(positions):
        return known
    if len(_known) > KINDS:
        _known.clear()
    version = None if positions.is_inference() else positions._version
    longest, part = _search(known, positions, centred)
    known = _Known(longest, weakref.ref(positions), version, part)
    _known[kind] = known
    return known


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

"""Choosing units by score: thresholds, shares, sizes, rounding.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor, nn

from speechbrain_neuronprune.compaction import ParameterCounter
from speechbrain_neuronprune.errors import PlanError
from speechbrain_neuronprune.units import count_parameters, supported_units


class Selection:
    """Scores of groups of units, and the ways to choose by them.

    Arguments
    ---------
    scores : mapping of str to torch.Tensor
        Group name to one score per unit; the higher the more worth keeping.
    model : nn.Module, optional
        The model; tells the widths of heads.
    round_to : int
        The number of kept units per head (or group) is rounded up to a
        multiple of this.
    balance_heads : bool
        All heads of a group keep equally many units.
    """

    def __init__(
        self,
        scores: Mapping[str, Tensor],
        model: nn.Module | None = None,
        round_to: int = 1,
        balance_heads: bool = False,
    ) -> None:
        if not isinstance(round_to, Integral) or round_to < 1:
            raise PlanError(
                f"round_to={round_to} is no multiple to round to; give a "
                "whole number of 1 or more."
            )
        if balance_heads and model is None:
            raise PlanError(
                "balance_heads needs the model to see its heads; give model=."
            )
        if not scores:
            raise PlanError(
                "There are no scores to choose units by; give those of at "
                "least one group."
            )
        self.scores = {n: _as_scores(values) for n, values in scores.items()}
        self.model = model
        self.round_to = round_to
        self.balance_heads = balance_heads
        self.widths = self._widths()

    def _widths(self) -> dict[str, tuple[int, ...]]:
        groups = {} if self.model is None else supported_units(self.model)
        widths = {}
        for name, values in self.scores.items():
            if not torch.isfinite(values).all():
                raise PlanError(
                    f"The scores of group {name} contain NaN or infinity; "
                    "train or score again before pruning."
                )
            group = groups.get(name)
            if self.model is not None and (
                group is None or group.size != len(values)
            ):
                size = "no such group" if group is None else group.size
                raise PlanError(
                    f"There are {len(values)} scores for group {name}, the "
                    f"model has {size}; score the model that is pruned."
                )
            widths[name] = group.widths if group else (len(values),)
        return widths

    def above(self, threshold: float) -> dict[str, Tensor]:
        """Keep the units whose score is at least the threshold.

        Arguments
        ---------
        threshold : float
            The lowest score that stays.

        Returns
        -------
        dict of str to torch.Tensor
            Per group, bool (units,): True stays.

        Raises
        ------
        PlanError
            If the threshold is not a number.

        Example
        -------
        >>> scores = {"group": torch.tensor([0.1, 0.7, 0.4])}
        >>> Selection(scores).above(0.4)
        {'group': tensor([False,  True,  True])}
        """
        if not isinstance(threshold, Real) or math.isnan(threshold):
            raise PlanError(
                f"A threshold of {threshold!r} lets no unit stay or go; give a "
                "number."
            )
        return self._regular(
            {name: s >= threshold for name, s in self.scores.items()}
        )

    def top(self, fraction: float) -> dict[str, Tensor]:
        """Keep the best share of every group.

        Arguments
        ---------
        fraction : float
            The share, from 0 to 1.

        Returns
        -------
        dict of str to torch.Tensor
            Per group, bool (units,): True stays.

        Raises
        ------
        PlanError
            If there is no such share.

        Example
        -------
        >>> scores = {"group": torch.tensor([0.1, 0.7, 0.4, 0.2])}
        >>> Selection(scores).top(0.25)
        {'group': tensor([False,  True, False, False])}
        """
        if not 0.0 <= fraction <= 1.0:
            raise PlanError(
                f"A fraction of {fraction} units cannot stay; give a number "
                "from 0 to 1."
            )
        return self._regular(
            {
                name: _best(values, round(fraction * len(values)))
                for name, values in self.scores.items()
            }
        )

    def best(self, number: int) -> dict[str, Tensor]:
        """Keep the best units of all groups together.

        Arguments
        ---------
        number : int
            How many, before groups are rounded up.

        Returns
        -------
        dict of str to torch.Tensor
            Per group, bool (units,): True stays.

        Example
        -------
        >>> a, b = torch.tensor([0.1, 0.7]), torch.tensor([0.4, 0.2])
        >>> Selection({"a": a, "b": b}).best(2)
        {'a': tensor([False,  True]), 'b': tensor([ True, False])}
        """
        order = torch.cat(list(self.scores.values()))
        kept = _best(order, number)
        sizes = [len(values) for values in self.scores.values()]
        parts = dict(zip(self.scores, kept.split(sizes), strict=True))
        return self._regular(parts)

    @property
    def size(self) -> int:
        """How many units there are in all groups."""
        return sum(len(values) for values in self.scores.values())

    def _regular(self, keep: dict[str, Tensor]) -> dict[str, Tensor]:
        """Apply head balance and rounding to a choice."""
        if self.round_to == 1 and not self.balance_heads:
            return keep
        return {name: self._regular_group(name, keep[name]) for name in keep}

    def _regular_group(self, name: str, keep: Tensor) -> Tensor:
        widths = list(self.widths[name])
        counts = [int(head.sum()) for head in keep.split(widths)]
        if self.balance_heads:
            # Where anything stays, something stays of every head.
            mean = max(sum(counts) / len(counts), min(sum(counts), 1))
            counts = [round(mean)] * len(counts)
        step = self.round_to
        counts = [math.ceil(count / step) * step for count in counts]
        heads = self.scores[name].split(widths)
        return torch.cat(
            [
                _best(head, count)
                for head, count in zip(heads, counts, strict=True)
            ]
        )


def _as_scores(values: Any) -> Tensor:
    """Scores as they were given, but for integers, of which single precision
    would take neighbours for one, and half precision, which a CPU hardly
    sorts."""
    values = torch.as_tensor(values).detach().cpu().flatten()
    if not values.is_floating_point():
        return values.double()
    return values if values.dtype == torch.float64 else values.float()


def _best(values: Tensor, number: int) -> Tensor:
    """The ``number`` highest values, ties by position."""
    keep = torch.zeros(len(values), dtype=torch.bool)
    keep[values.argsort(descending=True, stable=True)[:number]] = True
    return keep


def solve_for_parameters(
    selection: Selection,
    target: int | float,
    others: int = 0,
) -> dict[str, Tensor]:
    """The choice whose compact model comes closest to a size.

    The number of parameters grows with the number of units kept, so a
    bisection over that number finds it; each trial counts the parameters of
    the compact architecture itself, with everything that folds away.

    Arguments
    ---------
    selection : Selection
        Scores, with the model.
    target : int or float
        Parameters of the whole model, or a fraction of them.
    others : int
        Parameters of the whole model outside of the selection's.

    Returns
    -------
    dict of str to torch.Tensor
        The choice.

    Raises
    ------
    PlanError
        If no choice can give this size.
    """
    if selection.model is None:
        raise PlanError(
            f"target_parameters={target} needs the model to count in; give "
            "model=."
        )
    counter = ParameterCounter(selection.model)

    def count(number: int) -> int:
        return others + counter(selection.best(number))

    total = others + count_parameters(selection.model)
    wanted = wanted_count(target, total, count(0), count(selection.size))
    low, high = 0, selection.size
    while high - low > 1:
        middle = (low + high) // 2
        if count(middle) <= wanted:
            low = middle
        else:
            high = middle
    closest = min((low, high), key=lambda n: abs(count(n) - wanted))
    return selection.best(closest)


def wanted_count(target: int | float, total: int, least: int, most: int) -> int:
    """What a target means as a number of parameters.

    Arguments
    ---------
    target : int or float
        Parameters, or a fraction of all.
    total : int
        All parameters.
    least : int
        Parameters with no unit kept.
    most : int
        Parameters with every unit kept.

    Returns
    -------
    int
        The number.

    Raises
    ------
    PlanError
        If no choice of units can give it.

    Example
    -------
    >>> wanted_count(0.5, total=300, least=100, most=300)
    150
    """
    wanted = _as_count(target, total)
    if least > 1.01 * wanted or wanted > 1.01 * most:
        raise _out_of_reach(target, least, most, total)
    return wanted


def _as_count(target: int | float, total: int) -> int:
    if not isinstance(target, Real) or not math.isfinite(target):
        raise PlanError(
            f"The target of {target!r} is no size; give a number of "
            "parameters, or a share such as 0.45."
        )
    is_count = isinstance(target, Integral) or target > 1.0 or target <= 0.0
    return round(target) if is_count else round(float(target) * total)


def _out_of_reach(
    target: int | float, least: int, most: int, total: int
) -> PlanError:
    return PlanError(
        f"The target of {target} is out of reach: the units that may go allow "
        f"{least:,} to {most:,} of the model's {total:,} parameters (from "
        f"{least / total:.3f}); give a number in that range, or a share such "
        "as 0.45, or prune more groups."
    )

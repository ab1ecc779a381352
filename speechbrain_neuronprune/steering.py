"""Leading a training to a size: c(t) declines to where the size fits.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
import weakref
from typing import Any

import torch
from torch import Tensor, nn

from speechbrain_neuronprune.attach import adaptive_dropouts
from speechbrain_neuronprune.compaction import ParameterCounter
from speechbrain_neuronprune.errors import PlanError
from speechbrain_neuronprune.gates.adaptive_dropout import AdaptiveDropout
from speechbrain_neuronprune.gates.schedule import RetentionSchedule
from speechbrain_neuronprune.selection import Selection, wanted_count
from speechbrain_neuronprune.units import count_parameters

# Optimiser steps between two counts, unless the decline is short.
COUNT_EVERY = 100
# How many models are counted then at most, and how many at first.
COUNTS, FIRST_COUNTS = 4, 30
# A size is not corrected if it is as close as that.
CLOSE = 0.002


def steer_size(
    model: nn.Module,
    target_parameters: int | float,
    others: int = 0,
    round_to: int = 1,
    balance_heads: bool = False,
) -> nn.Module:
    """Lead the training of a gated model to a size.

    The schedule then declines to wherever the paper's own rule, beta >=
    c_end, leaves the wanted number of parameters, and goes on following the
    units once it is there. So ``PruningPlan.from_retention(model)`` needs no
    other threshold, and the size does not change after the decline.

    It acts whenever the schedule advances. What it found is saved with the
    schedule, so to resume is to call this again and to load the checkpoint.

    Arguments
    ---------
    model : nn.Module
        A model with adaptive dropout, all of it by one schedule.
    target_parameters : int or float
        The size of the compact model, as a count or as a fraction of the
        whole model.
    others : int
        Parameters outside of this model, as in ``PruningPlan.from_retention``.
    round_to : int
        As in ``PruningPlan.from_retention``: the rounded plan has the size.
    balance_heads : bool
        As in ``PruningPlan.from_retention``.

    Returns
    -------
    nn.Module
        The model itself, so that yaml can use ``!apply:``.

    Raises
    ------
    PlanError
        If there is nothing to steer by, or the target is out of reach.

    Example
    -------
    >>> from speechbrain_neuronprune import (
    ...     PruningPlan,
    ...     attach_adaptive_dropout,
    ... )
    >>> model = nn.Sequential(nn.Linear(8, 50), nn.ReLU(), nn.Linear(50, 2))
    >>> schedule = RetentionSchedule(steps=10)
    >>> _ = attach_adaptive_dropout(model, schedule)
    >>> for gate in adaptive_dropouts(model).values():
    ...     _ = nn.init.normal_(gate.logits)  # in place of a training
    >>> _ = steer_size(model, 0.4)
    >>> schedule.advance(10)
    >>> PruningPlan.from_retention(model)
    PruningPlan(1 groups, 20 of 50 units)
    """
    schedule = _schedule_of(model)
    if target_parameters is None:
        raise PlanError(
            "Steering needs a size to steer to, and target_parameters is "
            "None; give a share of the parameters or a count, or do without "
            "steering."
        )
    steering = SizeSteering(model, schedule, others, round_to, balance_heads)
    steering.aim(target_parameters)
    schedule.steering = steering
    return model


def _schedule_of(model: nn.Module) -> RetentionSchedule:
    """The schedule that all gates of a model share."""
    schedules = {gate.schedule for gate in adaptive_dropouts(model).values()}
    if len(schedules) != 1:
        raise PlanError(
            f"The gates of this {type(model).__name__} have {len(schedules)} "
            "schedules, and one size needs one; call attach_adaptive_dropout "
            "first, with the same schedule for all units."
        )
    return schedules.pop()


class SizeSteering:
    """Follows the units of a model, so that a given number of them stays.

    At every look, the offset of the schedule becomes the one with which the
    best units, as many as are wanted, are above c_end. How many are wanted is
    found by counting the parameters that are left, every so many steps, as in
    between a given number of units means nearly a given size.

    Arguments
    ---------
    model : nn.Module
        The gated model; it is known weakly, as it owns this object by its
        schedule.
    schedule : RetentionSchedule
        What is steered.
    others : int
        See ``steer_size``.
    round_to : int
        See ``steer_size``.
    balance_heads : bool
        See ``steer_size``.
    """

    def __init__(
        self,
        model: nn.Module,
        schedule: RetentionSchedule,
        others: int = 0,
        round_to: int = 1,
        balance_heads: bool = False,
    ) -> None:
        self.model = weakref.ref(model)
        self.schedule = schedule
        self.others = others
        self.regular = (round_to, balance_heads)
        self.every = max(1, min(COUNT_EVERY, schedule.steps // 20))
        self.wanted = 0
        self.gated: GatedUnits | None = None

    def __getstate__(self) -> dict[str, Any]:
        """A weak reference cannot be pickled, and units are found again."""
        return {**self.__dict__, "model": self.model(), "gated": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Be unpickled."""
        self.__dict__.update(state, model=weakref.ref(state["model"]))

    def __deepcopy__(self, memo: dict[int, Any]) -> "SizeSteering | None":
        """A copy of the model is steered; that of a gate alone is not."""
        model = memo.get(id(self.model()))
        if model is None:
            return None
        twin = copy.copy(self)
        twin.model = weakref.ref(model)
        twin.schedule = memo[id(self.schedule)]
        return twin

    def aim(self, target: int | float) -> None:
        """Set the size to steer to, if it is in reach.

        Arguments
        ---------
        target : int or float
            ``target_parameters``.
        """
        model = self.model()
        self.gated = GatedUnits(model, *self.regular)
        self.wanted = wanted_count(
            target,
            total=self.others + count_parameters(model),
            least=self.others + self.gated.least,
            most=self.others + self.gated.most,
        )

    @torch.no_grad()
    def look(self, count: bool = False) -> None:
        """Follow the units; does nothing before the decline.

        Arguments
        ---------
        count : bool
            Whether to count parameters although it is not time to.
        """
        model = self.model()
        if self.schedule.progress() == 0.0 or not _widths(model):
            return
        if self.gated is None or not self.gated.are_those_of(model):
            self.gated = GatedUnits(model, *self.regular)
        number = min(self.schedule.units, self.gated.size)
        if number < 0:
            number = self._solve(self.gated.size // 2, FIRST_COUNTS)
        elif count or self.schedule.step % self.every == 0:
            number = self._solve(number, COUNTS)
        self.schedule.lead(-self.gated.boundary(number), number)

    def _solve(self, number: int, counts: int) -> int:
        return self.gated.solve(self.wanted - self.others, number, counts)


class GatedUnits:
    """The gated units of a model as it is now, ordered by their logits.

    Arguments
    ---------
    model : nn.Module
        A gated model.
    round_to : int
        See ``steer_size``.
    balance_heads : bool
        See ``steer_size``.
    """

    def __init__(
        self, model: nn.Module, round_to: int = 1, balance_heads: bool = False
    ) -> None:
        self.gates = adaptive_dropouts(model)
        self.widths = _widths(model)
        self.size = sum(gate.size for gate in self.gates.values())
        self.counter = ParameterCounter(model)
        self.regular = (round_to, balance_heads)
        self.least = self.count(0)
        self.most = self.count(self.size)

    def are_those_of(self, model: nn.Module) -> bool:
        """Whether the model still has the same ones.

        Arguments
        ---------
        model : nn.Module
            The model.

        Returns
        -------
        bool
            False if some have left since.
        """
        return self.widths == _widths(model)

    def _scores(self) -> dict[str, Tensor]:
        """How far above the centre each unit is."""
        return {
            name: gate.scale * gate.logits.detach().float().flatten()
            for name, gate in self.gates.items()
        }

    def boundary(self, number: int) -> Tensor:
        """The middle between the last of the best units and the next one.

        It is found without waiting for the device.

        Arguments
        ---------
        number : int
            How many units are the best ones.

        Returns
        -------
        torch.Tensor
            A scalar: how far above the centre of the logits it is.
        """
        scores = torch.cat(list(self._scores().values()))
        ends = torch.stack([scores.min() - 1.0, scores.max() + 1.0])
        scores = torch.cat([scores, ends])
        goes = self.size + 1 - number  # its rank, from below
        last = scores.kthvalue(goes + 1).values
        return (scores.kthvalue(goes).values + last) / 2.0

    def count(self, number: int) -> int:
        """Parameters of the model that the best units leave.

        Arguments
        ---------
        number : int
            How many units are the best ones.

        Returns
        -------
        int
            The number of parameters.
        """
        selection = Selection(
            self._scores(), self.counter.shapes, *self.regular
        )
        return self.counter(selection.best(number))

    def solve(self, wanted: int, number: int, counts: int) -> int:
        """The number of units that leaves a size, near another number. Steps
        of Newton's method, with the average price of a unit, within what the
        counts so far have shown.

        Arguments
        ---------
        wanted : int
            Parameters of the model.
        number : int
            Where to begin.
        counts : int
            How often to count at most.

        Returns
        -------
        int
            The best number that was tried.
        """
        price = (self.most - self.least) / self.size
        low, high = -1, self.size + 1
        tried = {}
        while low < number < high and len(tried) < counts:
            missing = wanted - self.count(number)
            tried[abs(missing)] = number
            if abs(missing) <= CLOSE * wanted:
                break
            low, high = (number, high) if missing > 0 else (low, number)
            number += round(missing / price)
            if not low < number < high:
                number = (low + high) // 2
        return tried[min(tried)]


def _widths(model: nn.Module | None) -> dict[AdaptiveDropout, int]:
    """The gates that a model has, if it is still there, and their sizes."""
    return {
        gate: gate.logits.numel()
        for gate in (() if model is None else model.modules())
        if isinstance(gate, AdaptiveDropout)
    }

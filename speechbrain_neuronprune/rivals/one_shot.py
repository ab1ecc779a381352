"""Recognisers that are cut once, by a score.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from speechbrain_neuronprune.attach import adaptive_dropouts
from speechbrain_neuronprune.brains.recogniser import AdaptiveDropoutASR
from speechbrain_neuronprune.informing import noted_importance
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.units import UnitGroup, supported_units
from speechbrain_neuronprune.units.vectors import entry_of


class OneShotMixin(ABC):
    """Trains the whole model, cuts it at ``settle_step`` to
    ``target_parameters`` by a score of every unit, and trains what is left.

    Give the model ``OpenGate`` gates.
    """

    learned_retention = False

    @abstractmethod
    def scores(self) -> dict[str, Tensor]:
        """A number per unit, the higher the more worth keeping."""

    def _gated(self) -> dict[str, UnitGroup]:
        """Only groups with a gate can be settled."""
        groups = supported_units(self.pruned)
        return {name: groups[name] for name in adaptive_dropouts(self.pruned)}

    def plan_for(self, target: float | int) -> PruningPlan:
        """The plan that leaves a given size: the units with the highest
        scores, or those that are settled.

        Arguments
        ---------
        target : float or int
            Parameters of the whole model: a share or a count.

        Returns
        -------
        PruningPlan
            Which units stay.
        """
        gates = adaptive_dropouts(self.pruned).values()
        if all(gate.settled for gate in gates):
            return super().plan_for(target)
        return PruningPlan.from_scores(
            self.scores(),
            self.pruned,
            target_parameters=target,
            round_to=self.hparams.round_to,
            balance_heads=self.hparams.balance_heads,
            others=self.other_parameters,
        )


class MagnitudeASR(OneShotMixin, AdaptiveDropoutASR):
    """Keeps the units with the largest weights."""

    def scores(self) -> dict[str, Tensor]:
        """Sums of squares of all that a unit owns, relative to its group:
        weights of different layers have different sizes.

        Returns
        -------
        dict of str to torch.Tensor
            By group, (units,).
        """
        return {
            name: relative(magnitudes(self.pruned, group))
            for name, group in self._gated().items()
        }


class TaylorASR(OneShotMixin, AdaptiveDropoutASR):
    """Keeps the units on which the loss depends the most."""

    def scores(self) -> dict[str, Tensor]:
        """The importance that the gates have noted, relative to what it
        saves: to parameters.

        Returns
        -------
        dict of str to torch.Tensor
            By group, (units,).
        """
        return noted_importance(self.pruned)


class RandomUnitsASR(OneShotMixin, AdaptiveDropoutASR):
    """Keeps any units."""

    def scores(self) -> dict[str, Tensor]:
        """Numbers that depend on the seed alone.

        Returns
        -------
        dict of str to torch.Tensor
            By group, (units,), from 0 to 1.
        """
        generator = torch.Generator().manual_seed(self.hparams.seed)
        return {
            name: torch.rand(group.size, generator=generator)
            for name, group in self._gated().items()
        }


@torch.no_grad()
def magnitudes(model: torch.nn.Module, group: UnitGroup) -> Tensor:
    """Sums of squares of the parameters that units own.

    Arguments
    ---------
    model : torch.nn.Module
        The model.
    group : UnitGroup
        One of its groups.

    Returns
    -------
    torch.Tensor
        (units,), float64.

    Example
    -------
    >>> model = torch.nn.Sequential(
    ...     torch.nn.Linear(1, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1)
    ... )
    >>> for values in model.parameters():
    ...     _ = torch.nn.init.constant_(values, 2.0)
    >>> magnitudes(model, supported_units(model)["0"])
    tensor([12., 12.], dtype=torch.float64)
    """
    layer = model.get_submodule(group.layer)
    total = torch.zeros(group.size, dtype=torch.float64)
    for one in group.slices:
        squares = entry_of(layer, one.parameter).detach().cpu().double() ** 2
        lines = squares.movedim(one.dim or 0, 0).reshape(-1, 1)
        if one.dim is not None:
            lines = lines.reshape(squares.shape[one.dim], -1)
        total += lines.sum(1)[one.index.cpu()].sum(1)
    return total


def relative(scores: Tensor) -> Tensor:
    """Scores of one group, with a mean of one.

    Arguments
    ---------
    scores : torch.Tensor
        (units,), none below zero.

    Returns
    -------
    torch.Tensor
        (units,); zeros if all scores are zero.

    Example
    -------
    >>> relative(torch.tensor([1.0, 3.0]))
    tensor([0.5000, 1.5000])
    """
    return scores / scores.mean().clamp(min=torch.finfo(scores.dtype).tiny)

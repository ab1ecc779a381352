"""A recogniser whose loss is led to a size.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any

import speechbrain as sb
import torch
from torch import Tensor, nn

from speechbrain_neuronprune.brains.recogniser import AdaptiveDropoutASR
from speechbrain_neuronprune.expected_size import surviving_parameters
from speechbrain_neuronprune.shrinking import whole_form
from speechbrain_neuronprune.units import count_parameters


class SizeMultipliers(nn.Module):
    """Lagrange multipliers of a size: linear * gap + quadratic * gap^2.

    They climb where the model's parameters descend (Wang, Wohlwend and Lei,
    "Structured pruning of large language models", EMNLP 2020, sec. 3.3).

    Example
    -------
    >>> multipliers = SizeMultipliers()
    >>> multipliers(torch.tensor(0.5)).backward()
    >>> multipliers.linear.grad, multipliers.quadratic.grad
    (tensor(0.5000), tensor(0.2500))
    """

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Parameter(torch.zeros(()))
        self.quadratic = nn.Parameter(torch.zeros(()))

    def forward(self, gap: Tensor) -> Tensor:
        """The penalty for a size that is not the wanted one.

        Arguments
        ---------
        gap : torch.Tensor
            By how much it is larger, as a share of all parameters.

        Returns
        -------
        torch.Tensor
            A scalar.
        """
        return self.linear * gap + self.quadratic * gap.square()


class SizePenaltyMixin:
    """Adds to the loss what the expected size is too large or too small.

    The wanted size falls from the whole model to ``target_parameters`` while
    the schedule of the gates declines. At ``settle_step``, the units that are
    likeliest to stay are chosen for the exact size, as ever.
    """

    multiplier_lr = 0.02

    def init_optimizers(self) -> None:
        """Give the multipliers an optimiser that climbs."""
        super().init_optimizers()
        self.multipliers = SizeMultipliers().to(self.device)
        climbing = torch.optim.Adam(
            self.multipliers.parameters(), self.multiplier_lr, maximize=True
        )
        self.optimizers_dict["multipliers"] = climbing
        self._make_recoverable("multipliers", self.multipliers)
        self._make_recoverable("multipliers_optimizer", climbing)

    def compute_objectives(
        self, predictions: tuple, batch: Any, stage: sb.Stage
    ) -> Tensor:
        """The recogniser's loss and, until it is settled, the penalty."""
        loss = super().compute_objectives(predictions, batch, stage)
        if stage != sb.Stage.TRAIN or self.schedule.progress() == 0.0:
            return loss
        if self._settling_is_due:
            return loss
        gap = self.expected_share() - self.wanted
        return loss + self.multipliers(gap.to(self.device, torch.float32))

    @property
    def wanted(self) -> float:
        """The share of all parameters that is wanted now."""
        progress = self.schedule.progress()
        target = self.hparams.target_parameters
        share = target if target <= 1 else target / self._all_parameters
        return 1.0 - progress * (1.0 - share)

    def expected_share(self) -> Tensor:
        """The share of all parameters that a draw leaves on average.

        Returns
        -------
        torch.Tensor
            A scalar, which can be differentiated.
        """
        left = surviving_parameters(self.pruned, lambda gate: gate.retention())
        return (self.other_parameters + left) / self._all_parameters

    @property
    def _all_parameters(self) -> int:
        """Those that have left a model that shrinks included."""
        return self.other_parameters + count_parameters(whole_form(self.pruned))


class SizePenaltyASR(SizePenaltyMixin, AdaptiveDropoutASR):
    """A Conformer for hard concrete gates."""

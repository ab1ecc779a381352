"""Adaptive dropout: every unit learns how likely it is to be retained.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.gates.gate import UnitGate
from speechbrain_neuronprune.gates.schedule import RetentionSchedule
from speechbrain_neuronprune.gates.stock import AbsentInStock
from speechbrain_neuronprune.gates.straight_through import (
    StraightThrough,
    beta_of,
)


def logistic_noise(*shape: int, device: torch.device | None = None) -> Tensor:
    """Draw eps ~ Logistic(0, 1), the difference of two Gumbel variables.

    Arguments
    ---------
    *shape : int
        Shape of the draw.
    device : torch.device, optional
        Where to draw.

    Returns
    -------
    torch.Tensor
        Finite float32 noise.
    """
    uniform = torch.rand(shape, device=device)
    # rand may return 0, whose logit is -inf; the bound has probability 1e-7.
    return uniform.logit_(eps=1e-7)


def _recall(gate: "AdaptiveDropout", keys: Any) -> None:
    if not gate.logits.is_meta:
        gate.recall()


# Far outside of what the noise reaches (|eps| < 17): no draw is random.
CERTAIN = 100.0
# Of units that have left a model that shrinks. Farther away than whatever
# settles or steers takes the logits of others.
GONE = -1e4


class AdaptiveDropout(AbsentInStock, UnitGate):
    r"""Dropout whose retention probabilities are learned, unit by unit.

    In training, with logits :math:`\beta` and
    :math:`\epsilon \sim \mathrm{Logistic}(0, 1)` (Kubo et al., sec. 2.1 - 2.2),

    .. math::
        m = H(\beta + \epsilon), \qquad
        \partial m / \partial \beta := \sigma'(\beta + \epsilon),

    a hard Bernoulli(sigmoid(beta)) sample whose gradient is that of the
    sigmoid with the same noise (straight-through). There is no temperature
    and no 1/p rescaling. One draw per utterance is shared over time. In
    evaluation a unit is present if and only if beta >= c_end (sec. 2.3).

    The logits are stored as beta' with beta = scale * beta' + c(t), where
    scale = sqrt(gamma / alpha). Ordinary coupled L2 of weight gamma on beta'
    then is the paper's penalty alpha * (beta - c(t))^2 (eq. 5), and units
    drift towards removal unless the loss pushes them up. Give ``logits`` to
    an optimiser with ``weight_decay = 2 * gamma`` in Adam's (coupled) sense.

    Evaluation draws nothing, nor does a gate that is settled. As long as it
    learns, a gate draws even where every unit is all but certain: the
    gradients are small there, but Adam divides by their size, so leaving them
    out would be another training. And every gate draws for itself: when a
    piece of the model is computed again for the backward pass (gradient
    checkpointing), the generator is set back, and the draws are the same.

    Arguments
    ---------
    *shape : int
        Shape of the units, the last dimensions of the input.
    schedule : RetentionSchedule
        c(t); shared by all gates of a model.
    scale : float
        sqrt(gamma / alpha); 10 with the paper's values.
    batch_dim : int
        Which dimension of the input counts utterances.

    Raises
    ------
    TrainingError
        If the scale is no positive number.

    Example
    -------
    >>> gate = AdaptiveDropout(4, schedule=RetentionSchedule(steps=10))
    >>> gate.schedule.advance(10)
    >>> gate.retention()
    tensor([0.1192, 0.1192, 0.1192, 0.1192], grad_fn=<SigmoidBackward0>)
    >>> gate(torch.ones(2, 7, 4)).shape
    torch.Size([2, 7, 4])
    """

    def __init__(
        self,
        *shape: int,
        schedule: RetentionSchedule | None = None,
        scale: float = 10.0,
        batch_dim: int = 0,
    ) -> None:
        super().__init__(*shape, batch_dim=batch_dim)
        self.schedule = RetentionSchedule() if schedule is None else schedule
        if not 0.0 < scale < math.inf:
            raise TrainingError(
                f"Logits cannot have scale={scale}; give a number > 0."
            )
        self.scale = float(scale)
        self.logits = nn.Parameter(torch.zeros(shape))
        # What the host has to know of settled logits without asking the device
        self.is_decided = self.whole = False
        # When the schedule has been loaded too.
        self.register_load_state_dict_post_hook(_recall)

    def beta(self) -> Tensor:
        """The retention logits, scale * beta' + c(t).

        Returns
        -------
        torch.Tensor
            Of shape ``shape``, float32.
        """
        return beta_of(self.logits, self.scale, self.schedule.centre)

    def retention(self) -> Tensor:
        """The retention probabilities, sigmoid(beta).

        Returns
        -------
        torch.Tensor
            Of shape ``shape``, float32.
        """
        return torch.sigmoid(self.beta())

    def keep(self) -> Tensor:
        """The units that evaluation keeps, beta >= c_end (sec. 2.3).

        Returns
        -------
        torch.Tensor
            Bool, of shape ``shape``.
        """
        return self.beta().detach() >= self.schedule.c_end

    @torch.no_grad()
    def settle(self, keep: Tensor) -> None:
        """Decide for good: the kept units are always present, the others
        never, and the logits learn no more.

        The decision is written into the logits, by which a checkpoint knows
        it; their order within the kept and the removed units stays.

        Arguments
        ---------
        keep : torch.Tensor
            Bool of shape ``shape``.
        """
        sign = keep.to(self.logits.device).float() * 2.0 - 1.0
        self.logits += sign.view_as(self.logits) * CERTAIN / self.scale
        self.logits.requires_grad_(False)
        self.logits.grad = None  # an optimiser would move on with its momentum
        self.recall()

    @property
    def settled(self) -> bool:
        """Whether ``settle`` has decided; the logits tell. Where a schedule is
        steered, they may go far together, and its offset takes that back."""
        away = self.scale * self.logits.detach().float()
        away = away + float(self.schedule.offset)
        return bool((away.abs() > CERTAIN / 2).all())

    @torch.no_grad()
    def recall(self) -> None:
        """Read from the logits what is settled; this asks the device."""
        self.is_decided = self.settled
        self.whole = self.is_decided and bool((self.logits > 0).all())

    @property
    def decided(self) -> Tensor | None:
        """What is settled, as a mask ``(1, *shape)``; None before that."""
        if not self.is_decided:
            return None
        return (self.logits.detach() > 0).float().unsqueeze(0)

    def penalty(self, gamma: float = 1e-5) -> Tensor:
        """gamma * sum(beta'^2) = alpha * sum((beta - c(t))^2), eq. 5.

        For a loss of your own; an optimiser's coupled weight decay of
        ``2 * gamma`` on the logits does the same.

        Arguments
        ---------
        gamma : float
            The weight of the penalty.

        Returns
        -------
        torch.Tensor
            A scalar.
        """
        return gamma * self.logits.float().square().sum()

    @property
    def draws(self) -> bool:
        """Whether the mask is random: in training, until it is settled."""
        learns = self.logits.requires_grad or not self.is_decided
        return self.training and learns

    @property
    def idle(self) -> bool:
        """Whether it is settled that all units stay, as after a shrink."""
        return self.training and self.whole and not self.draws

    def _noise(self, batch_size: int) -> Tensor:
        return logistic_noise(
            batch_size, *self.shape, device=self.logits.device
        )

    def _step(self, noise: Tensor, x: Tensor | None = None) -> Tensor:
        return StraightThrough.apply(
            self.logits, self.scale, self.schedule.centre, noise, x
        )

    def mask(self, batch_size: int) -> Tensor:
        """One draw per utterance in training, the hard decision otherwise."""
        if self.draws:
            return self._step(self._noise(batch_size))
        if self.training:
            return self.decided
        return self.keep().float().unsqueeze(0)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply ``x``, ``(..., *shape)``, by one mask per utterance."""
        if self.draws and self.logits.requires_grad:
            noise = self._noise(self._utterances(x))
            return self._step(self._over(x, noise), x)
        return super().forward(x)

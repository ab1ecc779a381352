"""Hard concrete gates.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math

import torch
from torch import Tensor

from speechbrain_neuronprune.gates.adaptive_dropout import AdaptiveDropout

# beta, gamma and zeta of the paper
TEMPERATURE = 2.0 / 3.0
LOW, HIGH = -0.1, 1.1
SHIFT = TEMPERATURE * math.log(-LOW / HIGH)


class HardConcrete(AdaptiveDropout):
    r"""A gate whose draws lie between zero and one, and often on either.

    With logits :math:`\beta` and logistic noise :math:`\epsilon`,

    .. math::
        s = \mathrm{sigmoid}((\log\alpha + \epsilon) / \tau), \qquad
        z = \min(1, \max(0, s (\zeta - \gamma) + \gamma)),

    where :math:`\log\alpha = \beta + \tau \log(-\gamma / \zeta)`, so that
    :math:`\mathrm{sigmoid}(\beta)` is the probability of :math:`z > 0`: the
    retention probability of such a gate (Louizos, Welling and Kingma,
    "Learning sparse neural networks through L0 regularization", ICLR 2018,
    eq. 10 to 13). Evaluation takes ``z`` without noise, until the gate is
    settled. Only then can a model be compacted exactly, since what is between
    zero and one is no decision.

    Arguments are those of ``AdaptiveDropout``. The paper has no schedule: give
    one with ``c_start`` equal to ``c_end``, where the logits begin.

    Example
    -------
    >>> from speechbrain_neuronprune import RetentionSchedule
    >>> schedule = RetentionSchedule(c_start=3.0, c_end=3.0)
    >>> gate = HardConcrete(4, schedule=schedule)
    >>> drawn = gate(torch.ones(100, 4))
    >>> bool((drawn == 1).any()), bool(((drawn > 0) & (drawn < 1)).any())
    (True, True)
    """

    def _stretched(self, logits: Tensor) -> Tensor:
        soft = torch.sigmoid((logits + SHIFT) / TEMPERATURE)
        return (soft * (HIGH - LOW) + LOW).clamp(0.0, 1.0)

    def _step(self, noise: Tensor, x: Tensor | None = None) -> Tensor:
        mask = self._stretched(self.beta() + noise)
        return mask if x is None else x * mask.to(x.dtype)

    def mask(self, batch_size: int) -> Tensor:
        """One draw per utterance in training, else what noise of zero gives;
        the hard decision once it is settled."""
        if self.draws or self.is_decided:
            return super().mask(batch_size)
        return self._stretched(self.beta().detach()).unsqueeze(0)

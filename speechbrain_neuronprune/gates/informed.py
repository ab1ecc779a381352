"""Adaptive dropout that knows what matters before units begin to go.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch
from torch import Tensor

from speechbrain_neuronprune.gates.adaptive_dropout import AdaptiveDropout
from speechbrain_neuronprune.gates.open_gate import OpenGate


class InformedDropout(OpenGate):
    r"""An open gate that becomes adaptive dropout.

    While c(t) holds, it keeps every unit and notes its importance, as
    ``OpenGate`` does, and its logits do not learn. ``begin`` gives the logits
    values to begin with; from then on it is ``AdaptiveDropout``.

    Ours, not the paper's: there, all logits fall together, and in a short run
    it is the loss under masks that are nearly at random that has to tell the
    units apart.

    Arguments are those of ``AdaptiveDropout``.

    Example
    -------
    >>> gate = InformedDropout(2)
    >>> gate(torch.ones(1, 2))
    tensor([[1., 1.]], grad_fn=<MulBackward0>)
    >>> gate.begin(torch.tensor([-100.0, 100.0]))
    >>> gate(torch.ones(1, 2))
    tensor([[0., 1.]], grad_fn=<StraightThroughBackward>)
    """

    @property
    def informed(self) -> bool:
        """Whether the logits learn, or have learned, from ``begin`` on."""
        return self.logits.requires_grad or self.is_decided

    @torch.no_grad()
    def begin(self, logits: Tensor | None = None) -> None:
        """Let the logits learn.

        Arguments
        ---------
        logits : torch.Tensor, optional
            Where they begin, beta' of shape ``shape``; None leaves them, as
            when a run is resumed.
        """
        if logits is not None:
            self.logits.copy_(logits.view_as(self.logits))
        self.logits.requires_grad_(True)

    def mask(self, batch_size: int) -> Tensor:
        """Ones until it has begun, then those of adaptive dropout."""
        if self.informed:
            return AdaptiveDropout.mask(self, batch_size)
        return super().mask(batch_size)

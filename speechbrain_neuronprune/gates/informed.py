"""Adaptive dropout that knows what matters before units begin to go.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from speechbrain_neuronprune.gates.adaptive_dropout import (
    GONE,
    AdaptiveDropout,
)
from speechbrain_neuronprune.gates.gate import UnitGate
from speechbrain_neuronprune.gates.open_gate import OpenGate

# Of the logits beta that training begins with. Two units of three then have
# retention probabilities as far from each other as sigmoid(-4) and sigmoid(4).
SPREAD = 4.0


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

    follows = False  # an optimiser, which lets it begin
    waits = False  # for that; the host's memory of what the logits tell

    @property
    def informed(self) -> bool:
        """Whether the logits learn, or have learned, from ``begin`` on."""
        if self.follows:
            return not self.waits
        return self.logits.requires_grad or self.is_decided

    def follow(self) -> None:
        """Wait for an optimiser to take the last step of the hold. The logits
        are known as a parameter that learns, to it and to data-parallel
        training."""
        self.follows = True
        if self.logits.is_meta:
            self.waits = True
        else:
            self.recall()
        if self.waits:
            self.logits.requires_grad_(True)

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
            new = logits.view_as(self.logits).to(self.logits)
            self.logits.copy_(torch.where(self._left, self.logits, new))
        self.waits = False
        self.logits.requires_grad_(True)

    def recall(self) -> None:
        """Read from the logits what is settled, and whether they have begun;
        this asks the device."""
        super().recall()
        untouched = (self.logits.detach() == 0) | self._left
        self.waits = (
            self.follows and not self.is_decided and bool(untouched.all())
        )

    @property
    def _left(self) -> Tensor:
        """The units that have left a model that shrinks, for good."""
        return self.scale * self.logits.detach() < GONE / 2

    def mask(self, batch_size: int) -> Tensor:
        """Ones until it has begun, then those of adaptive dropout."""
        if self.informed:
            return AdaptiveDropout.mask(self, batch_size)
        ones = super().mask(batch_size)
        if self.waits and self.draws:
            # Data-parallel training expects a gradient, if one of zero.
            return ones + 0.0 * self.logits
        return ones

    def forward(self, x: Tensor) -> Tensor:
        """Multiply ``x``, ``(..., *shape)``, by one mask per utterance."""
        if self.informed:
            return super().forward(x)
        return UnitGate.forward(self, x)


def begin_together(
    gates: Sequence[InformedDropout],
    scores: Sequence[Tensor],
    spread: float = SPREAD,
) -> None:
    """Let gates begin with a ranking of all their units together.

    The retention logits become normally distributed around c(t), in the order
    of the scores, whatever their distribution is: so as c(t) declines, the
    units of the lowest scores become unlikely first, a few at a time, and the
    gradients have a word in it only where it is about to be decided.

    Arguments
    ---------
    gates : sequence of InformedDropout
        The gates.
    scores : sequence of torch.Tensor
        By gate, (units,), the higher the more worth keeping.
    spread : float
        Standard deviation of the logits beta.

    Example
    -------
    >>> gate = InformedDropout(3)
    >>> begin_together([gate], [torch.tensor([5.0, 0.1, 0.7])])
    >>> gate.beta() - gate.schedule.c()
    tensor([ 3.8697, -3.8697,  0.0000], grad_fn=<SubBackward0>)
    """
    flat = torch.cat([one.detach().flatten().cpu() for one in scores])
    ranks = flat.argsort().argsort()
    quantiles = torch.special.ndtri((ranks + 0.5) / len(ranks))
    sizes = [gate.size for gate in gates]
    for gate, part in zip(gates, quantiles.split(sizes), strict=True):
        gate.begin(part * spread / gate.scale)

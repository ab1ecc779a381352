"""Gates that stay open and note how much their units matter.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any

import torch
from torch import Tensor

from speechbrain_neuronprune.gates.adaptive_dropout import AdaptiveDropout

# How much of the importance so far stays after a batch.
MEMORY = 0.98


class OpenGate(AdaptiveDropout):
    r"""Keeps every unit until it is settled, and notes how much each matters.

    The mask :math:`m` of an utterance is one. To take the unit away would
    change the loss by :math:`\partial L / \partial m` in the first order
    (Molchanov et al., "Pruning convolutional neural networks for resource
    efficient inference", ICLR 2017, eq. 7), so ``importance`` is the running
    mean over utterances of its absolute value. It costs a product, and is
    saved with the model.

    Arguments are those of ``AdaptiveDropout``; the logits do not learn.

    Example
    -------
    >>> gate = OpenGate(3)
    >>> gate(torch.tensor([[1.0, -2.0, 0.0]])).sum().backward()
    >>> gate.importance / gate.importance[0]
    tensor([1., 2., 0.])
    """

    def __init__(self, *shape: int, **options: Any) -> None:
        super().__init__(*shape, **options)
        self.logits.requires_grad_(False)  # no process shall wait for them
        self.register_buffer("importance", torch.zeros(self.shape))

    @property
    def worth(self) -> Tensor:
        """The importance of each unit per parameter that it owns, (units,)."""
        return self.importance.flatten() / self.cost

    def mask(self, batch_size: int) -> Tensor:
        """Ones, until it is settled."""
        if not self.draws:
            return super().mask(batch_size)
        ones = torch.ones(
            batch_size,
            *self.shape,
            device=self.logits.device,
            requires_grad=True,
        )
        ones.register_hook(self._note)
        return ones

    @torch.no_grad()
    def _note(self, gradient: Tensor) -> None:
        # A loss is a mean over utterances, whatever their number.
        change = (gradient.abs() * len(gradient)).mean(0)
        # The scaler of fp16 skips such a step, and tries a lower scale.
        change = torch.where(change.isfinite(), change, self.importance)
        self.importance.lerp_(change.to(self.importance.dtype), 1.0 - MEMORY)

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *others: Any
    ) -> None:
        # A run may have begun with gates that note nothing.
        if f"{prefix}logits" in state_dict:
            state_dict.setdefault(f"{prefix}importance", self.importance)
        super()._load_from_state_dict(state_dict, prefix, *others)

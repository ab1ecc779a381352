"""A Brain that stops before a loss that is not a number does harm.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch
from torch import Tensor

from speechbrain_neuronprune.errors import TrainingError


class FiniteLossMixin:
    """The part of ``AdaptiveDropoutMixin`` that looks at every loss."""

    def check_loss_isfinite(self, loss: Tensor) -> None:
        """Stop with a clear message before a loss that is not a number can
        reach the parameters, and so a checkpoint.

        Arguments
        ---------
        loss : torch.Tensor
            The loss of a batch, a scalar.

        Raises
        ------
        TrainingError
            If it is not finite, unless the steps with such losses leave the
            parameters alone; a few of them are borne then.
        """
        if torch.isfinite(loss):
            return
        if self.scaler.is_enabled() or self.skip_nonfinite_grads:
            self.nonfinite_count += 1  # such steps leave the parameters alone
            if self.nonfinite_count <= self.nonfinite_patience:
                return
        raise TrainingError(
            f"The loss is {loss.item()} at optimizer step "
            f"{self.optimizer_step + 1}; lower the learning rate, warm up "
            "longer, or pass --skip_nonfinite_grads if single utterances are "
            "to blame. The last checkpoint is intact."
        )

"""A Brain that stops before a loss that is not a number does harm.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch
from torch import Tensor, nn

from speechbrain_neuronprune.errors import TrainingError


class FiniteLossMixin:
    """The part of ``AdaptiveDropoutMixin`` that looks at every loss, and once
    per epoch at the parameters."""

    modules: nn.ModuleDict

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
            f"to blame. {self._what_is_intact()}"
        )

    def _refuse_broken_parameters(self) -> None:
        """Stop before an epoch's checkpoint, if a finite loss had a gradient
        that is not: the next loss would tell, but that comes after it."""
        name = self._broken_parameter()
        if name is not None:
            raise TrainingError(
                f"The parameter {name} is not finite after optimizer step "
                f"{self.optimizer_step}, though the losses were; look for a "
                "gradient without a bound, such as that of a square root at "
                f"0, or pass --skip_nonfinite_grads. {self._what_is_intact()}"
            )

    def _broken_parameter(self) -> str | None:
        """The first parameter that has learned what is no number."""
        for name, parameter in self.modules.named_parameters():
            if parameter.requires_grad and not parameter.isfinite().all():
                return name
        return None

    def _what_is_intact(self) -> str:
        """What to do about checkpoints. An earlier step may have broken the
        parameters, and a checkpoint may have been saved since."""
        found = self.checkpointer and self.checkpointer.find_checkpoint()
        if not found:
            return "There is no checkpoint to resume from."
        if self._broken_parameter() is None:
            return "The last checkpoint is intact."
        return (
            "Parameters are not finite any more; if resuming fails in the "
            f"same way, they were saved so: delete {found.path} then."
        )

"""A recogniser that learns from a teacher too.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any

import speechbrain as sb
import torch
from torch import Tensor, nn

from speechbrain_neuronprune.brains.distillation_losses import (
    block_loss,
    block_outputs,
    find_blocks,
    posterior_loss,
)
from speechbrain_neuronprune.brains.recogniser import AdaptiveDropoutASR
from speechbrain_neuronprune.errors import TrainingError


class DistillationMixin:
    """Makes a ``CTCRecogniser`` learn from a teacher, beside its labels.

    Put it before the recogniser in the bases, and give it a teacher by
    ``learn_from``; without one, it changes nothing. Hyperparameters: the
    weights of the two losses, ``distill_posteriors`` (``posterior_loss``, at
    ``distill_temperature``) and ``distill_blocks`` (``block_loss``). Both are
    added to the recogniser's own loss, in training alone.

    Teacher and student get the same features, augmented and normalised. The
    teacher is no module of the Brain: no optimiser, checkpoint, parameter
    count or distributed wrapper knows of it, and every process has its own.
    """

    teacher: nn.Module | None = None

    def learn_from(self, teacher: nn.Module) -> None:
        """Take a teacher, if it would be heard at all.

        Arguments
        ---------
        teacher : nn.Module
            Called with normalised features and relative lengths, gives what
            ``activations`` gives. It is frozen and put into evaluation mode.

        Raises
        ------
        TrainingError
            If the blocks shall be compared, but there are none.
        """
        if self.hparams.distill_blocks and not find_blocks(self.pruned):
            raise TrainingError(
                f"The module {self.pruned_module} has no blocks whose outputs "
                "could be compared with the teacher's; pass "
                "--distill_blocks=0."
            )
        if any(self._distill_weights):
            teacher = teacher.to(self.device).eval()
            self.teacher = teacher.requires_grad_(False)

    @property
    def _distill_weights(self) -> tuple[float, float]:
        return self.hparams.distill_posteriors, self.hparams.distill_blocks

    def on_fit_start(self) -> None:
        """Refuse to train without the teacher that the weights ask for.

        Raises
        ------
        TrainingError
            If there is none.
        """
        if any(self._distill_weights) and self.teacher is None:
            raise TrainingError(
                "There is no teacher, as there is no starting point, but the "
                "distillation has the weights "
                f"{self._distill_weights}; give a starting_point, or pass "
                "--distill_posteriors=0 --distill_blocks=0."
            )
        super().on_fit_start()

    def activations(self, features: Tensor, lengths: Tensor) -> Tensor:
        """What the student makes of features; in training, it is compared
        with what the teacher makes of them."""
        if self.teacher is None or not self.modules.training:
            return super().activations(features, lengths)
        with block_outputs(self.pruned) as blocks:
            activations = super().activations(features, lengths)
        with block_outputs(self.teacher) as taught_blocks, torch.no_grad():
            taught = self.teacher(features, lengths)
        on_posteriors, on_blocks = self._distill_weights
        self.distance = torch.zeros((), device=activations.device)
        if on_posteriors:
            self.distance += on_posteriors * posterior_loss(
                activations, taught, lengths, self.hparams.distill_temperature
            )
        if on_blocks:
            self.distance += on_blocks * block_loss(
                blocks, taught_blocks, lengths
            )
        return activations

    def compute_objectives(
        self, predictions: tuple, batch: Any, stage: sb.Stage
    ) -> Tensor:
        """The recogniser's loss, and in training its distance from the
        teacher."""
        loss = super().compute_objectives(predictions, batch, stage)
        if self.teacher is None or stage != sb.Stage.TRAIN:
            return loss
        return loss + self.distance


class DistilledASR(DistillationMixin, AdaptiveDropoutASR):
    """A Conformer that learns from a teacher while it is pruned."""

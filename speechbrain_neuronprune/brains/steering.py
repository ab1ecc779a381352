"""A Brain that leads its model to a size.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain_neuronprune.brains.pruned_module import PrunedModuleMixin
from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.steering import steer_size


class SteeringMixin(PrunedModuleMixin):
    """The part of ``AdaptiveDropoutMixin`` that steers the size."""

    def init_optimizers(self) -> None:
        """Begin to steer, before the Brain has optimisers."""
        self._steer()
        super().init_optimizers()

    def _steer(self) -> None:
        """Lead the training to its size, if it shall be. The model has all
        of its units here: nothing is recovered yet."""
        step, schedule = self.hparams.settle_step, self.schedule
        if schedule is None or not self.hparams.steer_size:
            return
        if step is not None and step < schedule.end:
            raise TrainingError(
                f"The units cannot be settled at step {step} by a threshold "
                "that the decline of c(t) reaches at step "
                f"{schedule.end}; give a later settle_step "
                "or steer_size: False."
            )
        steer_size(
            self.pruned,
            self.hparams.target_parameters,
            others=self.other_parameters,
            round_to=self.hparams.round_to,
            balance_heads=self.hparams.balance_heads,
        )

    def _steer_exactly(self) -> None:
        """Steer the units as they are now, whenever they were counted."""
        if not self.hparams.steer_size or self.schedule.units < 0:
            return
        if self.schedule.steering is None:
            self._steer()
        self.schedule.steering.look(count=True)

    def lead_average(self) -> None:
        """Steer an average of checkpoints, too. Each of them has the wanted
        size by c_end, but their average has another one."""
        if self.schedule is not None and not self._settling_is_due:
            self._steer_exactly()

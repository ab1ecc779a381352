"""A Brain whose gates begin with what they have noted.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain.utils.distributed import main_process_only

from speechbrain_neuronprune.brains.pruned_module import PrunedModuleMixin
from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.informing import (
    inform,
    informed_dropouts,
    noted_importance,
)
from speechbrain_neuronprune.shrinking import whole_form


class InformingMixin(PrunedModuleMixin):
    """The part of ``AdaptiveDropoutMixin`` that informs the gates, if they are
    of the kind ``InformedDropout``, when c(t) begins to decline."""

    def _check_informing(self) -> None:
        if informed_dropouts(self.pruned) and self.schedule.hold < 1:
            raise TrainingError(
                "Informed gates note what matters while c(t) holds, and this "
                "schedule holds for 0 steps; give hold_steps, or "
                "AdaptiveDropout as the gate."
            )

    def _inform(self) -> None:
        """Let the logits begin, when the hold is over."""
        if not informed_dropouts(self.pruned):
            return
        # Every process has heard other speech; one decides for all of them.
        scores = main_process_only(lambda: noted_importance(self.pruned))()
        inform(self.pruned, scores, self.hparams.inform_spread)
        self._rewrap()

    def _stay_informed(self) -> None:
        """Let the logits of a run that goes on learn, if they had begun."""
        gates = informed_dropouts(whole_form(self.pruned)).values()
        if gates and self.schedule.step >= self.schedule.hold:
            for gate in gates:
                gate.begin()
            self._rewrap()

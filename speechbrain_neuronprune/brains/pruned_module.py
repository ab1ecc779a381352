"""What the parts of a Brain that prunes share: the module with gates.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from types import SimpleNamespace

from torch import nn
from torch.optim import Optimizer

from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.gates.schedule import RetentionSchedule
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.processes import rewrapped, unwrapped
from speechbrain_neuronprune.shrinking import schedule_of
from speechbrain_neuronprune.units import count_parameters


class PrunedModuleMixin:
    """The base of the parts of ``AdaptiveDropoutMixin``: the module with gates,
    and what all parts ask of it."""

    pruned_module = "Transformer"

    # The Brain's own
    modules: nn.ModuleDict
    hparams: SimpleNamespace
    optimizers_dict: dict[str, Optimizer] | None

    @property
    def pruned(self) -> nn.Module:
        """The module with the gates, without its distributed wrapper."""
        if self.pruned_module not in self.modules:
            raise TrainingError(
                f"The pruned_module of {type(self).__name__} is "
                f"{self.pruned_module}, and its modules are "
                f"{', '.join(self.modules)}; name the one with the gates."
            )
        return unwrapped(self.modules[self.pruned_module])

    @property
    def schedule(self) -> RetentionSchedule | None:
        """c(t), shared by the gates; None for a model without any."""
        return schedule_of(self.pruned)

    @property
    def other_parameters(self) -> int:
        """Parameters outside of the module with gates."""
        return count_parameters(self.modules) - count_parameters(self.pruned)

    def _rewrap(self) -> None:
        """No process may wait for the gradients of logits that are settled."""
        name = self.pruned_module
        self.modules[name] = rewrapped(self.modules[name])

    @property
    def _settling_is_due(self) -> bool:
        step = self.hparams.settle_step
        return step is not None and self.schedule.step >= step

    def make_plan(self) -> PruningPlan:
        """Decide which units stay.

        Returns
        -------
        PruningPlan
            The decision, see ``AdaptiveDropoutMixin``.
        """
        raise NotImplementedError

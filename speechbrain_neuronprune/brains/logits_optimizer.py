"""A Brain whose logits have an optimiser of their own.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from speechbrain_neuronprune.attach import retention_logits
from speechbrain_neuronprune.brains.pruned_module import PrunedModuleMixin
from speechbrain_neuronprune.errors import TrainingError


class LogitsOptimizerMixin(PrunedModuleMixin):
    """The part of ``AdaptiveDropoutMixin`` that gives the logits an optimiser
    of their own."""

    def init_optimizers(self) -> None:
        """Take the logits from the Brain's optimisers; give them their own."""
        self._refuse_followed_schedule()
        super().init_optimizers()
        self._refuse_no_optimizer()
        logits = list(retention_logits(self.pruned))
        for optimizer in self.optimizers_dict.values():
            for group in optimizer.param_groups:
                group["params"] = _without(group["params"], logits)
        if logits:
            self.logits_optimizer = self.hparams.logits_opt_class(logits)
            self.optimizers_dict["logits_opt_class"] = self.logits_optimizer
            self._make_recoverable("logits_optimizer", self.logits_optimizer)

    def _refuse_followed_schedule(self) -> None:
        if self.schedule is not None and self.schedule.follower is not None:
            raise TrainingError(
                "The schedule of this Brain's gates would advance twice per "
                "step: AdaptiveDropoutMixin advances it, and gamma makes it "
                "follow the optimiser. Leave gamma out of "
                "attach_adaptive_dropout, or the mixin out of the Brain."
            )

    def _refuse_no_optimizer(self) -> None:
        if self.optimizers_dict is None:
            raise TrainingError(
                f"The optimizers_dict of {type(self).__name__} is None, so "
                "nothing would train its model; give it an opt_class, or an "
                "init_optimizers that fills optimizers_dict."
            )

    def _refuse_bypassed_optimizer(self) -> None:
        if self.schedule and "logits_opt_class" not in self.optimizers_dict:
            raise TrainingError(
                f"The init_optimizers of {type(self).__name__} replaces that "
                "of AdaptiveDropoutMixin, so the logits have no optimiser of "
                "their own; move it to a Brain that stands behind the mixin "
                "in the bases."
            )

    def _renew_logits_settings(self) -> None:
        """What the hyperparameters say of the logits' optimiser counts, also
        where a checkpoint of before says otherwise: no schedule changes it."""
        if self.schedule is not None:
            for group in self.logits_optimizer.param_groups:
                group.update(self.logits_optimizer.defaults)

    def _make_recoverable(self, name: str, thing: Any) -> None:
        if self.checkpointer is not None:
            self.checkpointer.add_recoverable(name, thing)

    def freeze_optimizers(
        self, optimizers: dict[str, Optimizer]
    ) -> dict[str, Optimizer]:
        """Leave out those that have no gradients, such as that of settled
        logits: the scaler of fp16 refuses to step them."""
        active = super().freeze_optimizers(optimizers)
        return {
            name: optimizer
            for name, optimizer in active.items()
            if _has_gradients(optimizer)
        }


def _without(parameters: list[Tensor], excluded: list[Tensor]) -> list[Tensor]:
    unwanted = {id(parameter) for parameter in excluded}
    return [one for one in parameters if id(one) not in unwanted]


def _has_gradients(optimizer: Optimizer) -> bool:
    held = (p for group in optimizer.param_groups for p in group["params"])
    return any(p.grad is not None for p in held)

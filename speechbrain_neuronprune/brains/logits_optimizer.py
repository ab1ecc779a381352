"""A Brain whose logits have an optimiser of their own.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from speechbrain_neuronprune.attach import retention_logits
from speechbrain_neuronprune.brains.pruned_module import PrunedModuleMixin
from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.gates.adaptive_dropout import AdaptiveDropout

# Its name among the Brain's optimisers, and that of what makes it
LOGITS = "logits_opt_class"

Freeze = Callable[[dict[str, Optimizer]], dict[str, Optimizer]]


class LogitsOptimizerMixin(PrunedModuleMixin):
    """The part of ``AdaptiveDropoutMixin`` that gives the logits an optimiser
    of their own."""

    def init_optimizers(self) -> None:
        """Take the logits from the Brain's optimisers; give them their own."""
        self._refuse_followed_schedule()
        self._refuse_gates_elsewhere()
        super().init_optimizers()
        self._refuse_no_optimizer()
        logits = list(retention_logits(self.pruned))
        for optimizer in self.optimizers_dict.values():
            for group in optimizer.param_groups:
                group["params"] = _without(group["params"], logits)
        if logits:
            self.logits_optimizer = self.hparams.logits_opt_class(logits)
            self._logits_settings = _settings(self.logits_optimizer)
            self.optimizers_dict[LOGITS] = self.logits_optimizer
            self._make_recoverable("logits_optimizer", self.logits_optimizer)

    def _refuse_followed_schedule(self) -> None:
        if self.schedule is not None and self.schedule.follower is not None:
            raise TrainingError(
                "The schedule of this Brain's gates would advance twice per "
                "step: AdaptiveDropoutMixin advances it, and gamma makes it "
                "follow the optimiser. Leave gamma out of "
                "attach_adaptive_dropout, or the mixin out of the Brain."
            )

    def _refuse_gates_elsewhere(self) -> None:
        ours = set(self.pruned.modules())
        others = [
            name
            for name, module in self.modules.items()
            if any(_is_untended(part) for part in set(module.modules()) - ours)
        ]
        if others:
            raise TrainingError(
                f"There are gates in {', '.join(others)}, and "
                f"AdaptiveDropoutMixin prunes {self.pruned_module} alone; "
                f"let {type(self).__name__}.pruned_module name one module "
                "that has all gates, or give the others' schedule a gamma."
            )

    def _refuse_no_optimizer(self) -> None:
        if self.optimizers_dict is None:
            raise TrainingError(
                f"The optimizers_dict of {type(self).__name__} is None, so "
                "nothing would train its model; give it an opt_class, or an "
                "init_optimizers that fills optimizers_dict."
            )

    def _refuse_bypassed_optimizer(self) -> None:
        if self.schedule and LOGITS not in (self.optimizers_dict or {}):
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
            groups = self.logits_optimizer.param_groups
            for group, given in zip(groups, self._logits_settings, strict=True):
                group.update(given)

    def _make_recoverable(self, name: str, thing: Any) -> None:
        if self.checkpointer is not None:
            self.checkpointer.add_recoverable(name, thing)

    def freeze_optimizers(
        self, optimizers: dict[str, Optimizer]
    ) -> dict[str, Optimizer]:
        """Leave out those that have no gradients, such as that of settled
        logits: the scaler of fp16 refuses to step them."""
        return self._with_logits(super().freeze_optimizers)(optimizers)

    def _with_logits(self, own: Freeze) -> Freeze:
        """What a Brain steps, and the logits: its choice knows nothing of
        them, and without them c(t) would fall with nobody to resist."""

        def freeze_optimizers(
            optimizers: dict[str, Optimizer],
        ) -> dict[str, Optimizer]:
            logits = {n: o for n, o in optimizers.items() if n == LOGITS}
            return {
                name: optimizer
                for name, optimizer in {**own(optimizers), **logits}.items()
                if _has_gradients(optimizer)
            }

        return freeze_optimizers


def _is_untended(module: nn.Module) -> bool:
    """Whether it is a gate that would stay where it is for ever."""
    return (
        isinstance(module, AdaptiveDropout)
        and module.schedule.follower is None
        and not module.settled
    )


def _without(parameters: list[Tensor], excluded: list[Tensor]) -> list[Tensor]:
    unwanted = {id(parameter) for parameter in excluded}
    return [one for one in parameters if id(one) not in unwanted]


def _settings(optimizer: Optimizer) -> list[dict[str, Any]]:
    """What every group of parameters was given, such as a learning rate."""
    return [
        {name: value for name, value in group.items() if name != "params"}
        for group in optimizer.param_groups
    ]


def _has_gradients(optimizer: Optimizer) -> bool:
    held = (p for group in optimizer.param_groups for p in group["params"])
    return any(p.grad is not None for p in held)

"""A Brain that notices steps which c(t) does not see.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any

from speechbrain_neuronprune.brains.pruned_module import PrunedModuleMixin
from speechbrain_neuronprune.errors import TrainingError

# So many steps of optimisers may come before the first that c(t) sees: a
# Brain may have others to step, such as that of a discriminator.
PATIENCE = 100


class UnseenStepsMixin(PrunedModuleMixin):
    """The part of ``AdaptiveDropoutMixin`` that refuses a Brain which steps
    its optimisers past the mixin, and so would prune nothing."""

    _unseen_steps = 0
    _step_hooks: tuple[Any, ...] = ()

    def _watch_steps(self) -> None:
        """Count the steps of optimisers until c(t) sees one."""
        self._see_steps()  # a fit of before may have been refused
        if self.schedule is None:
            return
        self._watched_from = self.schedule.step
        self._step_hooks = tuple(
            optimizer.register_step_post_hook(self._note_step)
            for optimizer in self.optimizers_dict.values()
        )

    def _note_step(self, *_: Any) -> None:
        self._unseen_steps += 1
        if self._unseen_steps >= PATIENCE:
            self._refuse_unseen_steps()

    def _see_steps(self) -> None:
        """Count no more."""
        for hook in self._step_hooks:
            hook.remove()
        self._step_hooks, self._unseen_steps = (), 0

    def _refuse_unseen_steps(self) -> None:
        if not self._unseen_steps or self.schedule.step > self._watched_from:
            return
        raise TrainingError(
            f"{type(self).__name__} has stepped its optimisers "
            f"{self._unseen_steps} times without AdaptiveDropoutMixin, so c(t) "
            "stands still and nothing is pruned; let its fit_batch step them "
            "by self.optimizers_step(), and an optimizers_step of its own by "
            "super().optimizers_step()."
        )

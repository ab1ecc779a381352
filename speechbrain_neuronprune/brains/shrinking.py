"""A Brain whose model shrinks while it trains.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any

from speechbrain.utils.distributed import main_process_only
from speechbrain.utils.logger import get_logger

from speechbrain_neuronprune.attach import adaptive_dropouts
from speechbrain_neuronprune.brains.pruned_module import PrunedModuleMixin
from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.shrinking import (
    grow,
    shrink,
    unsealed,
    whole_form,
)

logger = get_logger(__name__)


class ShrinkingMixin(PrunedModuleMixin):
    """The part of ``AdaptiveDropoutMixin`` that lets units go."""

    def fit(self, *arguments: Any, **options: Any) -> None:
        """Learn, as ``Brain.fit`` does. Then give a model that shrank its
        shapes back: that is how finished runs are read."""
        super().fit(*arguments, **options)
        if whole_form(self.pruned) is not self.pruned:
            grow(self.pruned)
            self._rewrap()

    def _check_shrinking(self) -> None:
        hparams = self.hparams
        ever = hparams.settle_step is not None or hparams.shrink_every
        if hparams.shrink and not ever:
            raise TrainingError(
                "With shrink: True, settle_step: null and shrink_every: null, "
                "no unit would ever leave; give one of the two."
            )

    def _shrink(self, plan: PruningPlan) -> None:
        sizes = shrink(self.pruned, plan, self.optimizers_dict.values())
        if sizes.after < sizes.before:
            logger.info(
                "%d of %d parameters have left %s",
                sizes.before - sizes.after,
                sizes.before,
                self.pruned_module,
            )

    def _shrink_as_before(self) -> None:
        """Let the units go that had gone when a checkpoint was saved."""
        self._shrink(PruningPlan(unsealed(self.pruned)))

    def _let_go(self, epoch: int) -> None:
        """Let the units go whose fate is sealed, if it is time."""
        every = self.hparams.shrink_every
        due = self.hparams.shrink and every and epoch % every == 0
        if not due or self.schedule is None or self._settling_is_due:
            return
        # One process decides for all of them.
        self._shrink(main_process_only(self._sealed_plan)())
        self._rewrap()

    def _sealed_plan(self) -> PruningPlan:
        """Nothing goes that the plan for the wanted size would keep, so the
        size stays in reach."""
        limit = self.hparams.shrink_below
        gates = adaptive_dropouts(whole_form(self.pruned))
        drawn = {n: (g.retention() >= limit).cpu() for n, g in gates.items()}
        if all(units.all() for units in drawn.values()):
            return PruningPlan({})
        keep = self.make_plan().keep
        return PruningPlan({n: keep[n] | units for n, units in drawn.items()})

"""A Brain whose own methods need not call those of the mixin.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import speechbrain as sb
from speechbrain.utils.distributed import if_main_process

from speechbrain_neuronprune.brains.finite_loss import FiniteLossMixin
from speechbrain_neuronprune.brains.logits_optimizer import LogitsOptimizerMixin
from speechbrain_neuronprune.brains.retention_log import RetentionLogMixin
from speechbrain_neuronprune.brains.shrinking import ShrinkingMixin
from speechbrain_neuronprune.brains.unseen_steps import UnseenStepsMixin
from speechbrain_neuronprune.errors import TrainingError


class OverridesMixin(
    UnseenStepsMixin,
    LogitsOptimizerMixin,
    ShrinkingMixin,
    RetentionLogMixin,
    FiniteLossMixin,
):
    """The part of ``AdaptiveDropoutMixin`` that does what is due at the end of
    a stage, and sees to it that this, and the step of the logits, also happen
    in a Brain whose ``on_stage_end`` or ``freeze_optimizers`` does not ask
    ``super()``: SpeechBrain's own do nothing, so recipes have no reason to."""

    _started = True  # whether our on_fit_start was asked
    _ended: frozenset[sb.Stage] = frozenset()  # stages whose end we have seen

    def fit(self, epoch_counter: Any, *arguments: Any, **options: Any) -> None:
        """Learn, as ``Brain.fit`` does."""
        self._epoch_counter, self._started = epoch_counter, False
        completed = {
            "on_fit_start": self._with_our_start(self.on_fit_start),
            "on_stage_end": self._with_our_end(self.on_stage_end),
            "freeze_optimizers": self._with_logits(self.freeze_optimizers),
        }
        with _replaced(self, completed):
            super().fit(epoch_counter, *arguments, **options)

    def on_stage_end(
        self, stage: sb.Stage, stage_loss: float, epoch: int | None = None
    ) -> None:
        """After training, let units go if it is time; after validation, log
        the gates, before a checkpoint is saved."""
        if stage == sb.Stage.TRAIN:
            self.train_loss = stage_loss
        self._end_stage(stage, stage_loss, epoch)
        super().on_stage_end(stage, stage_loss, epoch)

    def _end_stage(
        self, stage: sb.Stage, stage_loss: float, epoch: int | None
    ) -> None:
        if stage == sb.Stage.TRAIN:
            self._refuse_unseen_steps()
            self._refuse_broken_parameters()
            self._train_loss = stage_loss
            self._let_go(epoch)
        if stage == sb.Stage.VALID and if_main_process():
            self._log_retention(stage_loss, epoch)
        self._ended |= {stage}

    def _with_our_start(self, own: Callable[[], None]) -> Callable[[], None]:
        """What a Brain does at the start, which cannot do without ours."""

        def on_fit_start() -> None:
            own()
            if not self._started:
                raise TrainingError(
                    f"The on_fit_start of {type(self).__name__} replaces that "
                    "of AdaptiveDropoutMixin, so a resumed run would not go "
                    "on pruning; let it call super().on_fit_start()."
                )

        return on_fit_start

    def _with_our_end(self, own: Callable[..., None]) -> Callable[..., None]:
        """What a Brain does at the end of a stage, and what is due here, if
        it has not asked for it: it may have to come first, or in between."""

        def on_stage_end(
            stage: sb.Stage, stage_loss: float, epoch: int | None = None
        ) -> None:
            self._ended -= {stage}
            own(stage, stage_loss, epoch)
            if stage not in self._ended:
                self._end_stage(stage, stage_loss, epoch)

        return on_stage_end


@contextlib.contextmanager
def _replaced(
    thing: object, methods: dict[str, Callable[..., Any]]
) -> Iterator[None]:
    """Give an object other methods, in a block."""
    own = vars(thing)
    before = {name: own[name] for name in methods if name in own}
    own.update(methods)
    try:
        yield
    finally:
        for name in methods:
            del own[name]
        own.update(before)

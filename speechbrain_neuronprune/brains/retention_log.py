"""A Brain that logs what its gates do.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math
from pathlib import Path
from typing import Any

from speechbrain.utils.distributed import if_main_process

from speechbrain_neuronprune.brains.pruned_module import PrunedModuleMixin
from speechbrain_neuronprune.brains.retention_figures import (
    alive_units,
    retention_figures,
    schedule_figures,
)
from speechbrain_neuronprune.errors import TrainingError
from speechbrain_neuronprune.files import writing
from speechbrain_neuronprune.shrinking import whole_form
from speechbrain_neuronprune.training.epoch_log import EpochLog


class RetentionLogMixin(PrunedModuleMixin):
    """The part of ``AdaptiveDropoutMixin`` that logs the gates: a line per
    epoch, and entries for the training log."""

    _epoch_counter: Any = None  # the one that fit was given
    _train_loss: float | None = None

    def valid_figures(self) -> dict[str, float]:
        """More figures of this epoch for the retention log.

        Returns
        -------
        dict of str to float
            By name; none here, for subclasses to add.
        """
        return {}

    def retention_stats(self) -> dict[str, float]:
        """A few readable entries for the training log.

        Returns
        -------
        dict of str to Any
            c(t), the expected number of parameters, and the units alive of
            every kind; empty if there are no gates.
        """
        schedule = self.schedule
        if schedule is None:
            return {}
        figures = self._retention_figures()
        alive = alive_units(figures)
        return {
            "c": round(schedule.c(), 3),
            "expected parameters": figures["expected_parameters"],
            **{f"alive {kind}": number for kind, number in alive.items()},
        }

    @property
    def _retention_log(self) -> EpochLog | None:
        folder = getattr(self.hparams, "output_folder", None)
        return folder and EpochLog(Path(folder) / "retention.jsonl")

    def _begin_log(self) -> None:
        """Make its folder; drop the lines of epochs that will run again."""
        log = self._retention_log
        if log is None or not if_main_process():
            return
        with writing("The retention log", log.path, TrainingError):
            log.path.parent.mkdir(parents=True, exist_ok=True)
            log.drop_after(self._epochs_done())

    def _epochs_done(self) -> int:
        own = getattr(self.hparams, "epoch_counter", None)
        current = getattr(own, "current", 0)
        return getattr(self._epoch_counter, "current", current)

    def _retention_figures(self) -> dict[str, Any]:
        whole = whole_form(self.pruned)
        return retention_figures(whole, self.other_parameters)

    def _log_retention(self, valid_loss: float, epoch: int) -> None:
        if self._retention_log is None:
            return
        line = {
            "epoch": epoch,
            "step": self.optimizer_step,
            **schedule_figures(self.schedule),
            **self._retention_figures(),
            "train_loss": _finite(self._train_loss),
            "valid_loss": _finite(valid_loss),
            **self.valid_figures(),
        }
        self._retention_log.append(line)


def _finite(value: float | None) -> float | None:
    """A float for JSON, which knows neither NaN nor infinity."""
    if value is None or not math.isfinite(value):
        return None
    return float(value)

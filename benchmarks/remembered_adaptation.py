"""Adaptations of one process: they share what does not depend on the arm.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from speechbrain_neuronprune.adaptation.pseudo_labels import PseudoLabel
from speechbrain_neuronprune.adaptation.stages import Stage
from speechbrain_neuronprune.domain_adaptation import DomainAdaptation
from speechbrain_neuronprune.fingerprint import fingerprint
from speechbrain_neuronprune.training.dataio import (
    Rows,
    cached_reader,
    with_tokens,
)


@dataclass(frozen=True)
class Memory:
    """What one process need not read or compute twice."""

    read: Callable[[str], Tensor] = field(default_factory=cached_reader)
    known: dict[tuple, Any] = field(default_factory=dict)


MEMORY = Memory()


class RememberingAdaptation(DomainAdaptation):
    """Shares what does not depend on the arm: scores, the first labels, and
    the error rates before.

    All of them follow from the speech and the weights as they are now, and
    what training draws depends on its place alone, so that it makes no
    difference which arm computed them.
    """

    def scores(self) -> dict[str, Tensor]:
        """As they were for another domain or arm."""
        names = ("home_folder", "criterion", "layers", "window", "frame_stride")
        return self._remembered(super().scores, *names)

    def label(self) -> dict[str, PseudoLabel]:
        """As they were for another arm, from the same views."""
        return self._remembered(super().label, "target_folder", "views")

    def measure(self) -> dict[str, dict[str, Any]]:
        """As they were for another arm, before it."""
        return self._remembered(super().measure, "target_folder")

    def _remembered(self, make: Callable[[], Any], *settings: str) -> Any:
        values = [str(self.hparams[name]) for name in (*settings, "seed")]
        key = (make.__name__, fingerprint(self.encoder), *values)
        if key not in MEMORY.known:
            MEMORY.known[key] = make()
        return MEMORY.known[key]


class InformedAdaptation(RememberingAdaptation):
    """Knows the true labels of the new domain: a bound, no adaptation."""

    def __init__(self, truth: Rows, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.truth = truth

    def label(self) -> dict[str, PseudoLabel]:
        """What was said, and no doubt about it."""
        blank = self.hparams["blank_index"]
        labelled = with_tokens(self.truth, self.recogniser.tokenizer, blank)
        return {
            name: PseudoLabel(row["labels"], 0.0)
            for name, row in labelled.items()
        }


class DeafAdaptation(RememberingAdaptation):
    """Learns from what is replayed only: a control for the new domain's own
    speech, which is labelled all the same to measure the loss on."""

    def lesson(self, stage: Stage, labelled: Rows) -> Rows:
        """Nothing of what was heard in the new domain."""
        return super().lesson(stage, {})

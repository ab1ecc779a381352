"""Brains: the mixin that makes a Brain prune, and the recipes' recognisers.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain_neuronprune.brains.adaptation import AdaptationASR
from speechbrain_neuronprune.brains.adaptive_dropout import (
    AdaptiveDropoutMixin,
)
from speechbrain_neuronprune.brains.distillation import (
    DistillationMixin,
    DistilledASR,
)
from speechbrain_neuronprune.brains.recogniser import (
    AcousticModelASR,
    AdaptiveDropoutASR,
    CTCRecogniser,
)

__all__ = [
    "AcousticModelASR",
    "AdaptationASR",
    "AdaptiveDropoutASR",
    "AdaptiveDropoutMixin",
    "CTCRecogniser",
    "DistillationMixin",
    "DistilledASR",
]

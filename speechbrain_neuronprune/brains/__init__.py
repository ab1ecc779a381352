"""Brains: the mixin that makes a Brain prune, and the recipes' recognisers.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain_neuronprune.brains.adaptation import AdaptationASR
from speechbrain_neuronprune.brains.adaptive_dropout import (
    AdaptiveDropoutMixin,
)
from speechbrain_neuronprune.brains.chunks import ChunkedASR
from speechbrain_neuronprune.brains.decoding import DecodingASR
from speechbrain_neuronprune.brains.distillation import (
    DistillationMixin,
    DistilledASR,
)
from speechbrain_neuronprune.brains.encoder_decoder import DecoderASR
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
    "ChunkedASR",
    "DecoderASR",
    "DecodingASR",
    "DistillationMixin",
    "DistilledASR",
]

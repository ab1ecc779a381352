"""Learned and measured neuron pruning for SpeechBrain models.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain_neuronprune.attach import (
    adaptive_dropouts,
    attach_adaptive_dropout,
)
from speechbrain_neuronprune.compaction import apply_masks, compact
from speechbrain_neuronprune.gates.adaptive_dropout import AdaptiveDropout
from speechbrain_neuronprune.gates.schedule import RetentionSchedule
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.report.cost import Cost, measure_cost
from speechbrain_neuronprune.units import find_units

__version__ = "0.1.0"

__all__ = [
    "AdaptiveDropout",
    "Cost",
    "PruningPlan",
    "RetentionSchedule",
    "adaptive_dropouts",
    "apply_masks",
    "attach_adaptive_dropout",
    "compact",
    "find_units",
    "measure_cost",
]

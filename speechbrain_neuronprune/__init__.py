"""Learned and measured neuron pruning for SpeechBrain models.

Two papers are the source of most of it, and are cited by their authors:

- Kubo, Cai and Bacchiani, "Adaptive Dropout for Pruning Conformers",
  arXiv 2412.04836, 2024
- Mitra and Franco, "Investigation and Analysis of Hyper and Hypo Neuron Pruning
  to Selectively Update Neurons during Unsupervised Adaptation",
  arXiv 2001.01755, 2020

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain_neuronprune.adaptation.patch import (
    DomainPatch,
    DomainPatches,
)
from speechbrain_neuronprune.adaptation.selective import selective_update
from speechbrain_neuronprune.attach import (
    adaptive_dropouts,
    attach_adaptive_dropout,
)
from speechbrain_neuronprune.compaction import apply_masks, compact
from speechbrain_neuronprune.fast_layers import use_fast_layers
from speechbrain_neuronprune.gates.adaptive_dropout import AdaptiveDropout
from speechbrain_neuronprune.gates.schedule import RetentionSchedule
from speechbrain_neuronprune.hyper_hypo import (
    NeuronSelection,
    select_hyper_hypo,
)
from speechbrain_neuronprune.masking import masked
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.report.cost import Cost, measure_cost
from speechbrain_neuronprune.saliency import rank_neurons
from speechbrain_neuronprune.steering import steer_size
from speechbrain_neuronprune.units import find_units

__version__ = "0.1.0"

__all__ = [
    "AdaptiveDropout",
    "Cost",
    "DomainPatch",
    "DomainPatches",
    "NeuronSelection",
    "PruningPlan",
    "RetentionSchedule",
    "adaptive_dropouts",
    "apply_masks",
    "attach_adaptive_dropout",
    "compact",
    "find_units",
    "masked",
    "measure_cost",
    "rank_neurons",
    "select_hyper_hypo",
    "selective_update",
    "steer_size",
    "use_fast_layers",
]

"""Saliency: how much each hidden unit matters, measured after training.

Mitra and Franco (sec. 4) rank the neurons of a layer by a criterion. Each
criterion has a file with its formula:

- ``cross_correlation`` (``mi``): Mitra and Franco's formula as printed
- ``lagged_correlation`` (``mi_lagged``): the dependence that it is named for
- ``brain_surgeon`` (``obs``): layer-wise optimal brain surgeon
- ``weight_power`` (``mbp``): squared weights
- ``mean_activation`` (``activation``): mean absolute activation
- ``taylor`` (``taylor``): first-order change of the loss
- ``chance`` (``random``): the control

All of them share one pass over the speech: ``batches`` reads it, ``taps``
listens at the layers, ``passage`` holds what passed in a batch and ``frames``
the speech of it, ``windows`` adds up over time, ``measure`` over batches,
``streaming`` runs the model, ``ranking`` has the public functions. Beside the
criteria, ``activations`` describes what units do on speech, ``agreement``
compares criteria, ``rounding`` is about sums that lose digits, and ``scratch``
about memory.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain_neuronprune.saliency.activations import (
    ActivationStatistics,
    measure_activations,
)
from speechbrain_neuronprune.saliency.agreement import rank_agreement
from speechbrain_neuronprune.saliency.ranking import (
    CRITERIA,
    measure_saliency,
    rank_neurons,
)

__all__ = [
    "CRITERIA",
    "ActivationStatistics",
    "measure_activations",
    "measure_saliency",
    "rank_agreement",
    "rank_neurons",
]

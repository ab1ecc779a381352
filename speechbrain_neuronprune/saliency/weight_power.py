"""MBP: the power of a unit's weights.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch
from torch import Tensor

from speechbrain_neuronprune.saliency.measure import Measure


class WeightPower(Measure):
    """S_n = sum_p w_np^2, the squared weights that enter unit n.

    Mitra and Franco (sec. 4) name the "weight's power" of a neuron (Hagiwara
    1994) without a formula; this one is inferred. With ``outgoing`` the squared
    weights that leave the unit are added. Biases have no part. No speech is
    needed.
    """

    needs_speech = False

    def result(self) -> Tensor:
        """The saliencies, (units,)."""
        entering, leaving = self.tap.producer.weight, self.tap.consumer.weight
        power = _power(entering, dim=1)
        if self.settings.outgoing:
            power = power + _power(leaving, dim=0)
        return power


def _power(weight: Tensor, dim: int) -> Tensor:
    return weight.detach().square().sum(dim, dtype=torch.float64)

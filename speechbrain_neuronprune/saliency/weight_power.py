"""MBP: the power of a unit's weights.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from torch import Tensor

from speechbrain_neuronprune.saliency.measure import Measure


class WeightPower(Measure):
    """S_n = sum_p w_np^2, the squared weights that enter unit n.

    Paper B (sec. 4) names the "weight's power" of a neuron (Hagiwara 1994)
    without a formula; this one is inferred. With ``outgoing`` the squared
    weights that leave the unit are added. Biases have no part. No speech is
    needed.
    """

    needs_speech = False

    def result(self) -> Tensor:
        """The saliencies, (units,)."""
        power = self.tap.producer.weight.detach().double().square().sum(1)
        if self.settings.outgoing:
            leaving = self.tap.consumer.weight.detach().double()
            power = power + leaving.square().sum(0)
        return power

"""Random: the control that every criterion has to beat.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch
from torch import Tensor

from speechbrain_neuronprune.randomness import seeded_generator
from speechbrain_neuronprune.saliency.measure import Measure


class Chance(Measure):
    """S_n uniform on [0, 1): one draw per seed and group, no speech needed."""

    needs_speech = False

    def result(self) -> Tensor:
        """The saliencies, (units,)."""
        generator = seeded_generator(self.settings.seed, self.tap.name)
        return torch.rand(self.tap.units, generator=generator)

"""Random: the control that every criterion has to beat.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import hashlib

import torch
from torch import Tensor

from speechbrain_neuronprune.saliency.measure import Measure


def seeded_generator(seed: int, name: str) -> torch.Generator:
    """A generator that depends on a seed and a group's name only.

    So a group's draw is the same whichever other groups are asked for, and
    in every process.

    Arguments
    ---------
    seed : int
        Which draw.
    name : str
        The group's name.

    Returns
    -------
    torch.Generator
        On the CPU.

    Example
    -------
    >>> torch.randint(1000, (2,), generator=seeded_generator(0, "layer.3"))
    tensor([...])
    """
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


class Chance(Measure):
    """S_n uniform on [0, 1): one draw per seed and group, no speech needed."""

    needs_speech = False

    def result(self) -> Tensor:
        """The saliencies, (units,)."""
        generator = seeded_generator(self.settings.seed, self.tap.name)
        return torch.rand(self.tap.units, generator=generator)

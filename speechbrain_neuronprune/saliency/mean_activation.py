"""Mean absolute activation, the plain baseline for MI.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from torch import Tensor

from speechbrain_neuronprune.saliency.frames import Frames
from speechbrain_neuronprune.saliency.measure import Measure, Settings
from speechbrain_neuronprune.saliency.taps import Tap


class MeanActivation(Measure):
    """``S_n = mean_t |x_n[t]|``, over all valid frames.

    Not in Mitra and Franco, but what "barely active" and "mostly active"
    (sec. 1) say literally, and what their printed MI weights over time. For
    the ``frame_stride`` see ``LaggedCorrelation``.
    """

    def __init__(self, tap: Tap, settings: Settings) -> None:
        super().__init__(tap, settings, magnitude=(tap.units,))

    def update(self, frames: Frames) -> None:
        """Add the magnitudes of the frames."""
        frames = frames.every(self.settings.frame_stride)
        self.add(frames, magnitude=frames.sum_of_magnitudes())

    def result(self) -> Tensor:
        """The saliencies, (units,)."""
        return self.mean("magnitude")

"""MI as Mitra and Franco print it: cross-correlation within a time window.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from torch import Tensor

from speechbrain_neuronprune.saliency.frames import Frames
from speechbrain_neuronprune.saliency.measure import Measure, Settings
from speechbrain_neuronprune.saliency.taps import Tap


class CrossCorrelation(Measure):
    """S_n = mean_t r_n[t], the "mutual independence" of a unit.

    Mitra and Franco, sec. 4::

        r_n[t] = (1/N) sum_p | sum_k x_n[t] x_p[t+k] |,
        k = -(q/2 - 1) .. q/2,

    over the N inputs x_p of the layer and a window of q frames, clipped at
    the utterance's ends. The window's width and the mean over frames are
    inferred: the paper gives neither.

    As x_n[t] does not depend on k, ``r_n[t] = |x_n[t]| g[t]`` with
    ``g[t] = (1/N) sum_p | sum_k x_p[t+k] |`` the same for all units. So this
    is a weighted mean of absolute activations and no measure of dependence;
    ``LaggedCorrelation`` is one, and explains the ``frame_stride``.
    """

    def __init__(self, tap: Tap, settings: Settings) -> None:
        super().__init__(tap, settings, correlation=(tap.units,))

    def update(self, frames: Frames) -> None:
        """Add r_n[t] over the frames."""
        frames = frames.every(self.settings.frame_stride)
        correlation = frames.sum_of_magnitudes(frames.window_magnitudes)
        self.add(frames, correlation=correlation)

    def result(self) -> Tensor:
        """The saliencies, (units,)."""
        return self.mean("correlation")

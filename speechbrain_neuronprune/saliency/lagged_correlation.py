"""MI read as a dependence: covariance with the inputs, over lags.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from torch import Tensor

from speechbrain_neuronprune.saliency.frames import Frames
from speechbrain_neuronprune.saliency.measure import Measure, Settings
from speechbrain_neuronprune.saliency.rounding import above_rounding
from speechbrain_neuronprune.saliency.taps import Tap


class LaggedCorrelation(Measure):
    """S_n = (1/N) sum_p | (1/T) sum_t sum_k y_n[t] y_p[t+k] |.

    y is x less its mean over all valid frames of the stream, the window of k
    as in ``CrossCorrelation``. Inferred: it is what the name "mutual
    independence" of paper B (sec. 4) promises, where the printed formula
    measures the size of activations. A constant unit has saliency 0.

    The means m are known only at the end, but they come out of the sums.
    With W_p[t] = sum_k x_p[t+k] over the K_t frames of the window that are
    in the utterance,

        sum_t sum_k (x_n[t] - m_n) (x_p[t+k] - m_p)
            = sum_t (x_n[t] - m_n) (W_p[t] - K_t m_p)
            = sum_t x_n W_p - m_n sum_t W_p - m_p sum_t K_t x_n
              + m_n m_p sum_t K_t.
    """

    def __init__(self, tap: Tap, settings: Settings) -> None:
        super().__init__(
            tap,
            settings,
            units=(tap.units,),
            inputs=(tap.inputs,),
            products=(tap.units, tap.inputs),
            windows=(tap.inputs,),
            sized_units=(tap.units,),
            sizes=(),
        )

    def update(self, frames: Frames) -> None:
        """Add the six sums of the formula."""
        units = frames.units.flatten(0, 1)
        sums = frames.window_sums.flatten(0, 1)
        sizes = frames.window_sizes.flatten()
        self.add(
            frames,
            units=units.sum(0),
            inputs=frames.inputs.sum((0, 1)),
            products=units.T @ sums,
            windows=sums.sum(0),
            sized_units=sizes @ units,
            sizes=sizes.sum(),
        )

    def result(self) -> Tensor:
        """The saliencies, (units,)."""
        unit_mean = self.mean("units").unsqueeze(1)
        input_mean = self.mean("inputs")
        covariance = above_rounding(
            self.mean("products"),
            -unit_mean * self.mean("windows"),
            -input_mean * self.mean("sized_units").unsqueeze(1),
            unit_mean * input_mean * self.mean("sizes"),
        )
        return covariance.abs().mean(1)

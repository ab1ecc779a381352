"""MI read as a dependence: covariance with the inputs, over lags.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch
from torch import Tensor

from speechbrain_neuronprune.saliency.frames import Frames
from speechbrain_neuronprune.saliency.measure import Measure, Settings
from speechbrain_neuronprune.saliency.rounding import above_rounding, near_mean
from speechbrain_neuronprune.saliency.taps import Tap


class LaggedCorrelation(Measure):
    """``S_n = (1/N) sum_p | (1/T) sum_t sum_k y_n[t] y_p[t+k] |``.

    y is x less its mean over all valid frames of the stream, the window of k
    as in ``CrossCorrelation``. Inferred: it is what the name "mutual
    independence" of paper B (sec. 4) promises, where the printed formula
    measures the size of activations. A constant unit has saliency 0.

    The means m are known only at the end, but they come out of the sums.
    With W_p[t] = sum_k x_p[t+k] over the K_t frames of the window that are
    in the utterance::

        sum_t sum_k (x_n[t] - m_n) (x_p[t+k] - m_p)
            = sum_t (x_n[t] - m_n) (W_p[t] - K_t m_p)
            = sum_t x_n W_p - m_n sum_t W_p - m_p sum_t K_t x_n
              + m_n m_p sum_t K_t.

    The products x_n W_p cost as much as the layer itself. With a
    ``lag_stride`` of s (ours, not the paper's), t takes only the middle one
    of every s frames of an utterance, in the sums, T and the means, while k
    still takes all frames of the window. This estimates S_n from T/s frames.
    As neighbouring frames are much alike, and the windows cover all speech
    as long as s <= q, less is lost than by leaving out utterances.
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
        """Add the six sums of the formula.

        So that what cancels there does so in float64, the frames' own
        precision sees only what is left of x_n = y + a and W_p = v + K b,
        with a and b near the means::

            sum_t x_n W_p = sum_t y v + a sum_t v + b sum_t K_t x_n.
        """
        at = frames.positions.every(self.settings.lag_stride)
        units, inputs = frames.units[at], frames.inputs[at]
        sums, sizes = frames.window_sums[at], frames.window_sizes[at]
        a, b = near_mean(units), near_mean(inputs)
        y, v = units - a, sums - sizes.outer(b)
        a, b, size = a.double(), b.double(), sizes.sum().double()
        windows = v.sum(0).double()
        sized_units = (sizes @ y).double() + a * size
        products = (y.T @ v).double()
        self.add(
            frames,
            count=len(at),
            units=units.sum(0, dtype=torch.float64),
            inputs=inputs.sum(0, dtype=torch.float64),
            products=products.addr_(a, windows).addr_(sized_units, b),
            windows=windows + b * size,
            sized_units=sized_units,
            sizes=size,
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

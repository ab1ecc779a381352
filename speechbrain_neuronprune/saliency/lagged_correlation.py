"""MI read as a dependence: covariance with the inputs, over lags.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from speechbrain_neuronprune.errors import SaliencyError
from speechbrain_neuronprune.saliency.frames import Frames
from speechbrain_neuronprune.saliency.measure import Measure, Settings
from speechbrain_neuronprune.saliency.rounding import above_rounding, near_mean
from speechbrain_neuronprune.saliency.taps import Tap

# To add a product, (units, inputs), takes as long for few frames as for many.
# With so many the multiplication takes longer than that.
FRAMES_AT_ONCE = 512
# So many terms stay in a processor's cache.
TERMS_AT_ONCE = 2**14


class Waiting(NamedTuple):
    """Some frames until they are multiplied."""

    units: Tensor
    inputs: Tensor
    window_sums: Tensor
    window_sizes: Tensor


def _joined(frames: list[Waiting]) -> Waiting:
    """All of them, which needs no copy of a single one."""
    if len(frames) == 1:
        return frames[0]
    return Waiting(*map(torch.cat, zip(*frames, strict=True)))


class LaggedCorrelation(Measure):
    """``S_n = (1/N) sum_p | (1/T) sum_t sum_k y_n[t] y_p[t+k] |``.

    y is x less its mean over all valid frames of the stream, the window of k
    as in ``CrossCorrelation``. Inferred: it is what the name "mutual
    independence" of Mitra and Franco (sec. 4) promises, where the printed
    formula measures the size of activations. A constant unit has saliency 0.

    The means m are known only at the end, but they come out of the sums.
    With W_p[t] = sum_k x_p[t+k] over the K_t frames of the window that are
    in the utterance::

        sum_t sum_k (x_n[t] - m_n) (x_p[t+k] - m_p)
            = sum_t (x_n[t] - m_n) (W_p[t] - K_t m_p)
            = sum_t x_n W_p - m_n sum_t W_p - m_p sum_t K_t x_n
              + m_n m_p sum_t K_t.

    The products x_n W_p cost as much as the layer itself. With a
    ``frame_stride`` of s (ours, not the paper's), t takes only the middle one
    of every s frames of an utterance, in the sums, T and the means, while k
    still takes all frames of the window. This estimates S_n from T/s frames.
    As neighbouring frames are much alike, and the windows cover all speech
    as long as s <= q, less is lost than by leaving out utterances. The few
    frames of a batch wait for those of others: their products are as large
    as those of many.
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
        self.waiting: list[Waiting] = []

    def update(self, frames: Frames) -> None:
        """Add the means' sums; products, when there are frames enough."""
        stride = self.settings.frame_stride
        few = frames.every(stride)
        self.add(
            few,
            units=few.units.sum(0, dtype=torch.float64),
            inputs=few.inputs.sum(0, dtype=torch.float64),
        )
        if not math.isfinite(few.window_sums.sum()):
            few.refuse()
        self.waiting.append(
            Waiting(few.units, few.inputs, few.window_sums, few.window_sizes)
        )
        wait = sum(len(one.units) for one in self.waiting)
        if stride == 1 or wait >= FRAMES_AT_ONCE:
            self.finish()

    def finish(self) -> None:
        """Add the products of the frames that wait.

        So that what cancels in the formula does so in float64, the frames'
        own precision sees only what is left of x_n = y + a and W_p = v + K b,
        with a and b near the means::

            sum_t x_n W_p = sum_t y v + a sum_t v + b sum_t K_t x_n.

        Raises
        ------
        SaliencyError
            If the products overflow.
        """
        if not self.waiting:
            return
        units, inputs, sums, sizes = _joined(self.waiting)
        self.waiting = []
        a, b = near_mean(units), near_mean(inputs)
        y, v = units - a, sums - sizes.outer(b)
        a, b, size = a.double(), b.double(), sizes.sum().double()
        windows = v.sum(0).double()
        sized_units = (sizes @ y).double() + a * size
        # In place: the matrix is large, what is added to it is not.
        self.sums["products"].addr_(a, windows).addr_(sized_units, b)
        finite = self.accumulate(
            products=y.T @ v,
            windows=windows + b * size,
            sized_units=sized_units,
            sizes=size,
        )
        if not finite:
            raise SaliencyError(
                f"Products of the activations of group {self.tap.name} "
                f"overflow {units.dtype}; check the speech and the model's "
                "weights."
            )

    def result(self) -> Tensor:
        """The saliencies, (units,)."""
        means = [self.mean(name) for name in ("units", "sized_units")]
        columns = [self.mean("products"), *(mean[:, None] for mean in means)]
        at_once = max(TERMS_AT_ONCE // self.tap.inputs, 1)
        parts = zip(*(x.split(at_once) for x in columns), strict=True)
        return torch.cat([self._saliency(*part) for part in parts])

    def _saliency(
        self, products: Tensor, units: Tensor, sized_units: Tensor
    ) -> Tensor:
        """The same of some units, from their means."""
        inputs = self.mean("inputs")
        covariance = above_rounding(
            products,
            -units * self.mean("windows"),
            -inputs * sized_units,
            units * inputs * self.mean("sizes"),
        )
        return covariance.abs().mean(1)

"""OBS: what the optimal brain surgeon would lose with a unit's weights.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch
from torch import Tensor

from speechbrain_neuronprune.saliency.frames import Frames
from speechbrain_neuronprune.saliency.measure import Measure, Settings
from speechbrain_neuronprune.saliency.taps import Tap


class BrainSurgeon(Measure):
    """S_n = sum_q w_nq^2 / (2 [H^-1]_qq), over the weights entering unit n.

    w^2 / (2 [H^-1]_qq) is the error that removing one weight causes after
    all others were adjusted (Hassibi, Stork and Wolff 1993). Mitra and Franco
    (sec. 4) use it "to ascertain neural saliency of each layer"; the rest is
    inferred: the error is that of the layer's own outputs, so::

        H = (1/T) sum_t x[t] x[t]^T + lambda I

    over the layer's inputs x, one H for all units; lambda is ``damping``
    times the mean of the diagonal; a unit's saliency is the sum over its
    weights. The bias is neither an input nor summed over. For the
    ``frame_stride`` see ``LaggedCorrelation``.
    """

    def __init__(self, tap: Tap, settings: Settings) -> None:
        super().__init__(tap, settings, products=(tap.inputs, tap.inputs))

    def update(self, frames: Frames) -> None:
        """Add the products of all pairs of inputs."""
        frames = frames.every(self.settings.frame_stride)
        # The inverse magnifies what rounding would do to the products.
        inputs = frames.inputs.double()
        self.add(frames, products=inputs.T @ inputs)

    def result(self) -> Tensor:
        """The saliencies, (units,)."""
        weight = self.tap.producer.weight.detach().double()
        return (weight.square() / (2 * self._inverse_diagonal())).sum(1)

    def _inverse_diagonal(self) -> Tensor:
        hessian = self.mean("products")
        damping = self.settings.damping * hessian.diagonal().mean()
        # Inputs that are always zero must not divide by zero.
        damping = damping.clamp(min=torch.finfo(torch.float64).eps)
        hessian.diagonal().add_(damping)
        factor = torch.linalg.cholesky(hessian)
        return torch.cholesky_inverse(factor).diagonal()

"""What units do on speech: means, spread, and how often they are silent.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from dataclasses import dataclass

from torch import Tensor, nn

from speechbrain_neuronprune.saliency.batches import Batches
from speechbrain_neuronprune.saliency.frames import Frames
from speechbrain_neuronprune.saliency.measure import Measure, Settings
from speechbrain_neuronprune.saliency.rounding import above_rounding
from speechbrain_neuronprune.saliency.streaming import Forward, StreamingPass
from speechbrain_neuronprune.saliency.taps import Tap, find_taps
from speechbrain_neuronprune.units import Targets


@dataclass(frozen=True, eq=False)
class ActivationStatistics:
    """The activations x_n[t] of a group's units over all valid frames.

    Arguments
    ---------
    frames : int
        How many frames were seen.
    mean : torch.Tensor
        Mean of x_n[t], (units,), float32; what a removed unit leaves behind
        on average.
    magnitude : torch.Tensor
        Mean of ``|x_n[t]|``, (units,).
    deviation : torch.Tensor
        Standard deviation of x_n[t], (units,).
    silence : torch.Tensor
        Share of frames with x_n[t] = 0, (units,).
    """

    frames: int
    mean: Tensor
    magnitude: Tensor
    deviation: Tensor
    silence: Tensor

    @property
    def dead(self) -> Tensor:
        """The units that never fire, bool, (units,)."""
        return self.silence == 1

    @property
    def dead_share(self) -> float:
        """Share of the units that never fire; with ReLU often a third."""
        return self.dead.float().mean().item()


class _Activations(Measure):
    def __init__(self, tap: Tap, settings: Settings) -> None:
        names = ("total", "square", "magnitude", "silence")
        super().__init__(tap, settings, **dict.fromkeys(names, (tap.units,)))

    def update(self, frames: Frames) -> None:
        """Add the frames of one batch to the sums."""
        # The variance will be a difference, of which little may be left.
        units = frames.units.double()
        self.add(
            frames,
            total=units.sum(0),
            square=units.square().sum(0),
            magnitude=units.abs().sum(0),
            silence=(units == 0).sum(0),
        )

    def result(self) -> ActivationStatistics:
        """What the sums say about the units."""
        mean = self.mean("total")
        variance = above_rounding(self.mean("square"), -mean.square())
        return ActivationStatistics(
            frames=int(self.sums["frames"]),
            mean=mean.float().cpu(),
            magnitude=self.mean("magnitude").float().cpu(),
            deviation=variance.clamp(min=0).sqrt().float().cpu(),
            silence=self.mean("silence").float().cpu(),
        )


def measure_activations(
    model: nn.Module,
    batches: Batches,
    targets: Targets = None,
    *,
    forward: Forward | None = None,
    progress: bool = False,
) -> dict[str, ActivationStatistics]:
    """Measure what the hidden units of a model do on speech.

    The activation of a unit is what arrives at the next Linear layer, in
    evaluation mode.

    Arguments
    ---------
    model : nn.Module
        As in ``rank_neurons``.
    batches : iterable
        As in ``rank_neurons``.
    targets : str or iterable of str, optional
        As in ``rank_neurons``.
    forward : callable, optional
        As in ``measure_saliency``.
    progress : bool
        Show a progress bar.

    Returns
    -------
    dict of str to ActivationStatistics
        For every group in forward order.

    Raises
    ------
    SaliencyError
        As in ``rank_neurons``.
    UnitsError
        As in ``rank_neurons``.

    Example
    -------
    >>> import torch
    >>> model = nn.Sequential(nn.Linear(40, 9), nn.ReLU(), nn.Linear(9, 5))
    >>> statistics = measure_activations(model, [torch.randn(2, 50, 40)])["0"]
    >>> statistics.frames, statistics.mean.shape, statistics.dead_share
    (100, torch.Size([9]), 0.0)
    """
    measures = {
        tap: [_Activations(tap, Settings())]
        for tap in find_taps(model, targets)
    }
    StreamingPass(model, measures, forward=forward).run(batches, progress)
    return {tap.name: each.result() for tap, [each] in measures.items()}

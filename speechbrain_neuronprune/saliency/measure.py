"""What every measure is: sums over frames, and what becomes of them.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import math
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from speechbrain.utils.distributed import ddp_all_reduce
from torch import Tensor
from torch.distributed import ReduceOp

from speechbrain_neuronprune.errors import SaliencyError
from speechbrain_neuronprune.saliency.frames import Frames
from speechbrain_neuronprune.saliency.taps import Tap

WINDOW = 16


@dataclass(frozen=True)
class Settings:
    """The choices that criteria leave open.

    Arguments
    ---------
    window : int
        Frames in the time window of ``mi`` and ``mi_lagged``. Mitra and Franco
        do not give that; 16 frames of 10 ms is inferred.
    frame_stride : int
        All but ``taylor``: of so many frames of an utterance one is looked
        at.
    gradient_stride : int
        ``taylor``: of so many utterances one is looked at.
    damping : float
        ``obs``: what is added to the diagonal of the Hessian, as a share of
        the diagonal's mean.
    outgoing : bool
        ``mbp``: also count the weights that leave the unit.
    seed : int
        ``random``: which draw.
    """

    window: int = WINDOW
    frame_stride: int = 1
    gradient_stride: int = 1
    damping: float = 0.01
    outgoing: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_whole("window", "frame_stride", "gradient_stride")
        if self.window < 1:
            raise SaliencyError(
                f"A time window of {self.window} frames is empty; give "
                "window=1 or more."
            )
        if self.frame_stride < 1:
            raise SaliencyError(
                f"Every {self.frame_stride}-th frame is none; give "
                "frame_stride=1 or more."
            )
        if self.gradient_stride < 1:
            raise SaliencyError(
                f"Every {self.gradient_stride}-th utterance is none; give "
                "gradient_stride=1 or more."
            )
        if not self.damping > 0:
            raise SaliencyError(
                f"A damping of {self.damping} leaves the Hessian singular; "
                "give a positive share, for instance damping=0.01."
            )

    def _check_whole(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not isinstance(value, Integral):
                raise SaliencyError(
                    f"{name}={value!r} is no whole number; give {name}=1 or "
                    "more."
                )


class Measure:
    """Something that is measured on the units of one tap.

    Subclasses say which sums they need and what to make of them; so the
    memory does not grow with the amount of speech. Within a batch they add up
    in the precision of the frames; over batches it is done in float64.

    Arguments
    ---------
    tap : Tap
        Whose units.
    settings : Settings
        The choices that criteria leave open.
    **shapes : tuple of int
        The shape of every sum; the number of frames is always counted.
    """

    needs_speech = True
    needs_gradient = False

    def __init__(
        self, tap: Tap, settings: Settings, **shapes: tuple[int, ...]
    ) -> None:
        self.tap = tap
        self.settings = settings
        device = tap.producer.weight.device
        self.sums = {
            name: torch.zeros(shape, dtype=torch.float64, device=device)
            for name, shape in {"frames": (), **shapes}.items()
        }

    def update(self, frames: Frames) -> None:
        """Add the frames of one batch to the sums.

        Arguments
        ---------
        frames : Frames
            What passed the tap.
        """
        raise NotImplementedError

    def result(self) -> Any:
        """What the sums say; a tensor (units,) where it is a criterion.

        Returns
        -------
        torch.Tensor or Any
            The saliencies (units,) of a criterion; what else is measured may
            be anything.
        """
        raise NotImplementedError

    def finish(self) -> None:
        """Add what still waits to be added, if anything does."""

    def add(self, frames: Frames, **terms: Tensor) -> None:
        """Add to the sums by name, and count the frames.

        Arguments
        ---------
        frames : Frames
            The frames that the terms come from.
        **terms : torch.Tensor
            What to add, by the name of the sum.

        Raises
        ------
        SaliencyError
            If a term is not finite. Asking only then which frames are to
            blame saves a look at each of them.
        """
        self.sums["frames"] += len(frames)
        if not self.accumulate(**terms):
            frames.refuse()

    def accumulate(self, **terms: Tensor) -> bool:
        """Add to the sums by name; say whether all terms are finite.

        Arguments
        ---------
        **terms : torch.Tensor
            What to add, by the name of the sum.

        Returns
        -------
        bool
            True if they are.
        """
        for name, term in terms.items():
            self.sums[name] += term
        return math.isfinite(sum(term.sum() for term in terms.values()))

    def mean(self, name: str) -> Tensor:
        """A sum divided by the number of frames.

        Arguments
        ---------
        name : str
            The name of the sum.

        Returns
        -------
        torch.Tensor
            Of the shape of the sum, float64.
        """
        return self.sums[name] / self.sums["frames"]

    def reduce_over_ranks(self) -> None:
        """Add up the sums of all processes, where there are several."""
        for total in self.sums.values():
            ddp_all_reduce(total, ReduceOp.SUM)

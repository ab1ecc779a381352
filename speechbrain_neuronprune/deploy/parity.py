"""Whether what went through a door still computes the same.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from speechbrain_neuronprune.deploy.posteriors import Posteriors
from speechbrain_neuronprune.errors import ExportError, in_short
from speechbrain_neuronprune.padding import frames_of

FRAMES = (40, 77, 128, 251, 400)  # of features, 10 ms each
BATCHES = (1, 3)
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Parity:
    """How far an exported model is from the one that it was made from.

    Arguments
    ---------
    max_difference : float
        Largest difference between log-posteriors at a valid frame.
    cases : int
        How many batches were compared, of different lengths and sizes.
    """

    max_difference: float
    cases: int


@torch.no_grad()
def measure_parity(
    posteriors: Posteriors, exported: Callable[[Tensor, Tensor], Tensor]
) -> Parity:
    """Compare at five lengths and two batch sizes, with padding.

    Arguments
    ---------
    posteriors : Posteriors
        In PyTorch.
    exported : callable
        The same from the other side of the door.

    Returns
    -------
    Parity
        The largest difference.
    """
    examples = [
        posteriors.example(batch, time, seed=time)
        for batch in BATCHES
        for time in FRAMES
    ]
    differences = [
        valid_difference(posteriors(*one), exported(*one), one[1])
        for one in examples
    ]
    # Unlike Python's, PyTorch's maximum is NaN if there is one.
    return Parity(float(torch.tensor(differences).max()), len(differences))


def check_parity(
    posteriors: Posteriors,
    exported: Callable[[Tensor, Tensor], Tensor],
    door: str,
) -> Parity:
    """Measure parity and refuse what computes something else.

    Arguments
    ---------
    posteriors : Posteriors
        In PyTorch.
    exported : callable
        The same from the other side of the door.
    door : str
        What to call it in an error.

    Returns
    -------
    Parity
        At most ``TOLERANCE``.

    Raises
    ------
    ExportError
        If it is more, or the exported model fails.
    """
    try:
        parity = measure_parity(posteriors, exported)
    except Exception as error:  # of whatever runs it
        raise ExportError(
            f"The {door} model fails where PyTorch's does not "
            f"({in_short(error)}); it was not written. Use the model "
            "directory, or another door."
        ) from error
    if not parity.max_difference <= TOLERANCE:  # neither may it be NaN
        raise ExportError(
            f"The log-posteriors of the {door} model differ by "
            f"{parity.max_difference:.1e} from PyTorch's, more than "
            f"{TOLERANCE:.0e}; it was not written. Use the model directory, "
            "or another door."
        )
    return parity


def valid_difference(first: Tensor, second: Tensor, lengths: Tensor) -> float:
    """The largest difference at a valid frame.

    Arguments
    ---------
    first : torch.Tensor
        (batch, frames, tokens).
    second : torch.Tensor
        The same shape.
    lengths : torch.Tensor
        Relative lengths, (batch,).

    Returns
    -------
    float
        NaN if there is one, infinity if the shapes differ, zero if there is
        no valid frame.

    Example
    -------
    >>> first, second = torch.zeros(1, 4, 2), torch.zeros(1, 4, 2)
    >>> second[0, 3] = 9.0
    >>> valid_difference(first, second, torch.tensor([0.75]))
    0.0
    """
    if first.shape != second.shape:
        return float("inf")
    valid = frames_of(first, lengths)
    differences = (first - second).abs().amax(-1)[valid]
    return float(differences.max()) if len(differences) else 0.0

"""How far pseudo-labels can be trusted, and which utterances to keep.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import hashlib
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from speechbrain_neuronprune.adaptation.frames import spoken_frames
from speechbrain_neuronprune.errors import SelectionError


@torch.no_grad()
def utterance_confidence(
    log_probs: Tensor, lengths: Tensor, blank_index: int
) -> Tensor:
    """How clearly the likeliest class leads, on average over an utterance.

    Mitra and Franco (sec. 6) select pseudo-labelled data by the distance
    between the likeliest target and the next. The distance log p1 - log p2 and
    its mean over the frames in which the blank is not the likeliest are
    inferred.

    Arguments
    ---------
    log_probs : torch.Tensor
        Log-posteriors of a CTC model, (batch, time, classes).
    lengths : torch.Tensor
        Relative lengths, (batch,).
    blank_index : int
        The class of the CTC blank; if negative, counted from the end.

    Returns
    -------
    torch.Tensor
        One confidence per utterance, in nats, float32, (batch,). An utterance
        of nothing but blanks has no label to learn from; its confidence is
        -inf, so it is never chosen.

    Example
    -------
    >>> probs = torch.tensor([[[0.1, 0.8, 0.1], [0.9, 0.1, 0.0]]])
    >>> utterance_confidence(probs.log(), torch.ones(1), blank_index=0)
    tensor([2.0794])
    """
    spoken = spoken_frames(log_probs, lengths, blank_index)
    first, second = log_probs.float().topk(2, dim=-1).values.unbind(-1)
    leads = torch.where(spoken, first - second, 0.0).sum(dim=1)
    count = spoken.sum(dim=1)
    return torch.where(count > 0, leads / count.clamp(min=1), -math.inf)


def most_confident(
    confidences: Mapping[str, float], fraction: float
) -> list[str]:
    """The utterances with the highest confidences.

    Arguments
    ---------
    confidences : mapping of str to float
        Utterance to confidence.
    fraction : float
        Share of the utterances to keep, in (0, 1]; at least one is kept.
        Those that are NaN or -inf count for the share but are never kept.

    Returns
    -------
    list of str
        The most confident one first. Ties go by a hash of the name: neither
        the order in which utterances were decoded makes a difference, nor the
        speaker, whom names begin with.

    Raises
    ------
    SelectionError
        If the fraction is no share, or no utterance can be kept.

    Example
    -------
    >>> most_confident({"a": 0.5, "b": 2.0, "c": -math.inf, "d": 1.0}, 0.5)
    ['b', 'd']
    """
    if not 0.0 < fraction <= 1.0:
        raise SelectionError(
            f"A fraction of {fraction} of the utterances cannot be kept; give "
            "a number above 0 and up to 1."
        )
    labelled = [name for name in confidences if confidences[name] > -math.inf]
    if not labelled:
        raise SelectionError(
            f"None of the {len(confidences)} utterances can be kept: all "
            "pseudo-labels are empty; start from a better model, or from "
            "speech closer to what it knows."
        )
    labelled.sort(key=lambda name: (-confidences[name], _hash(name)))
    return labelled[: max(round(fraction * len(confidences)), 1)]


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()

"""Pseudo-labels: what the starting model hears, and how sure of it it is.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from speechbrain_neuronprune.adaptation.confidence import most_confident
from speechbrain_neuronprune.errors import SelectionError
from speechbrain_neuronprune.files import PathLike, write_json


class PseudoLabel(NamedTuple):
    """What a model made of one utterance.

    Arguments
    ---------
    tokens : list of int
        The tokens it decoded.
    confidence : float
        See ``utterance_confidence``; minus infinity where it heard nothing.
    """

    tokens: list[int]
    confidence: float


def choose_labels(
    labels: Mapping[str, PseudoLabel], fraction: float
) -> dict[str, PseudoLabel]:
    """Keep the utterances that the model is surest of.

    Mitra and Franco, sec. 6.

    Arguments
    ---------
    labels : mapping of str to PseudoLabel
        By the utterance's name.
    fraction : float
        Share of all utterances to keep.

    Returns
    -------
    dict of str to PseudoLabel
        The chosen ones, the surest first; never one without tokens.

    Raises
    ------
    SelectionError
        If the fraction is out of range, or all pseudo-labels are empty.

    Example
    -------
    >>> labels = {"a": PseudoLabel([1], 0.2), "b": PseudoLabel([2], 3.0)}
    >>> list(choose_labels(labels, 0.5))
    ['b']
    """
    confidences = {
        name: label.confidence if label.tokens else -float("inf")
        for name, label in labels.items()
    }
    return {
        name: labels[name] for name in most_confident(confidences, fraction)
    }


def hold_back(
    labels: Mapping[str, PseudoLabel], share: float, seed: int = 0
) -> tuple[dict[str, PseudoLabel], dict[str, PseudoLabel]]:
    """Split off the part by which training is stopped.

    Arguments
    ---------
    labels : mapping of str to PseudoLabel
        The chosen ones.
    share : float
        What share is held back, at least one utterance.
    seed : int
        Which draw.

    Returns
    -------
    tuple of dict
        Those to learn from, and those held back.

    Raises
    ------
    SelectionError
        If nothing would be left on one of the sides.

    Example
    -------
    >>> labels = {name: PseudoLabel([1], 0.0) for name in "abcde"}
    >>> [len(part) for part in hold_back(labels, 0.2)]
    [4, 1]
    """
    number = max(1, round(share * len(labels)))
    if not 0.0 < share < 1.0 or number >= len(labels):
        raise SelectionError(
            f"Of {len(labels)} pseudo-labelled utterances a share of {share} "
            "cannot be held back; give a share between 0 and 1, and at least "
            "two utterances."
        )
    order = np.random.default_rng(seed).permutation(sorted(labels)).tolist()
    held = set(order[:number])
    return (
        {name: label for name, label in labels.items() if name not in held},
        {name: label for name, label in labels.items() if name in held},
    )


def save_labels(labels: Mapping[str, PseudoLabel], path: PathLike) -> None:
    """Write pseudo-labels as JSON, atomically.

    Arguments
    ---------
    labels : mapping of str to PseudoLabel
        By the utterance's name.
    path : path-like
        Where.
    """
    write_json(
        path,
        {
            name: [label.tokens, _finite(label.confidence)]
            for name, label in labels.items()
        },
    )


def _finite(confidence: float) -> float | None:
    """JSON knows no infinity; an utterance without doubt stays the surest."""
    if math.isnan(confidence) or confidence == -math.inf:
        return None
    return min(confidence, sys.float_info.max)


def load_labels(path: PathLike) -> dict[str, PseudoLabel]:
    """Read what ``save_labels`` wrote.

    Arguments
    ---------
    path : path-like
        The file.

    Returns
    -------
    dict of str to PseudoLabel
        By the utterance's name; a confidence of infinity is the largest
        finite one now.
    """
    content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return {
        name: PseudoLabel(
            tokens, -float("inf") if confidence is None else confidence
        )
        for name, (tokens, confidence) in content.items()
    }

"""What can happen to an utterance: a room, noise, the telephone.

It follows from the utterance's name and the seed alone, so two conditions
compare like with like: noise:5 and noise:15 add the same noise, only louder or
softer, and room+noise:5 puts a voice into the same room as room does.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from pathlib import Path

import numpy as np

from speechbrain_neuronprune.corpus.noises import NoiseSource, add_noise
from speechbrain_neuronprune.corpus.rooms import (
    ROOMS,
    pooled_response,
    reverberate,
)
from speechbrain_neuronprune.corpus.telephone import telephone
from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.randomness import random_for

LARGEST_SNR = 100.0

KNOWN = {
    "room": "the reverberation of a room",
    "noise:SNR": "noise, SNR decibels below the speech",
    "phone": "a telephone line",
}
# What happens, in order, and the signal-to-noise ratio where there is one.
Condition = dict[str, float | None]


def parse_condition(text: str) -> Condition:
    """Read a condition such as "room+noise:10".

    Arguments
    ---------
    text : str
        Names joined by "+", each at most once.

    Returns
    -------
    dict
        By name, in order; the value is the signal-to-noise ratio of
        ``noise``, and None otherwise.

    Raises
    ------
    DataError
        If a name is unknown, comes twice, or has no proper SNR.

    Example
    -------
    >>> parse_condition("room+noise:10")
    {'room': None, 'noise': 10.0}
    """
    parts: Condition = {}
    for part in text.split("+"):
        name, _, value = part.partition(":")
        if name != "noise" and part not in ("room", "phone"):
            raise DataError(
                f"There is no condition {part!r}; use {', '.join(KNOWN)}, or "
                "several of these joined by '+'."
            )
        if name in parts:
            raise DataError(
                f"The condition {text!r} names {name} twice; name it once."
            )
        parts[name] = _snr(part, value) if name == "noise" else None
    return parts


def _snr(part: str, value: str) -> float:
    try:
        snr = float(value)
    except ValueError:
        snr = float("nan")
    if not abs(snr) <= LARGEST_SNR:
        raise DataError(
            f"The condition {part!r} has no proper signal-to-noise ratio; "
            f"give decibels from {-LARGEST_SNR:.0f} to {LARGEST_SNR:.0f}, for "
            "instance noise:10."
        )
    return snr


def condition_text(condition: Condition) -> str:
    """Write a condition, always in the same way.

    Arguments
    ---------
    condition : dict
        What ``parse_condition`` returned.

    Returns
    -------
    str
        What it reads.

    Example
    -------
    >>> condition_text(parse_condition("room+noise:7.50"))
    'room+noise:7.5'
    """
    return "+".join(
        name if snr is None else f"{name}:{snr:.15g}"
        for name, snr in condition.items()
    )


def corrupt(
    speech: np.ndarray,
    rate: int,
    path: Path,
    condition: Condition,
    seed: int = 0,
    noise: NoiseSource | None = None,
) -> np.ndarray:
    """Let one utterance go through a condition.

    Arguments
    ---------
    speech : np.ndarray
        Samples.
    rate : int
        Their sampling rate in hertz.
    path : Path
        The utterance's file; what is drawn depends on its name.
    condition : dict
        What happens, see ``parse_condition``.
    seed : int
        Another seed gives other rooms and noise.
    noise : NoiseSource, optional
        Where noise comes from, if the condition has some.

    Returns
    -------
    np.ndarray
        As many samples, perhaps beyond full scale.
    """
    for name, snr in condition.items():
        # The same room in every condition that has one, and the same noise.
        rng = random_for(seed, name, path.stem)
        if name == "room":
            response = pooled_response(rng.randint(ROOMS), rate, seed)
            speech = reverberate(speech, response)
        elif name == "noise":
            added = noise.draw(path, len(speech), rate, rng)
            speech = add_noise(speech, added, snr)
        else:
            speech = telephone(speech, rate)
    return speech

"""Reading some of many recordings.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from speechbrain_neuronprune.corpus.audio import level, read_audio
from speechbrain_neuronprune.errors import DataError
from speechbrain_neuronprune.randomness import random_for

SILENT = 1e-4  # a level of -80 dB: what is amplified there is rounding
SHORTEST = 0.1  # seconds; what is shorter cannot be described


def some(paths: Sequence[Path], count: int, *key: object) -> list[Path]:
    """Draw some of many files.

    Arguments
    ---------
    paths : sequence of Path
        All of them.
    count : int
        At most so many are drawn.
    *key : object
        What they are for, see ``random_for``.

    Returns
    -------
    list of Path
        None of them twice.

    Example
    -------
    >>> len(some([Path("a"), Path("b"), Path("c")], 2, 0, "some"))
    2
    """
    order = random_for(*key).permutation(len(paths))
    return [paths[index] for index in order[:count]]


def read_at(path: Path, rate: int) -> np.ndarray:
    """Read a recording that has to have a sampling rate.

    Arguments
    ---------
    path : Path
        The file.
    rate : int
        The sampling rate in hertz.

    Returns
    -------
    np.ndarray
        Samples.

    Raises
    ------
    DataError
        If it has another one, or cannot be read.
    """
    samples, own = read_audio(path)
    if own != rate:
        raise DataError(
            f"The audio file {path} has a sampling rate of {own} Hz, but the "
            f"first one of the home speech has {rate} Hz; convert one of the "
            "two, so that all speech of home and of the new domain has the "
            "same."
        )
    return samples


def listen(paths: Sequence[Path], rate: int) -> Iterator[np.ndarray]:
    """Read recordings, but for those that hold next to nothing.

    Arguments
    ---------
    paths : sequence of Path
        The files.
    rate : int
        The sampling rate that they have to have, in hertz.

    Yields
    ------
    np.ndarray
        Samples, at least 0.1 s and not silent.
    """
    for path in paths:
        samples = read_at(path, rate)
        if len(samples) >= SHORTEST * rate and level(samples) > SILENT:
            yield samples

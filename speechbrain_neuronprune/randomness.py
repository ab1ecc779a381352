"""Random numbers that depend on what they are for, and on nothing else.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import hashlib

import numpy as np


def random_for(*key: object) -> np.random.RandomState:
    """Random numbers for a purpose.

    Whoever asks with the same key gets the same numbers, in every process and
    whatever was drawn before. (This generator, unlike newer ones, is frozen:
    every NumPy gives the same stream.)

    Arguments
    ---------
    *key : object
        What the numbers are for: anything whose text tells it apart.

    Returns
    -------
    np.random.RandomState
        At the beginning of its stream.

    Example
    -------
    >>> random_for(0, "noise", "1001-1-0000").randint(100, size=3)
    array([...])
    """
    text = "\0".join(map(str, key))
    digest = hashlib.sha256(text.encode()).digest()
    return np.random.RandomState(np.frombuffer(digest, dtype="<u4"))

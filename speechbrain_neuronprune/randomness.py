"""Random numbers that depend on what they are for, and on nothing else.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import hashlib

import numpy as np
import torch


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


def seeded_generator(seed: int, name: str) -> torch.Generator:
    """A generator that depends on a seed and a group's name only.

    So a group's draw is the same whichever other groups are asked for, and
    in every process.

    Arguments
    ---------
    seed : int
        Which draw.
    name : str
        The group's name.

    Returns
    -------
    torch.Generator
        On the CPU.

    Example
    -------
    >>> torch.randint(1000, (2,), generator=seeded_generator(0, "layer.3"))
    tensor([...])
    """
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))

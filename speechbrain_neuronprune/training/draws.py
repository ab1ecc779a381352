"""Draws that depend on what they are for, not on what was drawn before.

Libraries draw from global generators. A run that was stopped and goes on has
them in another state than one that was not, unless they begin at a known state
wherever it matters. And several processes have theirs in the same state, unless
they are seeded apart.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from speechbrain_neuronprune.processes import process_number
from speechbrain_neuronprune.randomness import random_for


@contextmanager
def draws_for(*key: object) -> Iterator[None]:
    """Let the global generators of a block depend on a key only.

    Those are Python's, NumPy's and torch's, the latter on the CPU and on the
    CUDA device in use. After the block they are what they were before.

    Arguments
    ---------
    *key : object
        What the draws are for: anything whose text tells it apart.

    Example
    -------
    >>> with draws_for(1234, "stage1", 3):
    ...     first = torch.randn(2)
    >>> with draws_for(1234, "stage1", 3):
    ...     first.equal(torch.randn(2))
    True
    """
    python, numpy = random.getstate(), np.random.get_state()
    # Asking a device for its state would start CUDA in a run without it.
    used = torch.cuda.is_initialized()
    devices = [torch.cuda.current_device()] if used else []
    with torch.random.fork_rng(devices):
        _seed(*key)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def draw_apart() -> None:
    """Let every process draw something else.

    SpeechBrain seeds all processes alike, so that they begin with the same
    parameters. From then on, each would draw the same masks for its own
    utterances, which are thus no independent draws. The first process draws
    what it draws alone.
    """
    number = process_number()
    if number:
        _seed(torch.initial_seed(), "process", number)


def _seed(*key: object) -> None:
    """Seed all generators by a key."""
    seed = int(random_for(*key).randint(2**32, dtype=np.uint32))
    random.seed(seed)
    np.random.seed(seed)
    # torch.manual_seed would seed all devices, those to come included, and
    # only the one in use is given its state back.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(seed)

"""What the small commands have in common: lines to print, or one sentence.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import sys
from collections.abc import Callable, Iterable

from speechbrain_neuronprune.errors import NeuronPruneError


def run_command(work: Callable[[], Iterable[str]]) -> int:
    """Do a command's work and print what came of it.

    Arguments
    ---------
    work : callable
        Does it, and returns lines for standard output. Bad input ends in one
        sentence on standard error.

    Returns
    -------
    int
        The exit status: 0, or 1 for bad input.

    Example
    -------
    >>> run_command(lambda: ["The split is in results/room"])
    The split is in results/room
    0
    """
    try:
        lines = list(work())
    except NeuronPruneError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0

"""Running SpeechBrain's chains of stages piece by piece.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Callable

from speechbrain.nnet.containers import LengthsCapableSequential
from torch import Tensor, nn


def run_stages(
    chain: LengthsCapableSequential,
    x: Tensor,
    lengths: Tensor,
    start: int = 0,
    stop: int | None = None,
    then: Callable[[nn.Module, Tensor], Tensor] | None = None,
) -> Tensor:
    """Run some stages of a chain as its forward does, and act in between.

    Arguments
    ---------
    chain : LengthsCapableSequential
        The chain.
    x : torch.Tensor
        What stage ``start`` gets, (batch, time, ...).
    lengths : torch.Tensor
        Relative lengths, (batch,), for the stages that take them.
    start : int
        Number of the first stage that runs.
    stop : int, optional
        Number of the first one that does not; by default all run.
    then : callable, optional
        Called after every stage with the stage and its output; what it
        returns goes on in the output's place.

    Returns
    -------
    torch.Tensor
        The output of the last stage; ``x`` if there is none. Of a stage that
        returns a tuple it is the first element.

    Example
    -------
    >>> import torch
    >>> chain = LengthsCapableSequential(one=nn.ReLU(), two=nn.Tanh())
    >>> x, lengths = torch.randn(2, 5, 3), torch.ones(2)
    >>> run_stages(chain, x, lengths).equal(chain(x, lengths))
    True
    >>> run_stages(chain, x, lengths, stop=1, then=lambda _, y: -y).max() <= 0
    tensor(True)
    """
    parts = list(chain.values())[start:stop]
    names = chain.lengths_arg_names[start:stop]
    for stage, name in zip(parts, names, strict=True):
        x = stage(x) if name is None else stage(x, **{name: lengths})
        x = x[0] if isinstance(x, tuple) else x
        x = x if then is None else then(stage, x)
    return x

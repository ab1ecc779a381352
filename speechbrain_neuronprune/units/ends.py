"""The two ends of a chain's link: layers that give units, and that take them.

Linear layers do both, and so do SpeechBrain's two-dimensional convolutions,
whose units are channels. Channels stand last, (batch, time, bands, channels),
and a layer that flattens takes them band by band.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import torch
from speechbrain.nnet import CNN, RNN
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from speechbrain_neuronprune.units.kinds import is_held, runs_as

# Both directions of torch's recurrent layers have input weights.
TORCH_RECURRENT = (RNN.RNN, RNN.LSTM, RNN.GRU)
RECURRENT = (*TORCH_RECURRENT, RNN.LiGRU, RNN.SLiGRU)


def is_linear(stage: nn.Module) -> bool:
    """Whether a stage is a Linear that has its weights, as tensors.

    Arguments
    ---------
    stage : nn.Module
        Any module.

    Returns
    -------
    bool
        True if it computes as ``torch.nn.Linear`` does, and holds its weight.

    Example
    -------
    >>> is_linear(nn.Linear(2, 3)), is_linear(nn.LazyLinear(3))
    (True, False)
    """
    if not runs_as(stage, [nn.Linear]):
        return False
    is_there = torch.is_tensor(stage.weight) and not is_lazy(stage.weight)
    return is_there and is_held(stage, "weight")


def is_convolution(stage: nn.Module) -> bool:
    """Whether a stage mixes channels, the last dimension, over bands and time.

    Convolutions with max_norm do not count: a forward pass changes their
    weight.

    Arguments
    ---------
    stage : nn.Module
        Any module.

    Returns
    -------
    bool
        True for SpeechBrain's ``Conv2d`` without groups, of which the weight
        is its own.

    Example
    -------
    >>> is_convolution(CNN.Conv2d(8, (3, 3), in_channels=4))
    True
    >>> is_convolution(nn.Conv2d(4, 8, 3))  # channels stand elsewhere
    False
    """
    return (
        runs_as(stage, [CNN.Conv2d])
        and stage.conv.groups == 1
        and stage.max_norm is None
        and not stage.skip_transpose
    )


def given(stage: nn.Module) -> int:
    """How many units a stage gives; 0 if it gives none that are known.

    Arguments
    ---------
    stage : nn.Module
        Any module.

    Returns
    -------
    int
        Outputs of a Linear, output channels of a convolution.

    Example
    -------
    >>> given(nn.Linear(2, 3)), given(nn.ReLU())
    (3, 0)
    """
    if is_linear(stage):
        return stage.out_features
    return stage.conv.out_channels if is_convolution(stage) else 0


def giving(stage: nn.Module) -> tuple[str, ...]:
    """The entries of which every unit that is given owns a row.

    Arguments
    ---------
    stage : nn.Module
        A Linear or a convolution.

    Returns
    -------
    tuple of str
        Dotted names in the stage. The bias is named whether it is there or
        not.

    Example
    -------
    >>> giving(nn.Linear(2, 3))
    ('weight', 'bias')
    """
    if is_convolution(stage):
        return ("conv.weight", "conv.bias")
    return ("weight", "bias")


def taking(stage: nn.Module) -> tuple[str, ...]:
    """The entries of which every unit that is taken owns columns; none if it
    is not known how a stage takes units.

    Arguments
    ---------
    stage : nn.Module
        Any module.

    Returns
    -------
    tuple of str
        Dotted names in the stage.

    Example
    -------
    >>> taking(nn.Linear(2, 3)), taking(nn.ReLU())
    (('weight',), ())
    >>> taking(RNN.LSTM(4, input_size=3, bidirectional=True))
    ('rnn.weight_ih_l0', 'rnn.weight_ih_l0_reverse')
    """
    if is_linear(stage):
        return ("weight",)
    if is_convolution(stage):
        return ("conv.weight",)
    if not runs_as(stage, RECURRENT):
        return ()
    if not isinstance(stage, TORCH_RECURRENT):
        return ("rnn.0.w.weight",)
    return tuple(
        f"rnn.{name}"
        for name, _ in stage.rnn.named_parameters()
        if name.startswith("weight_ih_l0")
    )


def taken(stage: nn.Module) -> int:
    """How many inputs a stage takes that ``taking`` knows.

    Arguments
    ---------
    stage : nn.Module
        Any module.

    Returns
    -------
    int
        Columns of the weight, with those of all bands; 0 if ``taking`` names
        no weight.

    Example
    -------
    >>> taken(nn.Linear(2, 3)), taken(nn.ReLU())
    (2, 0)
    """
    names = taking(stage)
    if not names:
        return 0
    owner, _, entry = names[0].rpartition(".")
    return getattr(stage.get_submodule(owner), entry).shape[1]


def takes(giver: nn.Module, taker: nn.Module) -> bool:
    """Whether the second stage can take the units that the first one gives:
    one by one, or, behind a convolution, flattened with their bands.

    Arguments
    ---------
    giver : nn.Module
        The first stage.
    taker : nn.Module
        The second stage.

    Returns
    -------
    bool
        True if it can.

    Example
    -------
    >>> takes(nn.Linear(2, 3), nn.Linear(3, 1))
    True
    >>> takes(CNN.Conv2d(8, (3, 3), in_channels=4), nn.Linear(80, 1))
    True
    """
    units, inputs = given(giver), taken(taker)
    if not units or not inputs:
        return False
    if is_linear(giver):
        return is_linear(taker) and inputs == units
    return inputs == units if is_convolution(taker) else inputs % units == 0


def columns(inputs: int, units: int) -> Tensor:
    """Where the units stand among flattened inputs.

    Arguments
    ---------
    inputs : int
        Number of inputs, bands times units.
    units : int
        Number of units.

    Returns
    -------
    torch.Tensor
        Long, (units, bands).

    Example
    -------
    >>> columns(6, 3)
    tensor([[0, 3],
            [1, 4],
            [2, 5]])
    """
    bands = torch.arange(0, inputs, max(units, 1))
    return torch.arange(units).unsqueeze(1) + bands


def least(stage: nn.Module) -> int:
    """How many units a layer must be left with to run.

    torch has no convolution without output. SpeechBrain's first one, which
    makes its input's single channel and takes it away again, would take away
    an output's single channel as well.

    Arguments
    ---------
    stage : nn.Module
        The layer that gives the units.

    Returns
    -------
    int
        0 for a Linear, 1 or 2 for a convolution.

    Example
    -------
    >>> least(nn.Linear(2, 3)), least(CNN.Conv2d(8, (3, 3), in_channels=4))
    (0, 1)
    """
    if not is_convolution(stage):
        return 0
    return 2 if stage.unsqueeze else 1


def fit_given(stage: nn.Module, units: int) -> None:
    """Tell a stage how many units its cut parameters give.

    Arguments
    ---------
    stage : nn.Module
        A Linear or a convolution, changed in place.
    units : int
        How many are left.
    """
    if is_convolution(stage):
        stage.conv.out_channels = units
    else:
        stage.out_features = units


def fit_taken(stage: nn.Module, inputs: int) -> None:
    """Tell a stage how many inputs its cut parameters take.

    Arguments
    ---------
    stage : nn.Module
        A stage that ``taking`` knows, changed in place.
    inputs : int
        How many are left.
    """
    if is_linear(stage):
        stage.in_features = inputs
    elif is_convolution(stage):
        # The wrapper's own in_channels stays: it computes its padding.
        stage.conv.in_channels = inputs
    elif isinstance(stage, TORCH_RECURRENT):
        stage.rnn.input_size = inputs
    else:
        layer = stage.rnn[0]
        layer.input_size = layer.w.in_features = inputs

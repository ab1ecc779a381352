"""What gates have noted while they were open, and logits that begin with it.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Mapping

from torch import Tensor, nn

from speechbrain_neuronprune.attach import adaptive_dropouts
from speechbrain_neuronprune.gates.informed import (
    SPREAD,
    InformedDropout,
    begin_together,
)


def informed_dropouts(model: nn.Module) -> dict[str, InformedDropout]:
    """The gates that begin with what they have noted.

    Arguments
    ---------
    model : nn.Module
        A gated model.

    Returns
    -------
    dict of str to InformedDropout
        By group.
    """
    return {
        name: gate
        for name, gate in adaptive_dropouts(model).items()
        if isinstance(gate, InformedDropout)
    }


def noted_importance(model: nn.Module) -> dict[str, Tensor]:
    """How much every unit matters for what it costs.

    Arguments
    ---------
    model : nn.Module
        With gates that note it, see ``OpenGate``.

    Returns
    -------
    dict of str to torch.Tensor
        By group, (units,), on the CPU: to the first order what the loss would
        change without the unit, per parameter of its own.
    """
    return {
        name: gate.worth.cpu()
        for name, gate in adaptive_dropouts(model).items()
    }


def inform(
    model: nn.Module, scores: Mapping[str, Tensor], spread: float = SPREAD
) -> None:
    """Let the gates of a model begin with a ranking of all units together, see
    ``begin_together``.

    Arguments
    ---------
    model : nn.Module
        With gates of the kind ``InformedDropout``.
    scores : mapping of str to torch.Tensor
        By group, (units,), the higher the more worth keeping.
    spread : float
        Standard deviation of the logits beta.

    Example
    -------
    >>> import torch
    >>> from speechbrain_neuronprune import RetentionSchedule
    >>> from speechbrain_neuronprune import attach_adaptive_dropout
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> schedule = RetentionSchedule(hold=10)
    >>> _ = attach_adaptive_dropout(model, schedule, gate=InformedDropout)
    >>> inform(model, {"0": torch.tensor([5.0, 0.1, 0.7])})
    >>> informed_dropouts(model)["0"].beta() - 10.0
    tensor([ 3.8697, -3.8697,  0.0000], grad_fn=<SubBackward0>)
    """
    gates = informed_dropouts(model)
    ranked = [scores[name] for name in gates]
    begin_together(list(gates.values()), ranked, spread)

"""Putting adaptive dropout into a model, and reading it back.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterator

from torch import nn

from speechbrain_neuronprune.errors import TrainingError, UnitsError
from speechbrain_neuronprune.gates.adaptive_dropout import AdaptiveDropout
from speechbrain_neuronprune.gates.following import follow_optimizer
from speechbrain_neuronprune.gates.gate import UnitGate
from speechbrain_neuronprune.gates.informed import InformedDropout
from speechbrain_neuronprune.gates.schedule import RetentionSchedule
from speechbrain_neuronprune.layers import get_gate, set_gate
from speechbrain_neuronprune.layers.dropout import use_quick_dropout
from speechbrain_neuronprune.units import Targets, find_units, supported_units


def attach_adaptive_dropout(
    model: nn.Module,
    schedule: RetentionSchedule,
    targets: Targets = None,
    scale: float = 10.0,
    gamma: float | None = None,
    gate: type[AdaptiveDropout] = AdaptiveDropout,
) -> nn.Module:
    """Give every unit of a model a learned retention probability.

    The gates stand at the five places of Kubo et al., sec. 3. The model's own
    parameters keep their names and values, so a checkpoint of the stock model
    loads before or after. Its dropouts become ``QuickDropout``, which draws
    faster on a CPU, other numbers under the same seed.

    Arguments
    ---------
    model : nn.Module
        Changed in place.
    schedule : RetentionSchedule
        c(t), shared by all gates. Advance it after every optimiser step, or
        give ``gamma``.
    targets : str or iterable of str, optional
        Which groups, as in ``find_units``.
    scale : float
        sqrt(gamma / alpha), see ``AdaptiveDropout``.
    gamma : float, optional
        The weight of the penalty that draws the logits towards c(t). If it is
        given, schedule and penalty follow the optimiser that gets the model's
        parameters, and the training script needs no change, see
        ``follow_optimizer``.
    gate : type
        ``AdaptiveDropout``, or another gate in its place: for a comparison, or
        ``InformedDropout``, which begins with what it has noted: by itself
        with ``gamma``, in a Brain with ``AdaptiveDropoutMixin``, or when
        ``informing.inform`` is called.

    Returns
    -------
    nn.Module
        The model itself, so that yaml can use ``!apply:``.

    Raises
    ------
    UnitsError
        If the model holds no units that can be gated.
    TrainingError
        If ``gamma`` is no number >= 0, or is given with gates of the kind
        ``InformedDropout`` and a schedule that no longer holds.

    Example
    -------
    >>> from speechbrain.lobes.models.transformer.Conformer import (
    ...     ConformerEncoder,
    ... )
    >>> encoder = ConformerEncoder(2, 16, 32, 2, kernel_size=3)
    >>> schedule = RetentionSchedule(steps=1000)
    >>> encoder = attach_adaptive_dropout(encoder, schedule)
    >>> len(adaptive_dropouts(encoder))
    10
    """
    if not isinstance(schedule, RetentionSchedule):
        raise UnitsError(
            f"Gates cannot follow the schedule {schedule!r}; give a "
            "RetentionSchedule."
        )
    groups = find_units(model, targets)
    if not groups:
        raise UnitsError(
            f"A {type(model).__name__} holds no units that can be gated by "
            f"targets={targets}; give a model with SpeechBrain Conformer "
            "layers, or with fully connected ones, each under one name only."
        )
    gates = [
        gate(group.size, schedule=schedule, scale=scale)
        for group in groups.values()
    ]
    if gamma is not None:
        _refuse_no_hold(gates, schedule)
        follow_optimizer(schedule, gates, gamma)
    for group, one in zip(groups.values(), gates, strict=True):
        _forget(get_gate(model, group))
        set_gate(model, group, one)
    for module in model.modules():
        use_quick_dropout(module)
    return model


def _forget(gate: UnitGate | None) -> None:
    """One that is replaced may be held by somebody; nobody shall follow it."""
    if isinstance(gate, AdaptiveDropout) and gate.schedule.follower is not None:
        gate.schedule.follower.forget(gate)


def _refuse_no_hold(
    gates: list[AdaptiveDropout], schedule: RetentionSchedule
) -> None:
    informed = any(isinstance(gate, InformedDropout) for gate in gates)
    if informed and schedule.step >= schedule.hold:
        raise TrainingError(
            "Informed gates note what matters while c(t) holds, and this "
            f"schedule holds for {schedule.hold} steps, of which "
            f"{schedule.step} are taken; give RetentionSchedule a longer "
            "hold, or AdaptiveDropout as the gate."
        )


def adaptive_dropouts(model: nn.Module) -> dict[str, AdaptiveDropout]:
    """The adaptive dropouts of a model, by the name of their group.

    Arguments
    ---------
    model : nn.Module
        Any model.

    Returns
    -------
    dict of str to AdaptiveDropout
        In forward order; empty if none is attached.
    """
    gates = {
        name: get_gate(model, group)
        for name, group in supported_units(model).items()
    }
    return {
        name: gate
        for name, gate in gates.items()
        if isinstance(gate, AdaptiveDropout)
    }


def retention_logits(model: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters that belong to the gates, not to the model.

    Arguments
    ---------
    model : nn.Module
        A gated model.

    Returns
    -------
    iterator of nn.Parameter
        One per gate, in forward order.

    Example
    -------
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> _ = attach_adaptive_dropout(model, RetentionSchedule(steps=10))
    >>> [logits.shape for logits in retention_logits(model)]
    [torch.Size([3])]
    """
    for gate in adaptive_dropouts(model).values():
        yield gate.logits

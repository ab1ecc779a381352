"""Taps: where the activations of a group of units are read.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from speechbrain.lobes.models.transformer.Transformer import (
    TransformerDecoderLayer,
)
from torch import Tensor, nn

from speechbrain_neuronprune.errors import SaliencyError
from speechbrain_neuronprune.units import (
    Targets,
    find_units,
    linears_of,
    supported_units,
)

KINDS = ("fc", "ffn")


@dataclass(frozen=True, eq=False)
class Tap:
    """The two Linear layers around a group of units.

    Arguments
    ---------
    name : str
        The group's name.
    producer : nn.Linear
        Whose outputs the units are; its inputs are the layer's inputs.
    consumer : nn.Linear
        Whose inputs are the units' activations, after nonlinearity, norms
        and gates.
    time_first : bool
        Whether both see (time, batch, features): SpeechBrain's
        ``PositionalwiseFeedForward`` swaps the two before its layers.
    of_tokens : bool
        Whether the group is in a decoder's layer, whose time is tokens.
    """

    name: str
    producer: nn.Linear
    consumer: nn.Linear
    time_first: bool = False
    of_tokens: bool = False

    @property
    def inputs(self) -> int:
        """Number of inputs of the layer, N in Mitra and Franco."""
        return self.producer.in_features

    @property
    def units(self) -> int:
        """Number of units."""
        return self.consumer.in_features


def find_taps(model: nn.Module, targets: Targets = None) -> list[Tap]:
    """The taps of a model's fully connected groups.

    Arguments
    ---------
    model : nn.Module
        Any model with groups of kind ``fc`` or ``ffn``.
    targets : str or iterable of str, optional
        As in ``find_units``; None takes all groups of these two kinds.

    Returns
    -------
    list of Tap
        In forward order.

    Raises
    ------
    SaliencyError
        If the model has no such groups.
    UnitsError
        If the targets match nothing, or groups of another kind.
    """
    if targets is None:
        groups = [g for g in supported_units(model).values() if g.kind in KINDS]
    else:
        groups = list(find_units(model, targets).values())
    if not groups:
        raise SaliencyError(
            f"This {type(model).__name__} has no fully connected units (fc, "
            "ffn) to measure; give a model with at least two Linear layers in "
            "a row or with feed-forward modules."
        )
    decoders = tuple(
        f"{path}."
        for path, module in model.named_modules()
        if isinstance(module, TransformerDecoderLayer)
    )
    return [
        Tap(
            group.name,
            *linears_of(model, group),
            time_first=group.kind == "ffn",
            of_tokens=group.name.startswith(decoders),
        )
        for group in groups
    ]


@contextmanager
def tapped(
    taps: Iterable[Tap],
    receive: Callable[[Tap, Tensor, Tensor], None],
    differentiable: bool = False,
) -> Iterator[None]:
    """Hand over what passes the taps, as the model computes it.

    Arguments
    ---------
    taps : iterable of Tap
        Where to listen.
    receive : callable
        Called with the tap, the producer's input and the consumer's input.
    differentiable : bool
        Make the activations require a gradient, so that a loss can be
        differentiated by them even if no parameter requires one.
    """
    waiting: dict[Tap, Tensor] = {}

    def hooks(tap: Tap) -> tuple[Callable, Callable]:
        def arrive(module: nn.Module, args: tuple) -> None:
            waiting[tap] = args[0]

        def leave(module: nn.Module, args: tuple) -> tuple | None:
            units = args[0]
            if differentiable and not units.requires_grad:
                units = units.detach().requires_grad_()
            if tap in waiting:
                receive(tap, waiting.pop(tap), units)
            return (units, *args[1:])

        return arrive, leave

    handles = []
    try:
        for tap in taps:
            arrive, leave = hooks(tap)
            handles.append(tap.producer.register_forward_pre_hook(arrive))
            handles.append(tap.consumer.register_forward_pre_hook(leave))
        yield
    finally:
        for handle in handles:
            handle.remove()

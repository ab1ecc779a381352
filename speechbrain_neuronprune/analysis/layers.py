"""The layers whose neurons are looked at, alone and together.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable, Sequence

from speechbrain.nnet.linear import Linear
from torch import nn

from speechbrain_neuronprune.errors import UnitsError
from speechbrain_neuronprune.saliency.taps import Tap, find_taps
from speechbrain_neuronprune.units import Targets


def choose_layers(encoder: nn.Module, layers: Targets) -> dict[str, Tap]:
    """Find the layers that are to be analysed.

    Arguments
    ---------
    encoder : nn.Module
        The model.
    layers : str or iterable of str, optional
        Targets, as in ``find_units``; None takes all fully connected groups.

    Returns
    -------
    dict of str to Tap
        Group name to the Linear layers around its units, in forward order.

    Raises
    ------
    NeuronPruneError
        If there are no such layers; of one without a successor the message
        says so.

    Example
    -------
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    >>> list(choose_layers(model, None))
    ['0']
    """
    try:
        return {tap.name: tap for tap in find_taps(encoder, layers)}
    except UnitsError:
        _refuse_last_layer(encoder, layers)
        raise


def layer_sets(
    groups: Iterable[str], together: Iterable[str]
) -> list[tuple[str, ...]]:
    """The layers from which neurons are removed at the same time: each alone,
    and the chosen ones together.

    Arguments
    ---------
    groups : iterable of str
        The analysed layers.
    together : iterable of str
        Those to be pruned together.

    Returns
    -------
    list of tuple of str
        Without repetitions.

    Raises
    ------
    UnitsError
        If one of those is not analysed.

    Example
    -------
    >>> layer_sets(["a", "b", "c"], ["a", "b"])
    [('a',), ('b',), ('c',), ('a', 'b')]
    """
    groups, together = list(groups), list(together)
    for name in together:
        if name not in groups:
            raise UnitsError(
                f"The group {name} is to be pruned together with others but is "
                f"not analysed; choose among {', '.join(groups)}."
            )
    sets = [*((group,) for group in groups), tuple(together)]
    return list(dict.fromkeys(sets))


def _refuse_last_layer(encoder: nn.Module, layers: Targets) -> None:
    names: Sequence[str] = [layers] if isinstance(layers, str) else list(layers)
    modules = dict(encoder.named_modules())
    for name in names:
        if isinstance(modules.get(name), (nn.Linear, Linear)):
            groups = ", ".join(tap.name for tap in find_taps(encoder))
            raise UnitsError(
                f"The layer {name} has no fully connected successor, so its "
                "outputs are no neurons that can be removed; choose among "
                f"{groups}."
            )

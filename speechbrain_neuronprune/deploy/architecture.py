"""The architecture of a compact model, rebuilt from its widths.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Mapping, Sequence

from torch import nn

from speechbrain_neuronprune import compaction
from speechbrain_neuronprune.plan import PruningPlan


def narrow(
    model: nn.Module, widths: Mapping[str, int | Sequence[int]]
) -> nn.Module:
    """Build the architecture into which a compact model's weights fit.

    For yaml: ``!apply:speechbrain_neuronprune.deploy.narrow``, with the dense
    model and ``PruningPlan.widths``. The weights are arbitrary until a
    checkpoint is loaded.

    Arguments
    ---------
    model : nn.Module
        The dense architecture.
    widths : mapping
        Group name to units, or to a list of units per attention head.

    Returns
    -------
    nn.Module
        A narrower model.

    Example
    -------
    >>> from speechbrain.lobes.models.transformer.Conformer import (
    ...     ConformerEncoder,
    ... )
    >>> encoder = ConformerEncoder(1, 16, 32, 2, kernel_size=3)
    >>> encoder = narrow(encoder, {"layers.0.ffn_module1": 5})
    >>> encoder.layers[0].ffn_module1[1].ffn[0].weight.shape
    torch.Size([5, 16])
    """
    return compaction.compact(model, PruningPlan.from_widths(model, widths))


def narrow_in_place(
    model: nn.Module, widths: Mapping[str, int | Sequence[int]]
) -> nn.Module:
    """The same for a model that others refer to already.

    For yaml that narrows, in an entry of its own, what was built before:
    ``!apply:speechbrain_neuronprune.deploy.narrow_in_place``.

    Arguments
    ---------
    model : nn.Module
        The dense architecture, changed in place; more than a single layer.
    widths : mapping
        Group name to units, or to a list of units per attention head.

    Returns
    -------
    nn.Module
        The model itself.

    Example
    -------
    >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> narrow_in_place(model, {"0": 3}) is model
    True
    >>> model[0].weight.shape
    torch.Size([3, 3])
    """
    return compaction.narrow(model, PruningPlan.from_widths(model, widths).keep)

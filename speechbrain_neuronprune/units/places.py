"""Where the layers with units stand in a model.

The same attention class serves as self-attention in one block and as
cross-attention in another, so a layer's place decides what its units are.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterator
from dataclasses import dataclass

from speechbrain.lobes.models.transformer.Branchformer import (
    BranchformerEncoderLayer,
    ConvolutionBranch,
)
from speechbrain.lobes.models.transformer.Conformer import (
    ConformerDecoderLayer,
    ConformerEncoderLayer,
    ConvolutionModule,
)
from speechbrain.lobes.models.transformer.Transformer import (
    TransformerDecoderLayer,
    TransformerEncoderLayer,
)
from speechbrain.nnet.attention import PositionalwiseFeedForward
from torch import nn

from speechbrain_neuronprune.units.chains import runs_in_order, stages
from speechbrain_neuronprune.units.layouts import ATTENTION, LAYOUTS
from speechbrain_neuronprune.units.problems import layer_problem
from speechbrain_neuronprune.units.vectors import join

# The attention of every block: whether its keys and values come from another
# sequence than its queries.
CROSS = {
    ConformerEncoderLayer: {"mha_layer": False},
    BranchformerEncoderLayer: {"mha_layer": False},
    TransformerEncoderLayer: {"self_att": False},
    TransformerDecoderLayer: {"self_attn": False, "multihead_attn": True},
    ConformerDecoderLayer: {"mha_layer": True},
}

# The kinds of units of layers other than attention.
KINDS = {
    PositionalwiseFeedForward: ("ffn",),
    ConvolutionModule: ("conv",),
    ConvolutionBranch: ("conv",),
}

# The order in which a block's forward pass meets its parts, where it
# registers them in another order.
CONFORMER_ORDER = (
    "ffn_module1",
    "mha_layer",
    "convolution_module",
    "ffn_module2",
)
FORWARD_ORDER = {
    ConformerEncoderLayer: CONFORMER_ORDER,
    ConformerDecoderLayer: CONFORMER_ORDER,
}


@dataclass(frozen=True)
class Place:
    """A module of a model, and where it stands.

    Arguments
    ---------
    path : str
        Its dotted path.
    module : nn.Module
        The module.
    cross : bool or None
        For the attention of a block: whether it is cross-attention; None for
        every other module.
    """

    path: str
    module: nn.Module
    cross: bool | None = None


def walk(
    module: nn.Module, path: str = "", cross: bool | None = None
) -> Iterator[Place]:
    """The modules of a model in forward order, down to the layers with units.

    Arguments
    ---------
    module : nn.Module
        The model, or a part of it.
    path : str
        Where that part is.
    cross : bool, optional
        As in ``Place``.

    Returns
    -------
    iterator of Place
        Attention counts as part of a block only: elsewhere nobody can tell
        what its queries and keys are.

    Example
    -------
    >>> block = TransformerDecoderLayer(8, 2, d_model=4)
    >>> [(p.path, p.cross) for p in walk(block) if p.cross is not None]
    [('self_attn', False), ('multihead_attn', True)]
    """
    if cross is None and isinstance(module, ATTENTION):
        return
    yield Place(path, module, cross)
    if cross is None and not isinstance(module, tuple(LAYOUTS)):
        attention = _of_class(module, CROSS) or {}
        for name, child in _children(module):
            yield from walk(child, join(path, name), attention.get(name))


def _of_class(module: nn.Module, table: dict) -> dict | tuple | None:
    return next(
        (entry for kind, entry in table.items() if isinstance(module, kind)),
        None,
    )


def _children(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    order = _of_class(module, FORWARD_ORDER)
    if order is not None:
        for name in order:
            yield name, getattr(module, name)
    elif runs_in_order(module):
        yield from stages(module)
    else:
        yield from module.named_children()


@dataclass(frozen=True)
class Obstacle:
    """A layer whose units cannot be removed exactly.

    Arguments
    ---------
    path : str
        Where it is.
    layer : nn.Module
        The layer.
    kinds : tuple of str
        The kinds of units that it would have.
    problem : str
        Why they cannot be removed.
    """

    path: str
    layer: nn.Module
    kinds: tuple[str, ...]
    problem: str


def obstacles(model: nn.Module) -> Iterator[Obstacle]:
    """The layers of known blocks whose units cannot be removed exactly.

    Arguments
    ---------
    model : nn.Module
        Any model.

    Returns
    -------
    iterator of Obstacle
        In forward order. A layer that has no units left is none.
    """
    for place in walk(model):
        layer = place.module
        if isinstance(layer, TransformerEncoderLayer):
            yield from _convolutional_feed_forward(place)
        if hasattr(layer, "folded"):
            continue
        problem = layer_problem(layer, place.cross)
        if problem is not None:
            kinds = _of_class(layer, KINDS) or ("query", "value")
            yield Obstacle(place.path, layer, kinds, problem)


def _convolutional_feed_forward(place: Place) -> Iterator[Obstacle]:
    """SpeechBrain's ``ffn_type="1dcnn"``."""
    layer = place.module.pos_ffn
    if not isinstance(layer, PositionalwiseFeedForward):
        path = join(place.path, "pos_ffn")
        problem = "supported is ffn_type='regularFFN', not '1dcnn'"
        yield Obstacle(path, layer, ("ffn",), problem)

"""Unit groups: which hidden units a model has, and what each of them owns.

A *unit group* is a named vector of hidden units of one layer that can be
removed one at a time. For each unit it knows the exact slices of every
parameter that go when the unit goes; masking, compaction, saliency and
selective updates all read this one description.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import fnmatch
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import torch
from speechbrain.lobes.models.transformer.Conformer import (
    ConformerEncoderLayer,
    ConvolutionModule,
)
from speechbrain.nnet.attention import (
    MultiheadAttention,
    PositionalwiseFeedForward,
    RelPosMHAXL,
    RoPEMHA,
)
from torch import Tensor, nn

from speechbrain_neuronprune.errors import UnitsError

Targets = str | Iterable[str] | None

# The order in which a layer's forward pass meets its parts (it registers
# them in another order).
FORWARD_ORDER = {
    ConformerEncoderLayer: (
        "ffn_module1",
        "mha_layer",
        "convolution_module",
        "ffn_module2",
    ),
}


@dataclass(frozen=True)
class ParameterSlice:
    """The part of one parameter that the units of a group own.

    Arguments
    ---------
    parameter : str
        The parameter's name, relative to the layer.
    dim : int or None
        The dimension along which units lie; None reads the parameter flat.
    index : torch.Tensor
        Long tensor (units, entries): the positions each unit owns.
    """

    parameter: str
    dim: int | None
    index: Tensor


@dataclass(frozen=True)
class UnitGroup:
    """A named vector of removable hidden units of one layer.

    Arguments
    ---------
    name : str
        For instance ``encoder.layers.0.mha_layer.query``.
    kind : str
        ``ffn``, ``query``, ``value``, ``conv`` or ``fc``.
    layer : str
        Path of the module that holds the units.
    site : str
        Which vector of that module; unique within the layer.
    widths : tuple of int
        Units per attention head; one entry where there are no heads.
    slices : tuple of ParameterSlice
        What each unit owns.
    parameters_per_unit : int
        Scalar parameters that one unit owns.
    """

    name: str
    kind: str
    layer: str
    site: str
    widths: tuple[int, ...]
    slices: tuple[ParameterSlice, ...] = field(repr=False)
    parameters_per_unit: int

    @property
    def size(self) -> int:
        """Number of units in the group."""
        return sum(self.widths)


# ---------------------------------------------------------------- layouts


@dataclass(frozen=True)
class _Vector:
    """One vector of units of a layer, before it has a name."""

    site: str
    kind: str
    widths: tuple[int, ...]
    slices: tuple[ParameterSlice, ...]


def _column(index: Tensor) -> Tensor:
    return index.reshape(-1, 1)


def _slices(layer: nn.Module, *wanted: tuple) -> tuple[ParameterSlice, ...]:
    """Keep the slices whose parameter the layer really has (biases may be
    switched off)."""
    names = dict(layer.named_parameters())
    return tuple(ParameterSlice(*one) for one in wanted if one[0] in names)


def _feed_forward(layer: PositionalwiseFeedForward) -> list[_Vector]:
    """Hidden unit j owns row j of the first Linear, its bias entry, and
    column j of the second (paper A, sec. 3)."""
    size = getattr(layer.ffn, "0").weight.shape[0]
    unit = _column(torch.arange(size))
    slices = _slices(
        layer,
        ("ffn.0.weight", 0, unit),
        ("ffn.0.bias", 0, unit),
        ("ffn.3.weight", 1, unit),
    )
    return [_Vector("hidden", "ffn", (size,), slices)]


def _convolution(layer: ConvolutionModule) -> list[_Vector]:
    """Channel c owns its two pointwise rows (linear and gate half of the
    GLU), its depthwise kernel, its LayerNorm entries and its output column."""
    size = layer.conv.weight.shape[0]
    unit = _column(torch.arange(size))
    halves = torch.cat([unit, unit + size], dim=1)
    slices = _slices(
        layer,
        ("bottleneck.0.weight", 0, halves),
        ("bottleneck.0.bias", 0, halves),
        ("conv.weight", 0, unit),
        ("conv.bias", 0, unit),
        ("after_conv.0.weight", 0, unit),
        ("after_conv.0.bias", 0, unit),
        ("after_conv.2.weight", 1, unit),
    )
    return [_Vector("channels", "conv", (size,), slices)]


def head_widths(layer: nn.Module) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Rows per head of the query (and key) and of the value projection.

    Arguments
    ---------
    layer : nn.Module
        A stock attention layer, or one of ours with ragged heads.

    Returns
    -------
    tuple
        ``(query_rows, value_rows)``, one entry per head each.
    """
    if hasattr(layer, "query_rows"):
        return tuple(layer.query_rows), tuple(layer.value_rows)
    if isinstance(layer, MultiheadAttention):
        heads, width = layer.att.num_heads, layer.att.head_dim
        return (width,) * heads, (width,) * heads
    return (
        (layer.head_dim,) * layer.num_heads,
        (layer.vhead_dim,) * layer.num_heads,
    )


def _ranges(starts: list[int], widths: tuple[int, ...]) -> Tensor:
    parts = [
        torch.arange(start, start + width)
        for start, width in zip(starts, widths, strict=True)
    ]
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.long)


def _starts(widths: Iterable[int]) -> list[int]:
    starts, total = [], 0
    for width in widths:
        starts.append(total)
        total += width
    return starts


def projection_rows(layer: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of the joint input projection that make queries, keys, values.

    SpeechBrain's own attention interleaves them per head
    (q0 k0 v0 q1 k1 v1 ...); ``torch.nn.MultiheadAttention`` stacks them
    (all q, all k, all v).

    Arguments
    ---------
    layer : nn.Module
        An attention layer.

    Returns
    -------
    tuple of torch.Tensor
        Row numbers of q, k and v, head after head.
    """
    query, value = head_widths(layer)
    if isinstance(layer, MultiheadAttention):
        total = sum(query)
        rows = _ranges(_starts(query), query)
        return (
            rows,
            rows + total,
            _ranges(_starts(value), value) + 2 * total,
        )
    heads = _starts(2 * q + v for q, v in zip(query, value, strict=True))
    return (
        _ranges(heads, query),
        _ranges([h + q for h, q in zip(heads, query, strict=True)], query),
        _ranges([h + 2 * q for h, q in zip(heads, query, strict=True)], value),
    )


def _attention(layer: nn.Module, rows_per_unit: int = 1) -> list[_Vector]:
    """Query unit d of a head owns its q and k rows and, where positions are
    relative, its row of linear_pos and its two positional bias entries; value
    unit d owns its v row and its output column (paper A, sec. 3)."""
    q, k, v = projection_rows(layer)
    query_rows, value_rows = head_widths(layer)
    units = torch.arange(len(q)).reshape(-1, rows_per_unit)
    value_units = _column(torch.arange(len(v)))
    both = torch.cat([q[units], k[units]], dim=1)
    prefix = "att." if isinstance(layer, MultiheadAttention) else ""
    query = _slices(
        layer,
        (prefix + "in_proj_weight", 0, both),
        (prefix + "in_proj_bias", 0, both),
        ("linear_pos.weight", 0, units),
        ("pos_bias_u", None, units),
        ("pos_bias_v", None, units),
    )
    value = _slices(
        layer,
        (prefix + "in_proj_weight", 0, _column(v)),
        (prefix + "in_proj_bias", 0, _column(v)),
        ("value_bias_weight", 0, value_units),
        (prefix + "out_proj.weight", 1, value_units),
    )
    pairs = tuple(rows // rows_per_unit for rows in query_rows)
    return [
        _Vector("query", "query", pairs, query),
        _Vector("value", "value", value_rows, value),
    ]


def _rotary_attention(layer: RoPEMHA) -> list[_Vector]:
    """Rotary positions turn dimensions 2i and 2i + 1 together, so a query
    unit of RoPEMHA is such a pair: removing one of them alone is not exact."""
    return _attention(layer, rows_per_unit=2)


LAYOUTS: dict[type, Callable[[nn.Module], list[_Vector]]] = {
    PositionalwiseFeedForward: _feed_forward,
    ConvolutionModule: _convolution,
    RelPosMHAXL: _attention,
    RoPEMHA: _rotary_attention,
    MultiheadAttention: _attention,
}

ATTENTION = (RelPosMHAXL, RoPEMHA, MultiheadAttention)


# ---------------------------------------------------------------- finding


def _children(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    order = FORWARD_ORDER.get(type(module))
    if order is None:
        yield from module.named_children()
    else:
        for name in order:
            yield name, getattr(module, name)


def _layers(
    module: nn.Module, path: str = "", parent: nn.Module | None = None
) -> Iterator[tuple[str, nn.Module]]:
    """Layers with units, in forward order. Attention counts only as the
    self-attention of a Conformer encoder layer, where query, key and value
    are the same tensor."""
    in_conformer = isinstance(parent, ConformerEncoderLayer)
    if isinstance(module, ATTENTION) or path.endswith("mha_layer"):
        if in_conformer:
            yield path, module
        return
    if isinstance(module, tuple(LAYOUTS)):
        yield path, module
        return
    for name, child in _children(module):
        yield from _layers(child, f"{path}.{name}" if path else name, module)


def layout_of(layer: nn.Module) -> Callable | None:
    """The function that lists the unit vectors of a layer, or None."""
    for kind, layout in LAYOUTS.items():
        if isinstance(layer, kind):
            return layout
    return None


def _parameters_per_unit(
    layer: nn.Module, slices: tuple[ParameterSlice, ...]
) -> int:
    total = 0
    parameters = dict(layer.named_parameters())
    for one in slices:
        parameter = parameters[one.parameter]
        entries = 1
        if one.dim is not None:
            entries = parameter.numel() // max(parameter.shape[one.dim], 1)
        total += one.index.shape[1] * entries
    return total


def _group_name(path: str, vector: _Vector) -> str:
    """A feed-forward module inside ``ffn_moduleK`` goes by its block's name
    for it; attention has two vectors, so those carry the site."""
    if vector.kind == "ffn":
        head, _, last = path.rpartition(".")
        return head if last == "1" and "ffn_module" in head else path
    if vector.kind in ("query", "value"):
        return f"{path}.{vector.site}"
    return path


def groups_of(path: str, layer: nn.Module) -> list[UnitGroup]:
    """The unit groups of one layer.

    Arguments
    ---------
    path : str
        Where the layer is in its model.
    layer : nn.Module
        A layer with units, or any other (which has no groups).

    Returns
    -------
    list of UnitGroup
        In forward order.
    """
    layout = layout_of(layer)
    if layout is None or hasattr(layer, "folded"):
        return []
    return [
        UnitGroup(
            name=_group_name(path, vector),
            kind=vector.kind,
            layer=path,
            site=vector.site,
            widths=tuple(vector.widths),
            slices=vector.slices,
            parameters_per_unit=_parameters_per_unit(layer, vector.slices),
        )
        for vector in layout(layer)
    ]


def _matches(name: str, kind: str, patterns: list[str] | None) -> bool:
    if patterns is None:
        return True
    return any(
        fnmatch.fnmatchcase(name, pattern) or kind == pattern
        for pattern in patterns
    )


def _patterns(targets: Targets) -> list[str] | None:
    if targets is None:
        return None
    return [targets] if isinstance(targets, str) else list(targets)


def _refuse_unsupported(model: nn.Module, patterns: list[str] | None) -> None:
    for path, layer in _layers(model):
        # A folded attention has no units left, which is fine.
        if layout_of(layer) is not None or hasattr(layer, "folded"):
            continue
        if any(
            _matches(f"{path}.{kind}", kind, patterns)
            for kind in ("query", "value")
        ):
            raise UnitsError(
                f"The layer {path} is a {type(layer).__name__}, whose units "
                "cannot be removed exactly; supported attention is "
                "RelPosMHAXL, RoPEMHA and regularMHA, or leave attention out "
                'with targets=["ffn", "conv"].'
            )


def _check_patterns(
    patterns: list[str] | None, groups: list[UnitGroup]
) -> None:
    for pattern in patterns or []:
        if not any(_matches(g.name, g.kind, [pattern]) for g in groups):
            kinds = sorted({group.kind for group in groups})
            names = ", ".join(group.name for group in groups) or "none"
            raise UnitsError(
                f"The target {pattern!r} matches no unit group; use one of "
                f"the kinds {kinds} or a pattern over the groups: {names}."
            )


def find_units(
    model: nn.Module, targets: Targets = None
) -> dict[str, UnitGroup]:
    """Find the groups of hidden units that can be removed from a model.

    Arguments
    ---------
    model : nn.Module
        Anything that holds SpeechBrain Conformer encoder layers or
        feed-forward modules, for instance a ``ConformerEncoder`` or a
        ``TransformerASR``.
    targets : str or iterable of str, optional
        fnmatch patterns over group names, or kinds (``ffn``, ``query``,
        ``value``, ``conv``); None takes every group.

    Returns
    -------
    dict of str to UnitGroup
        The groups in forward order.

    Raises
    ------
    UnitsError
        If a target matches no group (the message lists what there is), or
        selects a layer whose units cannot be removed exactly.

    Example
    -------
    >>> from speechbrain.lobes.models.transformer.Conformer import (
    ...     ConformerEncoder,
    ... )
    >>> encoder = ConformerEncoder(1, 16, 32, 2, kernel_size=3)
    >>> for group in find_units(encoder).values():
    ...     print(group.name, group.size, group.parameters_per_unit)
    layers.0.ffn_module1 32 33
    layers.0.mha_layer.query 16 50
    layers.0.mha_layer.value 16 32
    layers.0.convolution_module 16 56
    layers.0.ffn_module2 32 33
    """
    patterns = _patterns(targets)
    _refuse_unsupported(model, patterns)
    groups = supported_units(model)
    _check_patterns(patterns, list(groups.values()))
    return {
        name: group
        for name, group in groups.items()
        if _matches(name, group.kind, patterns)
    }


def supported_units(model: nn.Module) -> dict[str, UnitGroup]:
    """Every group of a model, passing over layers that are not supported.

    Arguments
    ---------
    model : nn.Module
        Any model.

    Returns
    -------
    dict of str to UnitGroup
        The groups in forward order.
    """
    groups = (
        group
        for path, layer in _layers(model)
        for group in groups_of(path, layer)
    )
    return {group.name: group for group in groups}


def count_parameters(model: nn.Module) -> int:
    """Count a model's parameters, without the logits of its gates.

    Arguments
    ---------
    model : nn.Module
        Any model, gated or not.

    Returns
    -------
    int
        Scalars that the deployed model would have if every unit stayed.

    Example
    -------
    >>> count_parameters(nn.Linear(3, 2))
    8
    """
    logits = {
        id(parameter)
        for module in model.modules()
        if getattr(module, "is_gate", False)
        for parameter in module.parameters()
    }
    return sum(
        parameter.numel()
        for parameter in model.parameters()
        if id(parameter) not in logits
    )

"""Which parameters the units of SpeechBrain's layers own.

One function per layer class lists the vectors of units that it holds.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Callable, Iterable

import torch
from speechbrain.lobes.models.transformer.Branchformer import (
    ConvolutionBranch,
)
from speechbrain.lobes.models.transformer.Conformer import ConvolutionModule
from speechbrain.nnet.attention import (
    MultiheadAttention,
    PositionalwiseFeedForward,
    RelPosMHAXL,
    RoPEMHA,
)
from torch import Tensor, nn

from speechbrain_neuronprune.units.vectors import (
    UnitVector,
    column,
    slices_of,
)


def _feed_forward(layer: PositionalwiseFeedForward) -> list[UnitVector]:
    """Hidden unit j owns row j of the first Linear, its bias entry, and
    column j of the second (Kubo et al., sec. 3)."""
    size = getattr(layer.ffn, "0").weight.shape[0]
    unit = column(torch.arange(size))
    slices = slices_of(
        layer,
        ("ffn.0.weight", 0, unit),
        ("ffn.0.bias", 0, unit),
        ("ffn.3.weight", 1, unit),
    )
    return [UnitVector("hidden", "ffn", (size,), slices)]


def _convolution(layer: ConvolutionModule) -> list[UnitVector]:
    """Channel c owns its two pointwise rows (linear and gate half of the
    GLU), its depthwise kernel, its LayerNorm entries and its output column."""
    size = layer.conv.weight.shape[0]
    unit = column(torch.arange(size))
    halves = torch.cat([unit, unit + size], dim=1)
    slices = slices_of(
        layer,
        ("bottleneck.0.weight", 0, halves),
        ("bottleneck.0.bias", 0, halves),
        ("conv.weight", 0, unit),
        ("conv.bias", 0, unit),
        ("after_conv.0.weight", 0, unit),
        ("after_conv.0.bias", 0, unit),
        ("after_conv.2.weight", 1, unit),
    )
    return [UnitVector("channels", "conv", (size,), slices)]


def _gating(layer: ConvolutionBranch) -> list[UnitVector]:
    """Unit n of a convolutional gating MLP is a channel of the gate and the
    channel that it multiplies. It owns their two rows, the LayerNorm entries
    and the depthwise kernel of the gate, and its output column; where a
    Linear mixes the gate's channels, its row and its column of that."""
    size = layer.post_channel_proj.weight.shape[1]
    unit = column(torch.arange(size))
    halves = torch.cat([unit, unit + size], dim=1)
    slices = slices_of(
        layer,
        ("pre_channel_proj.weight", 0, halves),
        ("pre_channel_proj.bias", 0, halves),
        ("csgu.norm.norm.weight", 0, unit),
        ("csgu.norm.norm.bias", 0, unit),
        ("csgu.conv.conv.weight", 0, unit),
        ("csgu.conv.conv.bias", 0, unit),
        ("csgu.linear.weight", 0, unit),
        ("csgu.linear.weight", 1, unit),
        ("csgu.linear.bias", 0, unit),
        ("post_channel_proj.weight", 1, unit),
    )
    return [UnitVector("channels", "conv", (size,), slices)]


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


def stacks_projections(layer: nn.Module, cross: bool = False) -> bool:
    """Whether an attention layer reads its joint input projection as all
    queries, all keys, all values.

    ``torch.nn.MultiheadAttention`` does. SpeechBrain's own attention does as
    cross-attention; as self-attention it interleaves them per head
    (q0 k0 v0 q1 k1 v1 ...).

    Arguments
    ---------
    layer : nn.Module
        An attention layer; one of ours knows itself what it is.
    cross : bool
        Whether a stock layer is cross-attention.

    Returns
    -------
    bool
        True for stacked, False for interleaved.
    """
    if isinstance(layer, MultiheadAttention):
        return True
    return getattr(layer, "cross", cross)


def projection_rows(
    layer: nn.Module, cross: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of the joint input projection that make queries, keys, values.

    Arguments
    ---------
    layer : nn.Module
        An attention layer.
    cross : bool
        As in ``stacks_projections``.

    Returns
    -------
    tuple of torch.Tensor
        Row numbers of q, k and v, head after head.
    """
    query, value = head_widths(layer)
    if stacks_projections(layer, cross):
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


def _attention(
    layer: nn.Module, cross: bool, rows_per_unit: int = 1
) -> list[UnitVector]:
    """Query unit d of a head owns its q and k rows and, where positions are
    relative, its row of linear_pos and its two positional bias entries; value
    unit d owns its v row and its output column (Kubo et al., sec. 3)."""
    q, k, v = projection_rows(layer, cross)
    query_rows, value_rows = head_widths(layer)
    units = torch.arange(len(q)).reshape(-1, rows_per_unit)
    value_units = column(torch.arange(len(v)))
    both = torch.cat([q[units], k[units]], dim=1)
    prefix = "att." if isinstance(layer, MultiheadAttention) else ""
    query = slices_of(
        layer,
        (prefix + "in_proj_weight", 0, both),
        (prefix + "in_proj_bias", 0, both),
        ("linear_pos.weight", 0, units),
        ("linear_pos.bias", 0, units),
        ("pos_bias_u", None, units),
        ("pos_bias_v", None, units),
    )
    value = slices_of(
        layer,
        (prefix + "in_proj_weight", 0, column(v)),
        (prefix + "in_proj_bias", 0, column(v)),
        ("value_bias_weight", 0, value_units),
        (prefix + "out_proj.weight", 1, value_units),
    )
    pairs = tuple(rows // rows_per_unit for rows in query_rows)
    return [
        UnitVector("query", "query", pairs, query),
        UnitVector("value", "value", value_rows, value),
    ]


def _rotary_attention(layer: RoPEMHA, cross: bool) -> list[UnitVector]:
    """Rotary positions turn dimensions 2i and 2i + 1 together, so a query
    unit of RoPEMHA is such a pair: removing one of them alone is not exact."""
    return _attention(layer, cross, rows_per_unit=2)


ATTENTION = (RelPosMHAXL, RoPEMHA, MultiheadAttention)

LAYOUTS: dict[type, Callable[..., list[UnitVector]]] = {
    PositionalwiseFeedForward: _feed_forward,
    ConvolutionModule: _convolution,
    ConvolutionBranch: _gating,
    RelPosMHAXL: _attention,
    RoPEMHA: _rotary_attention,
    MultiheadAttention: _attention,
}


def kind_of(layer: nn.Module) -> type | None:
    """The class of SpeechBrain's whose layout a layer has.

    Arguments
    ---------
    layer : nn.Module
        Any layer.

    Returns
    -------
    type or None
        One of ``LAYOUTS``, if there is one.
    """
    return next((kind for kind in LAYOUTS if isinstance(layer, kind)), None)

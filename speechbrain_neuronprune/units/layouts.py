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
from speechbrain.nnet.activations import Softmax
from speechbrain.nnet.attention import (
    MultiheadAttention,
    PositionalwiseFeedForward,
    RelPosMHAXL,
    RoPEMHA,
)
from torch import Tensor, nn

from speechbrain_neuronprune.units.kinds import is_held, runs_as
from speechbrain_neuronprune.units.vectors import (
    UnitVector,
    column,
    entry_of,
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


def attention_problem(layer: nn.Module, cross: bool = False) -> str | None:
    """Why the units of an attention layer cannot be removed exactly.

    Arguments
    ---------
    layer : nn.Module
        What stands where a block has its attention.
    cross : bool
        Whether it is cross-attention.

    Returns
    -------
    str or None
        The reason; None if they can be.

    Example
    -------
    >>> attention_problem(RelPosMHAXL(8, 2)) is None
    True
    >>> attention_problem(MultiheadAttention(2, 8, kdim=5))
    'add_bias_kv, add_zero_attn, kdim and vdim are not supported'
    """
    if type(layer) not in ATTENTION and not hasattr(layer, "query_rows"):
        return "supported attention is RelPosMHAXL, RoPEMHA and regularMHA"
    if "forward" in vars(layer):
        return "its forward was replaced by another one"
    if isinstance(layer, MultiheadAttention):
        att = layer.att
        extras = att.bias_k is not None or att.add_zero_attn
        if extras or not att._qkv_same_embed_dim:
            return "add_bias_kv, add_zero_attn, kdim and vdim are not supported"
    elif not layer._qkv_same_embed_dim:
        return (
            f"vdim={layer.vdim} other than embed_dim={layer.embed_dim} is not "
            "implemented in SpeechBrain itself"
        )
    if cross and isinstance(layer, RoPEMHA):
        return "rotary positions are supported in self-attention only"
    return None


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

# What stands over units, and must treat each of them alike.
ACTIVATIONS: dict[type | None, tuple[str, ...]] = {
    PositionalwiseFeedForward: ("ffn.1",),
    ConvolutionModule: ("after_conv.1",),
    ConvolutionBranch: ("activation", "csgu.activation"),
}
MIXERS = (
    nn.Softmax,
    nn.Softmin,
    nn.LogSoftmax,
    nn.GLU,
    nn.LayerNorm,
    nn.RMSNorm,
    nn.GroupNorm,
    Softmax,
)

# The weights of which units own something, where a layer has them.
WEIGHTS: dict[type | None, tuple[str, ...]] = {
    PositionalwiseFeedForward: ("ffn.0.weight", "ffn.3.weight"),
    ConvolutionModule: (
        "bottleneck.0.weight",
        "conv.weight",
        "after_conv.2.weight",
    ),
    ConvolutionBranch: (
        "pre_channel_proj.weight",
        "csgu.conv.conv.weight",
        "csgu.linear.weight",
        "post_channel_proj.weight",
    ),
    RelPosMHAXL: ("in_proj_weight", "linear_pos.weight", "out_proj.weight"),
    RoPEMHA: ("in_proj_weight", "out_proj.weight"),
    MultiheadAttention: ("att.out_proj.weight",),
    None: (),
}


def layer_problem(layer: nn.Module, cross: bool | None = None) -> str | None:
    """Why the units of a layer cannot be removed exactly.

    Arguments
    ---------
    layer : nn.Module
        Any layer.
    cross : bool, optional
        For what stands where a block has its attention: whether it is
        cross-attention.

    Returns
    -------
    str or None
        The reason; None if they can be, or if it has no units.

    Example
    -------
    >>> layer = PositionalwiseFeedForward(8, input_size=4)
    >>> layer_problem(layer) is None
    True
    >>> layer.ffn[3] = torch.nn.Bilinear(8, 8, 4)
    >>> layer_problem(layer)
    'its ffn.3.weight is held by a Bilinear; merge adapters before pruning, and
    quantise after it'
    """
    kind, problem = _kind_of(layer), None
    if cross is not None or kind in ATTENTION:
        problem = attention_problem(layer, bool(cross))
    elif kind is not None and not runs_as(layer, [kind]):
        problem = f"it has a forward other than that of {kind.__name__}"
    return (
        problem
        or _problem_of_weights(layer, WEIGHTS[kind])
        or _problem_of_activations(layer, ACTIVATIONS.get(kind, ()))
    )


def _kind_of(layer: nn.Module) -> type | None:
    return next((kind for kind in LAYOUTS if isinstance(layer, kind)), None)


def _problem_of_activations(
    layer: nn.Module, names: Iterable[str]
) -> str | None:
    """One that mixes units, or has a number for each, cannot lose some."""
    for name in names:
        stage = layer.get_submodule(name)
        said = f"its {name} is a {stage._get_name()}, which"
        if isinstance(stage, MIXERS):
            return f"{said} looks at all units at once"
        entries = (*stage.parameters(), *stage.buffers())
        if any(entry.numel() > 1 for entry in entries):
            return f"{said} may have a number for each unit"
    return None


def _problem_of_weights(layer: nn.Module, names: Iterable[str]) -> str | None:
    """Adapters and quantised layers compute with more than a weight."""
    for name in names:
        path, _, entry = name.rpartition(".")
        owner = layer
        for step in filter(None, path.split(".")):
            owner = getattr(owner, step, None)
        if owner is None:
            continue
        plain = owner is layer or runs_as(owner, (nn.Linear, nn.Conv1d))
        if plain and entry_of(owner, entry) is not None:
            if is_held(owner, entry):
                continue
            return (
                f"its {name} is computed from others, by weight norm for "
                "instance; remove that before pruning"
            )
        holder = getattr(owner, entry, None) if plain else owner
        return (
            f"its {name} is held by a {(holder or owner)._get_name()}; merge "
            "adapters before pruning, and quantise after it"
        )
    return None


def layer_vectors(
    layer: nn.Module, cross: bool | None = None
) -> list[UnitVector]:
    """The vectors of units of one of SpeechBrain's layers.

    Arguments
    ---------
    layer : nn.Module
        The layer; any other module has none, and neither has a layer whose
        units cannot be removed exactly.
    cross : bool, optional
        For attention: whether it is cross-attention.

    Returns
    -------
    list of UnitVector
        In forward order.
    """
    kind = _kind_of(layer)
    if kind is None or layer_problem(layer, cross) is not None:
        return []
    role = [bool(cross)] if kind in ATTENTION else []
    return LAYOUTS[kind](layer, *role)

"""Why the units of one of SpeechBrain's layers cannot be removed exactly.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Iterable

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
from torch import nn

from speechbrain_neuronprune.units.kinds import is_held, runs_as
from speechbrain_neuronprune.units.layouts import ATTENTION, kind_of
from speechbrain_neuronprune.units.vectors import entry_of

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
    >>> layer.ffn[3] = nn.Bilinear(8, 8, 4)
    >>> layer_problem(layer)
    'its ffn.3.weight is held by a Bilinear; merge adapters before pruning, and
    quantise after it'
    """
    kind, problem = kind_of(layer), None
    if cross is not None or kind in ATTENTION:
        problem = attention_problem(layer, bool(cross))
    elif kind is not None and not runs_as(layer, [kind]):
        problem = f"it has a forward other than that of {kind.__name__}"
    return (
        problem
        or _problem_of_weights(layer, WEIGHTS[kind])
        or _problem_of_activations(layer, ACTIVATIONS.get(kind, ()))
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

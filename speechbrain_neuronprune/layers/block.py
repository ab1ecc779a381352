"""Blocks of which whole sub-modules have been removed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain.lobes.models.transformer.Branchformer import (
    BranchformerEncoderLayer,
)
from speechbrain.lobes.models.transformer.Conformer import (
    ConformerDecoderLayer,
    ConformerEncoderLayer,
)
from speechbrain.lobes.models.transformer.Transformer import (
    TransformerDecoderLayer,
    TransformerEncoderLayer,
)
from torch import nn

from speechbrain_neuronprune.units.kinds import runs_as

# The norms of every block, and the sub-module that each stands in front of.
NORMS = {
    ConformerEncoderLayer: {"norm1": "mha_layer"},
    ConformerDecoderLayer: {"norm1": "mha_layer"},
    BranchformerEncoderLayer: {
        "norm_mhsa": "mha_layer",
        "norm_conv": "convolution_branch",
    },
    TransformerEncoderLayer: {"norm1": "self_att", "norm2": "pos_ffn"},
    TransformerDecoderLayer: {
        "norm1": "self_attn",
        "norm2": "multihead_attn",
        "norm3": "pos_ffn",
    },
}


def fold_blocks(model: nn.Module) -> None:
    """Drop, in place, the norms in front of sub-modules that ignore their
    input. A block with nothing left is a few additions and its last norm; the
    stock forward, streaming included, still runs it. A block with a forward of
    its own may use its norms elsewhere, and keeps them.

    Arguments
    ---------
    model : nn.Module
        A model whose layers have been narrowed.
    """
    for block in model.modules():
        for kind, norms in NORMS.items():
            if runs_as(block, [kind]):
                _fold(block, norms)


def _fold(block: nn.Module, norms: dict[str, str]) -> None:
    for name in ("ffn_module1", "ffn_module2"):
        stages = getattr(block, name, None)
        parts = list(stages) if isinstance(stages, nn.Sequential) else []
        if len(parts) > 1 and hasattr(parts[1], "folded"):
            setattr(block, name, parts[1].ffn)
    # Behind its sub-module, a Transformer's norm is over the residual stream.
    if getattr(block, "normalize_before", True):
        for norm, part in norms.items():
            if hasattr(getattr(block, part), "folded"):
                setattr(block, norm, nn.Identity())

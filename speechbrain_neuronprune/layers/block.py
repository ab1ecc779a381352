"""Conformer blocks of which whole sub-modules have been removed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain.lobes.models.transformer.Conformer import (
    ConformerEncoderLayer,
)
from torch import nn

from speechbrain_neuronprune.layers.constant import ConstantAttention


def fold_block(block: ConformerEncoderLayer) -> None:
    """Drop, in place, the norms in front of sub-modules that ignore their
    input. A block with nothing left is three additions and its last norm;
    the stock forward, streaming included, still runs it.

    Arguments
    ---------
    block : ConformerEncoderLayer
        A block whose layers have been narrowed.
    """
    for name in ("ffn_module1", "ffn_module2"):
        stages = getattr(block, name)
        if isinstance(stages, nn.Sequential) and hasattr(stages[1], "folded"):
            setattr(block, name, stages[1].ffn)
    if isinstance(block.mha_layer, ConstantAttention):
        block.norm1 = nn.Identity()

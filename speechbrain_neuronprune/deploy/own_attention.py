"""Attention that can be traced and quantised.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from torch import nn

from speechbrain_neuronprune.layers import set_gate
from speechbrain_neuronprune.units import supported_units


def own_attention(model: nn.Module) -> None:
    """Let attention that has lost no unit compute like one that has.

    Stock layers cache their rotary embeddings, which cannot be traced, or
    give their weights to a function of the whole attention, which cannot be
    quantised.

    Arguments
    ---------
    model : nn.Module
        The model, changed in place; it computes the same.
    """
    for group in supported_units(model).values():
        if group.kind == "query":
            set_gate(model, group, None)

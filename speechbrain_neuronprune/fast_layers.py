"""Faster layers for models, or parts of them, that have lost no unit.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from torch import nn

from speechbrain_neuronprune.layers import get_gate, set_gate
from speechbrain_neuronprune.layers.channels_last import use_channels_last
from speechbrain_neuronprune.layers.dropout import use_quick_dropout
from speechbrain_neuronprune.layers.front_end import use_fast_convolution
from speechbrain_neuronprune.units import supported_units


def use_fast_layers(model: nn.Module) -> nn.Module:
    """Let a model's layers compute as those of compact models do: attention
    and convolution modules, and the convolutions of a front end.

    They compute the same as SpeechBrain's, within rounding, and faster on a
    CPU. Dropouts draw faster too, other numbers under the same seed.
    Parameters and their names stay; gates, where there are any, stay too.

    Arguments
    ---------
    model : nn.Module
        Dense, gated or compact; changed in place.

    Returns
    -------
    nn.Module
        The model itself, so that yaml can use ``!apply:``.

    Example
    -------
    >>> import torch
    >>> from speechbrain.lobes.models.transformer.Conformer import (
    ...     ConformerEncoder,
    ... )
    >>> encoder = ConformerEncoder(1, 16, 32, 2, kernel_size=3).eval()
    >>> arguments = {"src": torch.randn(1, 5, 16)}
    >>> arguments["pos_embs"] = torch.randn(1, 9, 16)
    >>> expected, _ = encoder(**arguments)
    >>> output, _ = use_fast_layers(encoder)(**arguments)
    >>> torch.allclose(output, expected, atol=1e-5)
    True
    """
    for module in model.modules():
        use_channels_last(module)
        use_quick_dropout(module)
        use_fast_convolution(module)
    return use_unit_attention(model)


def use_unit_attention(model: nn.Module) -> nn.Module:
    """Let attention that has lost no unit compute like one that has.

    Stock layers cache their rotary embeddings, which cannot be traced, or
    give their weights to a function of the whole attention, which cannot be
    quantised.

    Arguments
    ---------
    model : nn.Module
        Dense, gated or compact; changed in place. It computes the same.

    Returns
    -------
    nn.Module
        The model itself.

    Example
    -------
    >>> from speechbrain.lobes.models.transformer.Conformer import (
    ...     ConformerEncoder,
    ... )
    >>> encoder = use_unit_attention(ConformerEncoder(1, 16, 32, 2))
    >>> type(encoder.layers[0].mha_layer).__name__
    'RelPosUnitAttention'
    """
    for group in supported_units(model).values():
        if group.kind == "query" and get_gate(model, group) is None:
            set_gate(model, group, None)
    return model

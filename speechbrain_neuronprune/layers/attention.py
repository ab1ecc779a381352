"""How SpeechBrain's kinds of attention are gated and narrowed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any

import torch
import torch.nn.functional as F
from speechbrain.nnet.attention import (
    MultiheadAttention,
    RelPosMHAXL,
    RoPEMHA,
)
from torch import Tensor, nn

from speechbrain_neuronprune.gates.gate import UnitGate
from speechbrain_neuronprune.layers.relative import RelPosUnitAttention
from speechbrain_neuronprune.layers.rotary import RoPEUnitAttention
from speechbrain_neuronprune.layers.unit_attention import (
    UnitAttention,
    gated,
    masked,
)
from speechbrain_neuronprune.units import UnitGroup


def _mean(weights: Tensor, values: Tensor | None) -> Tensor:
    """The mean of attention weights (batch, heads, L, S) over the heads of
    which the mask ``values`` (batch or 1, 1, heads, width) leaves something:
    the others are not there after compaction."""
    if values is None:
        return weights.mean(1)
    alive = values.detach().amax(-1).mT.unsqueeze(-1)
    return (weights * alive).sum(1) / alive.sum(1).clamp(min=1.0)


class RegularUnitAttention(UnitAttention, MultiheadAttention):
    """SpeechBrain's ``MultiheadAttention`` with removable units.

    The gates act after the projections' biases, so removing a unit takes its
    bias along.
    """

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        return_attn_weights: bool = True,
        pos_embs: Tensor | None = None,
    ) -> Any:
        """As ``MultiheadAttention.forward``; the weights returned are the
        mean over the heads that have values."""
        att, sequences = self.att, (query, key, value)
        parts = self._project(sequences, att.in_proj_weight, att.in_proj_bias)
        q, k, v = parts
        q = gated(q, self._query_mask(q))
        present = self._value_mask(v)
        q, k, v = (
            part.transpose(1, 2)
            for part in (q * att.head_dim**-0.5, k, gated(v, present))
        )
        padding = None
        if key_padding_mask is not None:
            padding = key_padding_mask[:, None, None, :]
        masks = (self._four_dims(m) for m in (attn_mask, pos_embs))
        scores = torch.matmul(q, k.transpose(-2, -1))
        weights = F.softmax(masked(scores, *masks, padding), dim=-1)
        weights = F.dropout(weights, att.dropout, self.training)
        context = torch.matmul(weights, v).transpose(1, 2)
        out = att.out_proj(self._merge(context))
        return (out, _mean(weights, present)) if return_attn_weights else out

    def _split_even(self, joint: Tensor) -> tuple[Tensor, ...]:
        query, value = sum(self.query_rows), sum(self.value_rows)
        q, k, v = joint.split([query, query, value], dim=-1)
        heads = self.query_heads
        return heads(q), heads(k), self.value_heads(v)

    def _output_projection(self) -> nn.Linear:
        return self.att.out_proj


class AttentionForm:
    """How the three kinds of attention are gated and narrowed."""

    UNIT_CLASSES = {
        RelPosMHAXL: RelPosUnitAttention,
        RoPEMHA: RoPEUnitAttention,
        MultiheadAttention: RegularUnitAttention,
    }

    @classmethod
    def _ours(cls, layer: nn.Module, cross: bool) -> nn.Module:
        if isinstance(layer, UnitAttention):
            return layer
        return cls.UNIT_CLASSES[type(layer)].adopt(layer, cross)

    @staticmethod
    def get_gate(layer: nn.Module, group: UnitGroup) -> UnitGate | None:
        """The gate in place, or None.

        Arguments
        ---------
        layer : nn.Module
            One of the three kinds of attention, ours or the stock one.
        group : UnitGroup
            One of its groups.

        Returns
        -------
        UnitGate or None
            What multiplies the units.
        """
        return getattr(layer, f"{group.site}_gate", None)

    @classmethod
    def set_gate(
        cls, layer: nn.Module, group: UnitGroup, gate: UnitGate | None
    ) -> nn.Module:
        """A layer with the gate in place (None removes it).

        Arguments
        ---------
        layer : nn.Module
            One of the three kinds of attention, ours or the stock one.
        group : UnitGroup
            One of its groups.
        gate : UnitGate or None
            The new gate.

        Returns
        -------
        nn.Module
            The layer, or ours around its parameters in its place.
        """
        layer = cls._ours(layer, group.cross)
        setattr(layer, f"{group.site}_gate", gate)
        return layer

    @classmethod
    def narrow(
        cls,
        layer: nn.Module,
        groups: list[UnitGroup],
        keep: dict[str, Tensor],
    ) -> nn.Module:
        """The layer without the removed units.

        Arguments
        ---------
        layer : nn.Module
            One of the three kinds of attention, ours or the stock one, without
            gates.
        groups : list of UnitGroup
            Its groups.
        keep : dict of str to torch.Tensor
            Per site, bool (units,): the units that stay.

        Returns
        -------
        nn.Module
            The layer, or ours in its place; a ``ConstantAttention`` if no head
            is left.
        """
        if all(units.all() for units in keep.values()):
            return layer
        return cls._ours(layer, groups[0].cross).narrow(groups, keep)

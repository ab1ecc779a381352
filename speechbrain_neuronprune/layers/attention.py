"""How SpeechBrain's kinds of attention are gated and narrowed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain.nnet.attention import (
    MultiheadAttention,
    RelPosMHAXL,
    RoPEMHA,
)
from torch import Tensor, nn

from speechbrain_neuronprune.gates.gate import UnitGate
from speechbrain_neuronprune.layers.regular import RegularUnitAttention
from speechbrain_neuronprune.layers.relative import RelPosUnitAttention
from speechbrain_neuronprune.layers.rotary import RoPEUnitAttention
from speechbrain_neuronprune.layers.unit_attention import UnitAttention
from speechbrain_neuronprune.units import UnitGroup


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

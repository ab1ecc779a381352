"""Feed-forward modules: the gate after the activation, and the narrow form.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain.nnet.attention import PositionalwiseFeedForward
from torch import Tensor, nn

from speechbrain_neuronprune.gates.gate import UnitGate
from speechbrain_neuronprune.layers.constant import Constant, bias_of
from speechbrain_neuronprune.layers.sequential_gate import insert_gate
from speechbrain_neuronprune.layers.slicing import cut_parameters
from speechbrain_neuronprune.units import UnitGroup


class FeedForwardForm:
    """How ``PositionalwiseFeedForward`` is gated and narrowed.

    The gate stands after the activation (Kubo et al., sec. 3), so a removed
    unit contributes nothing whatever the activation makes of its bias.
    """

    @staticmethod
    def get_gate(layer: nn.Module, group: UnitGroup) -> UnitGate | None:
        """The gate in place, or None.

        Arguments
        ---------
        layer : nn.Module
            A ``PositionalwiseFeedForward``.
        group : UnitGroup
            One of its groups.

        Returns
        -------
        UnitGate or None
            What multiplies the units.
        """
        return getattr(layer.ffn, "gate", None)

    @staticmethod
    def set_gate(
        layer: PositionalwiseFeedForward,
        group: UnitGroup,
        gate: UnitGate | None,
    ) -> nn.Module:
        """Put a gate in place (None removes it).

        Arguments
        ---------
        layer : nn.Module
            A ``PositionalwiseFeedForward``.
        group : UnitGroup
            One of its groups.
        gate : UnitGate or None
            The new gate.

        Returns
        -------
        nn.Module
            The layer itself, changed in place.
        """
        if gate is not None:
            gate.batch_dim = 1  # SpeechBrain swaps batch and time in here
        insert_gate(layer.ffn, "1", "gate", gate)
        return layer

    @staticmethod
    def narrow(
        layer: PositionalwiseFeedForward,
        groups: list[UnitGroup],
        keep: dict[str, Tensor],
    ) -> nn.Module:
        """The layer without the removed units.

        Arguments
        ---------
        layer : nn.Module
            A ``PositionalwiseFeedForward``, without gates.
        groups : list of UnitGroup
            Its group.
        keep : dict of str to torch.Tensor
            Per site, bool (units,): the units that stay.

        Returns
        -------
        nn.Module
            The layer itself, changed in place; only its output bias if no unit
            is left.
        """
        second = getattr(layer.ffn, "3")
        if not keep["hidden"].any():
            layer.ffn = Constant(bias_of(second), second.out_features)
            layer.folded = True
            return layer
        cut_parameters(layer, groups, keep)
        first = getattr(layer.ffn, "0")
        first.out_features = second.in_features = len(first.weight)
        return layer

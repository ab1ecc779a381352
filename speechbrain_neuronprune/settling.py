"""Deciding for good which units stay, while a model trains.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from speechbrain_neuronprune.attach import adaptive_dropouts
from speechbrain_neuronprune.gates.adaptive_dropout import AdaptiveDropout


def settle(model: nn.Module, keep: Mapping[str, Tensor]) -> None:
    """Decide which units stay, for the rest of the training.

    Ours, not the paper's: in a short run the weights need some steps without
    random masks, in which they adapt to exactly the units that stay.

    Arguments
    ---------
    model : nn.Module
        A gated model.
    keep : mapping of str to torch.Tensor
        What stays, as in ``PruningPlan.keep``: groups that it does not name
        stay whole.
    """
    gates = adaptive_dropouts(model)
    for gate in gates.values():
        _absorb_offset(gate)
    for schedule in {gate.schedule for gate in gates.values()}:
        schedule.stop_steering()
    for name, gate in gates.items():
        everything = torch.ones(gate.shape, dtype=torch.bool)
        gate.settle(keep.get(name, everything))


@torch.no_grad()
def _absorb_offset(gate: AdaptiveDropout) -> None:
    """Move the offset of a steered schedule into the logits. It may have
    gone far, with all logits, and a decision counts from zero."""
    gate.logits += gate.schedule.offset / gate.scale

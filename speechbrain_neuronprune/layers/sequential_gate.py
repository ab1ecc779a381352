"""A gate among the stages of a Sequential.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from torch import nn


def insert_gate(
    stages: nn.Sequential, after: str, name: str, gate: nn.Module | None
) -> None:
    """Put a gate behind one of the stages of a Sequential, in place.

    Stages keep their names ("0", "1", ...), hence parameters keep theirs and
    stock checkpoints load.

    Arguments
    ---------
    stages : nn.Sequential
        The stages.
    after : str
        Name of the stage to follow; "" puts the gate first.
    name : str
        Name of the gate; a gate of that name is replaced.
    gate : nn.Module or None
        The gate; None only removes.
    """
    chain = [one for one in stages._modules.items() if one[0] != name]
    if gate is not None:
        names = ["", *(key for key, _ in chain)]
        chain.insert(names.index(after), (name, gate))
    stages._modules.clear()
    stages._modules.update(chain)

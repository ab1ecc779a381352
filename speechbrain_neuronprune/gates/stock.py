"""Loading checkpoints of models that have no gates.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any

from torch import nn


def is_stock_checkpoint(state_dict: dict) -> bool:
    """Whether a state dict comes from a model without adaptive dropout.

    Arguments
    ---------
    state_dict : dict
        What ``load_state_dict`` was given.

    Returns
    -------
    bool
        True if no key belongs to a gate's schedule.
    """
    return not any(key.endswith("steps_taken") for key in state_dict)


class AbsentInStock(nn.Module):
    """A module that a stock checkpoint may lack and a gated one may not.

    Without this, a strict load of the stock model's checkpoint would fail as
    soon as gates are attached.
    """

    def _load_from_state_dict(
        self,
        state_dict: dict,
        prefix: str,
        local_metadata: dict,
        strict: bool,
        missing_keys: list,
        *others: Any,
    ) -> None:
        missing: list[str] = []
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing, *others
        )
        if not is_stock_checkpoint(state_dict):
            missing_keys.extend(missing)

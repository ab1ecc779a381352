"""Shrinking: units leave a model while it trains.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain_neuronprune.shrinking.leaving import (
    Shrinking,
    grow,
    remaining,
    schedule_of,
    shrink,
    unsealed,
    whole_form,
)

__all__ = [
    "Shrinking",
    "grow",
    "remaining",
    "schedule_of",
    "shrink",
    "unsealed",
    "whole_form",
]

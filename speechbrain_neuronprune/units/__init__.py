"""Units: which hidden units a model has, and what each of them owns.

``groups`` has the public functions. Below it, from the ground up: ``vectors``
(a vector of units and the slices of parameters that it owns), ``kinds`` (what a
module is known by), ``layouts`` (what the units of SpeechBrain's layers own),
``problems`` (why they cannot be removed exactly), ``ends`` and ``chains`` (what
the units between two layers own, and which layers may be such ends), ``places``
(where in a model layers stand). ``stagewise`` runs such a chain piece by
piece.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from speechbrain_neuronprune.units.groups import (
    Targets,
    UnitGroup,
    count_parameters,
    find_units,
    groups_of,
    linears_of,
    supported_units,
)

__all__ = [
    "Targets",
    "UnitGroup",
    "count_parameters",
    "find_units",
    "groups_of",
    "linears_of",
    "supported_units",
]

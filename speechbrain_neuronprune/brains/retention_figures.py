"""What the gates did during training, in figures for the epoch log.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any

import torch
from torch import nn

from speechbrain_neuronprune.attach import adaptive_dropouts
from speechbrain_neuronprune.expected_size import (
    expected_parameters,
    kept_parameters,
)
from speechbrain_neuronprune.gates.adaptive_dropout import AdaptiveDropout
from speechbrain_neuronprune.gates.schedule import RetentionSchedule
from speechbrain_neuronprune.units import (
    UnitGroup,
    count_parameters,
    find_units,
)

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
EDGES = list(range(-20, 21))
# Units that have left a model that shrinks are farther away than this, and
# nothing else is.
FARTHEST = 200.0


@torch.no_grad()
def retention_figures(model: nn.Module, others: int = 0) -> dict[str, Any]:
    """Describe the gates of a model in numbers.

    Arguments
    ---------
    model : nn.Module
        A model, with adaptive dropout or without.
    others : int
        Parameters that belong to the whole model but not to ``model``.

    Returns
    -------
    dict
        Parameters (dense, kept, and expected under the retention
        probabilities), the units of every group, and the distribution of the
        retention logits of every kind of group.

    Example
    -------
    >>> figures = retention_figures(nn.Linear(3, 2), others=2)
    >>> figures["dense_parameters"], figures["kept_parameters"]
    (10, 10)
    """
    gates = adaptive_dropouts(model)
    groups = find_units(model, list(gates))
    return {
        "expected_parameters": round(expected_parameters(model)) + others,
        "kept_parameters": kept_parameters(model) + others,
        "dense_parameters": count_parameters(model) + others,
        "groups": {
            name: _group_figures(groups[name], gate)
            for name, gate in gates.items()
        },
        **_logit_figures(groups, gates),
    }


def schedule_figures(schedule: RetentionSchedule | None) -> dict[str, Any]:
    """Describe c(t), and what steers it.

    Arguments
    ---------
    schedule : RetentionSchedule or None
        The schedule of a model's gates; None if it has none.

    Returns
    -------
    dict
        c, its offset at the end of the decline, and the parameters that are
        steered to; None for what there is not.

    Example
    -------
    >>> schedule_figures(RetentionSchedule(10.0, -2.0))
    {'c': 10.0, 'c_offset': 0.0, 'steered_parameters': None}
    """
    if schedule is None:
        return dict.fromkeys(("c", "c_offset", "steered_parameters"))
    steering = schedule.steering
    return {
        "c": schedule.c(),
        "c_offset": float(schedule.offset),
        "steered_parameters": None if steering is None else steering.wanted,
    }


def alive_units(figures: dict[str, Any]) -> dict[str, int]:
    """Sum up the units alive per kind of place.

    Arguments
    ---------
    figures : dict
        What ``retention_figures`` returned.

    Returns
    -------
    dict of str to int
        Kind -> units alive in all blocks together.

    Example
    -------
    >>> group = {"kind": "ffn", "size": 4, "alive": 3}
    >>> alive_units({"groups": {"a": group, "b": group}})
    {'ffn': 6}
    """
    alive: dict[str, int] = {}
    for group in figures["groups"].values():
        alive[group["kind"]] = alive.get(group["kind"], 0) + group["alive"]
    return alive


def _group_figures(group: UnitGroup, gate: AdaptiveDropout) -> dict[str, Any]:
    return {
        "kind": group.kind,
        "size": group.size,
        "alive": int(gate.keep().sum()),
        "retention_mean": round(float(gate.retention().mean()), 4),
    }


def _logit_figures(
    groups: dict[str, UnitGroup], gates: dict[str, AdaptiveDropout]
) -> dict[str, Any]:
    """Quantiles and histograms of the retention logits, per kind."""
    betas: dict[str, list[torch.Tensor]] = {}
    for name, gate in gates.items():
        beta = gate.beta().flatten().clamp(-FARTHEST, FARTHEST)
        betas.setdefault(groups[name].kind, []).append(beta)
    logits = {kind: torch.cat(parts).cpu() for kind, parts in betas.items()}
    edges = torch.tensor(EDGES, dtype=torch.float32)
    return {
        "logit_quantiles": {
            kind: _rounded(beta.quantile(torch.tensor(QUANTILES)))
            for kind, beta in logits.items()
        },
        "logit_histogram": {
            "edges": EDGES,
            # Logits beyond the edges are counted in the outermost bins.
            "counts": {
                kind: _histogram(beta, edges) for kind, beta in logits.items()
            },
        },
    }


def _rounded(values: torch.Tensor) -> list[float]:
    return [round(value, 3) for value in values.tolist()]


def _histogram(values: torch.Tensor, edges: torch.Tensor) -> list[int]:
    values = values.clamp(float(edges[0]), float(edges[-1]))
    return torch.histogram(values, edges).hist.int().tolist()

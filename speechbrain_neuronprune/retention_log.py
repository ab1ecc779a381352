"""What the gates did during training, in figures for the epoch log.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from typing import Any

import torch
from torch import nn

from speechbrain_neuronprune.attach import (
    adaptive_dropouts,
    expected_parameters,
    kept_parameters,
)
from speechbrain_neuronprune.gates.adaptive_dropout import AdaptiveDropout
from speechbrain_neuronprune.units import (
    UnitGroup,
    count_parameters,
    find_units,
)

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
EDGES = list(range(-20, 21))


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
        betas.setdefault(groups[name].kind, []).append(gate.beta().flatten())
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

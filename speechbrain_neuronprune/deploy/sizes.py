"""One trained run, many sizes: error rates of the model cut to several.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import speechbrain as sb

from speechbrain_neuronprune.compaction import compact
from speechbrain_neuronprune.deploy.evaluation import score_split
from speechbrain_neuronprune.files import write_json
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.units import count_parameters


def write_sizes(
    brain: sb.Brain,
    plans: Mapping[str, PruningPlan],
    datasets: Mapping[str, Any],
    loader_options: Mapping[str, Any],
    path: Path,
) -> None:
    """Evaluate the compact models of several plans; write ``sizes.json``.

    Arguments
    ---------
    brain : CTCRecogniser
        As in ``measure_sizes``.
    plans : mapping of str to PruningPlan
        As in ``measure_sizes``.
    datasets : mapping of str to DynamicItemDataset
        As in ``measure_sizes``.
    loader_options : mapping
        As in ``measure_sizes``.
    path : Path
        Where to write.
    """
    write_json(path, measure_sizes(brain, plans, datasets, loader_options))


def measure_sizes(
    brain: sb.Brain,
    plans: Mapping[str, PruningPlan],
    datasets: Mapping[str, Any],
    loader_options: Mapping[str, Any],
) -> dict[str, Any]:
    """Evaluate the compact models of several plans.

    Arguments
    ---------
    brain : CTCRecogniser
        With the trained model.
    plans : mapping of str to PruningPlan
        Name of a size to what stays; an empty plan is the dense model.
    datasets : mapping of str to DynamicItemDataset
        Splits.
    loader_options : mapping
        Options of their data loader.

    Returns
    -------
    dict
        Per plan the ``parameters`` of the whole compact model, and per split
        what ``ErrorRates.as_dict`` tells.
    """
    networks = {
        name: compact(brain.pruned, plan) for name, plan in plans.items()
    }
    scores = {
        split: score_split(brain, networks, dataset, loader_options).errors
        for split, dataset in datasets.items()
    }
    return {
        name: {
            "parameters": brain.other_parameters + count_parameters(network),
            "splits": {
                split: errors[name].as_dict()
                for split, errors in scores.items()
            },
        }
        for name, network in networks.items()
    }

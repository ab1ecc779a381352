#!/usr/bin/env python3
"""What do cheaper estimates of saliency lose?

``mi_lagged`` costs as many products as the layer, ``obs`` those of all its
inputs, ``mi`` a sum around every frame, and ``taylor`` a backward pass. With
``frame_stride`` all but the last look at fewer frames, and with
``gradient_stride`` the last at fewer utterances. On the
feed-forward units of one trained model, and its training speech, this prints
for several strides how well the estimate agrees with the whole: the rank
correlation within a layer, and which part of the hypo (lowest 8 %) and hyper
neurons (highest 4 %) are the same. Means over layers, and the worst layer.

    python benchmarks/saliency_estimates.py results/mini

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from paired import markdown_table
from retention_and_saliency import hidden_features, load_run, open_model
from torch import Tensor

from speechbrain_neuronprune import select_hyper_hypo
from speechbrain_neuronprune.files import write_json
from speechbrain_neuronprune.saliency import measure_saliency
from speechbrain_neuronprune.saliency.agreement import rank_agreement

# Criterion: the option that makes it cheaper
OPTIONS = {
    "mi": "frame_stride",
    "mi_lagged": "frame_stride",
    "activation": "frame_stride",
    "obs": "frame_stride",
    "taylor": "gradient_stride",
}
STRIDES = (4, 8, 16, 32, 64)
WINDOW = 4  # frames of 40 ms

Scores = dict[str, Tensor]


def agreement(whole: Scores, estimate: Scores) -> dict[str, list[float]]:
    """Per layer the rank correlation, and the share of the same neurons."""
    ranks = rank_agreement({"whole": whole, "estimate": estimate})
    chosen = [select_hyper_hypo(scores) for scores in (whole, estimate)]
    result = {"rank": [float(matrix[0, 1]) for _, matrix in ranks.values()]}
    for part in ("hypo", "hyper"):
        pairs = [[getattr(one[name], part) for one in chosen] for name in whole]
        result[part] = [
            float((one & other).sum() / one.sum()) for one, other in pairs
        ]
    return result


def compare(hparams: dict[str, Any]) -> list[dict[str, Any]]:
    """A row per criterion and stride."""
    model = open_model(hparams)
    speech = list(hidden_features(hparams, "train_splits"))

    def measure(criterion: str, **options: int) -> Scores:
        return measure_saliency(
            model, speech, [criterion], ["ffn"], WINDOW, **options
        )[criterion]

    rows = []
    for criterion, option in OPTIONS.items():
        whole = measure(criterion)
        for stride in STRIDES:
            estimate = measure(criterion, **{option: stride})
            row = {"criterion": criterion, "option": option, "stride": stride}
            rows.append(row | agreement(whole, estimate))
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    head = [
        "criterion",
        "option",
        "rank correlation",
        "same hypo",
        "same hyper",
    ]
    lines = [
        [row["criterion"], f"{row['option']}={row['stride']}"]
        + [
            f"{np.mean(row[key]):.2f} ({min(row[key]):.2f})"
            for key in ("rank", "hypo", "hyper")
        ]
        for row in rows
    ]
    return markdown_table(head, lines)


def main(arguments: list[str] | None = None) -> None:
    """Compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("run_folder", type=Path)
    folder = parser.parse_args(arguments).run_folder
    rows = compare(load_run(folder))
    write_json(folder / "saliency_estimates.json", rows)
    print(table(rows))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Does learned retention remove hypo units only, or hyper ones too?

Adaptive dropout learns for every unit whether to retain it; Mitra and Franco
rank units by their saliency afterwards. On one trained model this compares the
two, over the hidden units of its feed-forward layers: per layer the rank
correlation of the retention logit with each saliency, and, over all layers, the
share of units removed per tenth of the ranking (first tenth hypo, last tenth
hyper). Saliency is measured with every unit open, on the development splits.

    python benchmarks/retention_and_saliency.py results/mini

The run should not have settled its units early (settle_step: null), or the
weights of the removed ones are of no use.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import torch
from hyperpyyaml import load_hyperpyyaml
from scipy.stats import spearmanr
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataloader import SaveableDataLoader
from torch import Tensor, nn

from speechbrain_neuronprune.attach import adaptive_dropouts
from speechbrain_neuronprune.compaction import remove_gates
from speechbrain_neuronprune.files import atomic_path, write_json
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.saliency import measure_saliency
from speechbrain_neuronprune.training.checkpoints import load_final_average
from speechbrain_neuronprune.training.dataio import read_rows, speech_dataset

CRITERIA = ("mi", "mi_lagged", "obs", "mbp", "activation", "taylor", "random")
TENTHS = 10


class Recogniser(nn.Module):
    """From hidden features to log-posteriors, for the saliency pass."""

    def __init__(self, transformer: nn.Module, output: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer
        self.output = output

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Log-posteriors (batch, frames, tokens)."""
        encoded = self.transformer.encode(x, lengths)
        return self.output(encoded).log_softmax(-1)


def load_run(folder: Path) -> dict[str, Any]:
    """The hyperparameters of a run, with its final weights."""
    with open(folder / "hyperparams.yaml", encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file)
    checkpointer = hparams["checkpointer"]
    checkpointer.recover_if_possible()
    load_final_average(checkpointer, "model", hparams["number_of_checkpoints"])
    for module in hparams["modules"].values():
        module.eval()
    return hparams


@torch.no_grad()
def hidden_features(
    hparams: dict[str, Any], splits: str = "dev_splits"
) -> Iterator[tuple]:
    """What the Transformer is given, batch by batch."""
    folder = Path(hparams["save_folder"])
    rows = read_rows(*[folder / f"{s}.csv" for s in hparams[splits]])
    options = hparams["valid_dataloader_opts"]
    loader = SaveableDataLoader(
        speech_dataset(rows), collate_fn=PaddedBatch, **options
    )
    for batch in loader:
        wavs, lengths = batch.sig
        features = hparams["compute_features"](wavs)
        features = hparams["normalize"](features, lengths)
        yield hparams["CNN"](features), lengths


def open_model(hparams: dict[str, Any]) -> Recogniser:
    """The recogniser with every unit open."""
    network = remove_gates(copy.deepcopy(hparams["Transformer"]))
    return Recogniser(network, hparams["ctc_lin"]).eval()


def compare(hparams: dict[str, Any]) -> dict[str, Any]:
    """Correlations per layer, and removals per tenth of the ranking."""
    gated = hparams["Transformer"]
    model = open_model(hparams)
    scores = measure_saliency(
        model, hidden_features(hparams), CRITERIA, ["ffn"], window=4
    )
    logits = {
        f"transformer.{name}": gate.beta().detach()
        for name, gate in adaptive_dropouts(gated).items()
    }
    target = hparams["target_parameters"]
    plan = PruningPlan.from_retention(
        gated, hparams["threshold"] if target is None else None, target
    )
    keep = {f"transformer.{name}": units for name, units in plan.keep.items()}
    groups = list(scores["mi"])
    return {
        "groups": groups,
        "kept": {name: float(keep[name].float().mean()) for name in groups},
        "correlation": {
            criterion: [
                float(spearmanr(logits[name], ranked[name]).statistic)
                for name in groups
            ]
            for criterion, ranked in scores.items()
        },
        "removed": {
            criterion: removed_by_tenth(ranked, keep)
            for criterion, ranked in scores.items()
        },
    }


def removed_by_tenth(
    scores: dict[str, Tensor], keep: dict[str, Tensor]
) -> list[float]:
    """Share of the units removed, per tenth of each layer's ranking."""
    tenths = []
    for name, values in scores.items():
        gone = ~keep[name][values.argsort(stable=True)]
        parts = np.array_split(gone.numpy(), TENTHS)
        tenths.append([float(part.mean()) for part in parts])
    return np.mean(tenths, axis=0).tolist()


def plot(result: dict[str, Any], path: Path) -> None:
    """Heat map of the correlations beside the removals."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5))
    matrix = np.array(list(result["correlation"].values()))
    image = left.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu_r", aspect="auto")
    left.set_yticks(range(len(matrix)), list(result["correlation"]))
    left.set_xticks(range(matrix.shape[1]), range(1, matrix.shape[1] + 1))
    left.set_xlabel("feed-forward layer, in forward order")
    left.set_title("rank correlation with the retention logit")
    figure.colorbar(image, ax=left)
    places = np.arange(1, TENTHS + 1)
    for criterion, shares in result["removed"].items():
        style = "--" if criterion == "random" else "-"
        right.plot(places, 100 * np.array(shares), style, label=criterion)
    right.set_xlabel("tenth of the ranking (1 hypo, 10 hyper)")
    right.set_ylabel("units removed, %")
    right.set_title("what learned retention removes")
    right.legend()
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


def table(result: dict[str, Any]) -> str:
    """One line per criterion: correlations, and the two ends."""
    lines = [
        "| criterion | correlation, mean (range over layers) | removed: "
        "lowest tenth | middle | highest tenth |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for criterion, values in result["correlation"].items():
        shares = 100 * np.array(result["removed"][criterion])
        lines.append(
            f"| {criterion} | {np.mean(values):+.2f} ({min(values):+.2f} to "
            f"{max(values):+.2f}) | {shares[0]:.0f} % | "
            f"{shares[4:6].mean():.0f} % | {shares[-1]:.0f} % |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Compare, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("run_folder", type=Path)
    folder = parser.parse_args(arguments).run_folder
    result = compare(load_run(folder))
    write_json(folder / "retention_and_saliency.json", result)
    plot(result, folder / "retention_and_saliency.png")
    print(table(result))


if __name__ == "__main__":
    main()

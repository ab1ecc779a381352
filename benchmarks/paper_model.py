#!/usr/bin/env python3
"""The paper's ConformerL: built, masked and compacted to the paper's size.

Builds the network of hparams/conformer_ctc_large.yaml with random weights,
keeps random units such that as many parameters stay as in the paper (50.1 M),
and compares the masked with the compact model on 10 s of features.

    python benchmarks/paper_model.py

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import tempfile
from pathlib import Path

import torch
from hyperpyyaml import load_hyperpyyaml

from speechbrain_neuronprune import (
    PruningPlan,
    apply_masks,
    compact,
    find_units,
)
from speechbrain_neuronprune.files import write_json
from speechbrain_neuronprune.units import count_parameters

YAML = Path(__file__).resolve().parents[1] / "hparams/conformer_ctc_large.yaml"
KEPT = 50_100_000  # table 1 of arXiv 2412.04836


def build() -> torch.nn.Module:
    """All trainable parts of the recipe's model, in evaluation mode."""
    with tempfile.TemporaryDirectory() as folder:
        hparams = load_hyperpyyaml(
            YAML.read_text(encoding="utf-8"),
            {"data_folder": "unused", "output_folder": folder},
        )
    return hparams["model"].eval()


def random_plan(model: torch.nn.Module, kept: int) -> PruningPlan:
    """Random units of all places, as many as make the wanted size."""
    scores = {n: torch.rand(g.size) for n, g in find_units(model).items()}
    return PruningPlan.from_scores(scores, model, target_parameters=kept)


@torch.no_grad()
def encode(model: torch.nn.Module, features: torch.Tensor) -> torch.Tensor:
    """Front end, encoder and output layer."""
    frontend, transformer, output = model
    return output(transformer.encode(frontend(features)))


def main(arguments: list[str] | None = None) -> None:
    """Print and save the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--output", type=Path, default=Path("results/benchmarks/paper.json")
    )
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    model = build()
    dense = count_parameters(model)
    groups = find_units(model).values()
    prunable = sum(g.size * g.parameters_per_unit for g in groups)
    plan = random_plan(model, KEPT)
    small = compact(model, plan)
    features = torch.randn(1, 1000, 80)
    compacted = encode(small, features)
    masked = encode(apply_masks(model, plan), features)
    figures = {
        "dense parameters": dense,
        "prunable share": prunable / dense,
        "compact parameters": count_parameters(small),
        "largest difference": float((masked - compacted).abs().max()),
        "largest output": float(masked.abs().max()),
    }
    for name, value in figures.items():
        print(f"{name}: {value:,.6g}")
    write_json(options.output, figures)


if __name__ == "__main__":
    main()

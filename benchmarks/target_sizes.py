#!/usr/bin/env python3
"""Does a training that is steered to a size end there?

Trains the recipe's model with ``steer_size``, to several sizes, and once
without, and reads off what the paper's own rule leaves, beta >= c_end, with no
threshold touched: after every epoch since the end of the decline, and of the
average of the last checkpoints, which is what the recipe compacts.

Claim: every steered run lands within 2 % of its size and stays there, while
the size without steering is another one and goes on changing.

    python benchmarks/target_sizes.py DATA_FOLDER --output results/sizes

A training that is complete is not repeated, and one that was stopped goes on.
Options that are not its own go to the recipe, such as --hold_steps=400. Word
error rates are those of the dev split. The test split is not looked at.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import trainings
from paired import markdown_table
from trainings import run_folder, run_recipe, train_all

from speechbrain_neuronprune.files import write_json

SIZES = (0.46, 0.3, 0.15)
FREE = "unsteered"
# Name of an arm: what it changes in the recipe's yaml
ARMS: dict[str, dict[str, Any]] = {
    f"steered {size}": {"target_parameters": size, "steer_size": True}
    for size in SIZES
} | {FREE: {"target_parameters": "null"}}


def train(arguments: argparse.Namespace, arm: str, seed: int) -> None:
    """Train one of the arms."""
    changes = {
        "number_of_epochs": arguments.steps // trainings.STEPS_PER_EPOCH,
        "steps_per_epoch": trainings.STEPS_PER_EPOCH,
        "test_splits": "[]",
        **ARMS[arm],
    }
    run_recipe(arguments, arm, seed, "conformer_ctc_mini", changes)


def figures(folder: Path, arm: str) -> dict[str, Any]:
    """What one training left, as shares of the dense model."""
    log = (folder / "retention.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in log.splitlines()]
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    cost, last = results["cost"], lines[-1]
    dense = cost["dense"]["parameters"]
    shares = [
        line["kept_parameters"] / dense
        for line in lines
        if math.isclose(_unsteered(line), _unsteered(last), abs_tol=1e-4)
    ]
    return {
        "wanted": ARMS[arm].get("target_parameters") if arm != FREE else None,
        "landed": cost["compact"]["parameters"] / dense,
        "after the decline": [shares[0], min(shares), max(shares), shares[-1]],
        "offset": last["c_offset"],
        "dev WER": last.get("valid_wer"),
    }


def _unsteered(line: dict[str, Any]) -> float:
    """c(t) without its offset: after the decline, it does not move."""
    return line["c"] - line["c_offset"]


def collect(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per training."""
    return [
        {
            "model": arm,
            "seed": seed,
            **figures(run_folder(arguments.output, arm, seed), arm),
        }
        for arm in arguments.arms
        for seed in arguments.seeds
    ]


def markdown(rows: list[dict[str, Any]]) -> str:
    """A row per training."""
    head = ["model", "seed", "size", "off by", "at the decline's end"]
    head += ["least and most since", "at the end", "offset", "dev WER"]
    lines = []
    for row in rows:
        first, least, most, last = row["after the decline"]
        wanted = row["wanted"]
        error = f"{row['landed'] / wanted - 1:+.2%}" if wanted else ""
        cells = [row["model"], row["seed"], f"{row['landed']:.2%}", error]
        cells += [f"{first:.2%}", f"{least:.2%} to {most:.2%}", f"{last:.2%}"]
        cells += [f"{row['offset']:.2f}", f"{row['dev WER']:.2f}"]
        lines.append([str(cell) for cell in cells])
    return markdown_table(head, lines)


def main(arguments: list[str] | None = None) -> None:
    """Train what is missing, then print and save the table."""
    options = trainings.parse(arguments, __doc__, ARMS)
    train_all(options, options.arms, train)
    rows = collect(options)
    write_json(options.output / "target_sizes.json", rows)
    print(markdown(rows))


if __name__ == "__main__":
    main()

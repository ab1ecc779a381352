#!/usr/bin/env python3
"""Does the pruned model beat the dense one, and a dense one of its size?

Trains, with the same recipe, steps, batches and seeds: the dense model, models
that adaptive dropout prunes to several sizes, and dense models narrowed to the
same sizes. Reads the test split once, at the end, and prints mean and spread of
the word error rates over seeds, and paired bootstrap intervals of the
differences (pooled over seeds, resampling utterances).

    python benchmarks/real_speech.py DATA_FOLDER --output results/words

The corpus is in LibriSpeech layout; recipes/LibriSpeech has a script that
makes one from Speech Commands. A ``{seed}`` in its path stands for the seed:
speaker_folds.py makes folds for cross-validation. Runs that are complete are
not run again, and a run that was stopped goes on where it stopped.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import trainings
from paired import (
    interval_cell,
    markdown_table,
    mean_and_spread,
    mean_cell,
)
from trainings import (
    DENSE,
    GATES,
    PRUNED,
    dense_arm,
    difference,
    run_folder,
    run_recipe,
    schedule,
    train_all,
)

from speechbrain_neuronprune.files import atomic_path, write_json

# Width and feed-forward width of the dense models of those sizes
NARROW = {0.45: (64, 248), 0.3: (52, 200), 0.2: (40, 168)}


def pruned_arm(size: float) -> tuple[str, dict[str, Any]]:
    """The yaml with gates, and what a size changes there."""
    sizes = {"target_parameters": size, "other_targets": [size]}
    return "conformer_ctc_mini", {**GATES, **sizes}


# Name of an arm: its yaml, and what it changes there
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    DENSE: dense_arm(96, 384),
    **{f"{PRUNED} {size}": pruned_arm(size) for size in NARROW},
    **{f"narrow {size}": dense_arm(*NARROW[size]) for size in NARROW},
}


# ------------------------------------------------------------------ running


def train(arguments: argparse.Namespace, arm: str, seed: int) -> None:
    """Train one of the arms."""
    yaml, changes = ARMS[arm]
    changes = {**schedule(arm, arguments.steps), **changes}
    run_recipe(arguments, arm, seed, yaml, changes)


# ------------------------------------------------------------------ reading


def figures_of(arm: str, sizes: dict[str, Any]) -> Any:
    """The figures that count in one run: of the size that was trained for."""
    if arm.startswith(PRUNED):
        return sizes[arm.removeprefix(PRUNED).strip()]
    return sizes["dense"]


def collect(arguments: argparse.Namespace) -> dict[str, list[dict]]:
    """Row name to the figures of its seeds."""
    table: dict[str, list[dict]] = {}
    for arm in arguments.arms:
        for seed in arguments.seeds:
            path = run_folder(arguments.output, arm, seed) / "sizes.json"
            sizes = json.loads(path.read_text(encoding="utf-8"))
            table.setdefault(arm, []).append(figures_of(arm, sizes))
    return table


def summarize(arguments: argparse.Namespace) -> dict[str, Any]:
    """Every row's size, error rates and differences."""
    table = collect(arguments)
    whole = table[DENSE][0]["parameters"]
    splits = list(table[DENSE][0]["splits"])
    rows = {}
    for name, runs in table.items():
        size = float(np.mean([run["parameters"] for run in runs]))
        rows[name] = {"parameters": size, "share": size / whole}
        for split in splits:
            rates = [run["splits"][split]["wer"] for run in runs]
            rows[name][split] = {
                **mean_and_spread(rates),
                "to dense": difference(runs, table[DENSE], split),
            }
    _compare_to_narrow(rows, table, splits)
    return {"seeds": arguments.seeds, "splits": splits, "rows": rows}


def _compare_to_narrow(
    rows: dict[str, Any], table: dict[str, list[dict]], splits: list[str]
) -> None:
    """Pruned rows also against the dense model of the same size."""
    for name, runs in table.items():
        narrow = table.get(name.replace(PRUNED, "narrow"))
        if name.startswith(PRUNED) and narrow:
            for split in splits:
                rows[name][split]["to narrow"] = difference(runs, narrow, split)


# ------------------------------------------------------------------ showing


def markdown(summary: dict[str, Any]) -> str:
    """The table, as it stands in the recipe's README."""
    splits = summary["splits"]
    head = ["model", "parameters", "of dense"]
    for split in splits:
        head += [f"{split} WER", f"{split}: to dense", f"{split}: to narrow"]
    lines = []
    for name, row in summary["rows"].items():
        cells = [name, f"{row['parameters']:,.0f}", f"{row['share']:.1%}"]
        for split in splits:
            rate = row[split]
            to_dense = None if name == DENSE else rate["to dense"]
            cells += [
                mean_cell(rate),
                interval_cell(to_dense),
                interval_cell(rate.get("to narrow")),
            ]
        lines.append(cells)
    return markdown_table(head, lines)


def plot(summary: dict[str, Any], path: Path) -> None:
    """Error rate over size: the pruned curve and the dense controls."""
    splits = summary["splits"]
    figure, axes = plt.subplots(
        1, len(splits), figsize=(5 * len(splits), 4), squeeze=False
    )
    for axis, split in zip(axes[0], splits, strict=True):
        for label, pruned in ((PRUNED, True), ("dense, narrow", False)):
            rows = sorted(
                (row["share"], row[split]["mean"], row[split]["spread"])
                for name, row in summary["rows"].items()
                if name.startswith(PRUNED) == pruned
            )
            if not rows:  # only some of the arms were run
                continue
            share, mean, spread = np.array(rows).T
            axis.errorbar(
                100 * share, mean, spread, marker="o", capsize=3, label=label
            )
        axis.set_title(split)
        axis.set_xlabel("parameters, % of dense")
        axis.set_ylabel("word error rate, %")
        axis.grid(alpha=0.3)
        axis.legend()
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    return trainings.parse(arguments, __doc__, ARMS)


def main(arguments: list[str] | None = None) -> None:
    """Train what is missing, then print and save the comparison."""
    options = parse(arguments)
    train_all(options, options.arms, train)
    summary = summarize(options)
    write_json(options.output / "comparison.json", summary)
    plot(summary, options.output / "comparison.png")
    print(markdown(summary))


if __name__ == "__main__":
    main()

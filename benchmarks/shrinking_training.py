#!/usr/bin/env python3
"""Is the training that makes a small model cheaper than that of the dense one?

Trains, with the same steps, batches and seeds:

dense      the dense model, as SpeechBrain computes it
fast dense the same with use_fast_layers: what of the gain is not the pruning's
late       adaptive dropout, settled early, compacted after training
shrinking  the same, but the units leave the model when they are settled
informed   a training that shrinks with conformer_ctc_mini_informed.yaml, at the
           step that it says, which is later (its masks are larger, too: give
           them to all, see docs/cost.md)

Claims, at 46 % of the parameters: a whole training that shrinks takes at most
0.75 of the dense one's time and no more memory, and its word error rate is no
higher than the dense model's, and that of late compaction, within what chance
explains. Prints a table and the verdicts.

    python benchmarks/shrinking_training.py DATA_FOLDER \
        --output results/shrinking

A training is measured from its first step to its last checkpoint, validation
included: wall time, processor time, and the most memory that its process held
(on a GPU the most that was allocated there). Runs that are complete are not run
again; one that was stopped within its training begins anew, as its time would
be another. One run at a time, or they disturb each other; the arms of a seed
come one after the other, and ratios are taken within seeds. Unknown options go
to the recipe, for instance --device=cuda --precision=bf16.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from paired import interval_cell, markdown_table, mean_and_spread, mean_cell
from timed_training import COST
from timing import verdict
from trainings import (
    GATES,
    STEPS,
    dense_arm,
    difference,
    run_folder,
    run_recipe,
    train_all,
    training,
)

from speechbrain_neuronprune.files import write_json

DENSE, FAST, LATE, SHRINKING, INFORMED = ARMS = (
    "dense",
    "fast dense",
    "late",
    "shrinking",
    "informed",
)
UNPRUNED = (DENSE, FAST)
YAMLS = dict.fromkeys(UNPRUNED, "conformer_ctc_mini_dense") | {
    INFORMED: "conformer_ctc_mini_informed"
}
SIZE = 0.46
# When the decline begins, how long it takes, when the units are settled: shares
# of the steps
DECISION = {"hold_steps": 0.2, "decline_steps": 0.08, "settle_step": 0.3}
# Units that are kept in numbers that processors like, see docs/cost.md
ROUNDED = {"round_to": 8, "balance_heads": True}
CLOCKS = ("seconds", "cpu_seconds")
SHARE_OF_TIME = 0.75
MEMORY_NOISE = 0.01  # of what the allocator of a process takes


# ------------------------------------------------------------------ running


def yaml_of(arm: str) -> str:
    """The name of an arm's yaml."""
    return YAMLS.get(arm, "conformer_ctc_mini")


def changes_of(arm: str, options: argparse.Namespace) -> dict[str, Any]:
    """What an arm changes in its yaml: among others, a Brain that measures."""
    brain = "FastTimedASR" if arm == FAST else "TimedASR"
    timed = {"brain_class": f"!name:timed_training.{brain}"}
    if arm in UNPRUNED:
        # The yaml's own sizes are those of the same-size control.
        return timed | training(options.steps, {}) | dense_arm(96, 384)[1]
    sizes = {"target_parameters": options.size, "other_targets": [options.size]}
    if arm == INFORMED:
        return timed | training(options.steps, {}) | ROUNDED | sizes
    shares = (options.hold, options.decline, options.settle)
    decision = dict(zip(DECISION, shares, strict=True))
    return {
        **timed,
        **training(options.steps, decision),
        **GATES,
        **ROUNDED,
        **sizes,
        "shrink": arm == SHRINKING,
        "shrink_every": options.every if arm == SHRINKING else "null",
    }


def train(options: argparse.Namespace, arm: str, seed: int) -> None:
    """Train one of the arms."""
    folder = run_folder(options.output, arm, seed)
    if folder.exists() and not (folder / COST).exists():
        shutil.rmtree(folder)
    run_recipe(options, arm, seed, yaml_of(arm), changes_of(arm, options))


# ------------------------------------------------------------------ reading


def read_run(options: argparse.Namespace, arm: str, seed: int) -> dict:
    """Cost, size and errors of one run."""
    folder = run_folder(options.output, arm, seed)
    cost, sizes = (
        json.loads((folder / name).read_text(encoding="utf-8"))
        for name in (COST, "sizes.json")
    )
    return cost | sizes[DENSE if arm in UNPRUNED else str(options.size)]


def summarize(options: argparse.Namespace) -> dict[str, Any]:
    """Every arm's cost, size and error rates, and the verdicts."""
    table = {
        arm: [read_run(options, arm, seed) for seed in options.seeds]
        for arm in options.arms
    }
    dense = table[DENSE]
    splits = list(dense[0]["splits"])
    rows = {}
    for arm, runs in table.items():
        rows[arm] = {
            "parameters": float(np.mean([run["parameters"] for run in runs]))
        }
        for key in (*CLOCKS, "peak_mb"):
            ratios = [a[key] / b[key] for a, b in zip(runs, dense, strict=True)]
            rows[arm][key] = mean_and_spread([run[key] for run in runs])
            rows[arm][f"{key} to dense"] = mean_and_spread(ratios)
        for split in splits:
            rates = [run["splits"][split]["wer"] for run in runs]
            rows[arm][split] = mean_and_spread(rates) | {
                f"to {other}": difference(runs, table[other], split)
                for other in (DENSE, LATE)
                if other in table and other != arm
            }
    return {
        "seeds": options.seeds,
        "steps": options.steps,
        "splits": splits,
        "rows": rows,
        "met": {
            arm: bars(rows[arm], splits)
            for arm in (SHRINKING, INFORMED)
            if arm in rows
        },
    }


def bars(ours: dict[str, Any], splits: list[str]) -> dict[str, bool]:
    """What is claimed of a training that shrinks, and whether it is so."""
    met = {
        f"at most {SHARE_OF_TIME} of the dense {key}": (
            ours[f"{key} to dense"]["mean"] <= SHARE_OF_TIME
        )
        for key in CLOCKS
    }
    memory = ours["peak_mb to dense"]["mean"]
    met["no more memory"] = memory <= 1.0 + MEMORY_NOISE
    for split in splits:
        to_dense, to_late = (ours[split].get(f"to {a}") for a in (DENSE, LATE))
        met[f"no more errors than dense on {split}"] = to_dense["low"] <= 0.0
        if to_late is not None:
            within = to_late["low"] <= 0.0 <= to_late["high"]
            met[f"the error rate of late compaction on {split}"] = within
    return met


# ------------------------------------------------------------------ showing


def markdown(summary: dict[str, Any]) -> str:
    """A row per arm."""
    head = ["training", "parameters", "wall time, s", "of dense"]
    head += ["processor, s", "of dense", "peak, MB", "of dense"]
    for split in summary["splits"]:
        head += [f"{split} WER", f"{split}: to dense", f"{split}: to late"]
    lines = []
    for arm, row in summary["rows"].items():
        cells = [arm, f"{row['parameters']:,.0f}"]
        for key in (*CLOCKS, "peak_mb"):
            ratio = mean_cell(row[f"{key} to dense"])
            cells += [f"{row[key]['mean']:,.0f}", ratio]
        for split in summary["splits"]:
            gaps = (row[split].get(f"to {arm}") for arm in (DENSE, LATE))
            cells += [mean_cell(row[split]), *map(interval_cell, gaps)]
        lines.append(cells)
    return markdown_table(head, lines)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; the dense model is needed in any case."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data_folder", type=Path)
    parser.add_argument(
        "--output", type=Path, default=Path("results/shrinking")
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--size", type=float, default=SIZE)
    for name, share in DECISION.items():
        option = name.partition("_")[0]
        parser.add_argument(f"--{option}", type=float, default=share)
    parser.add_argument(
        "--every", default="null", help="shrink_every, in epochs"
    )
    known, overrides = parser.parse_known_args(arguments)
    known.overrides, known.jobs = overrides, 1
    known.arms = [arm for arm in ARMS if arm in {DENSE, *known.arms}]
    return known


def main(arguments: list[str] | None = None) -> None:
    """Train what is missing, then print and save the comparison."""
    options = parse(arguments)
    here = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, here))
    train_all(options, options.arms, train)
    summary = summarize(options)
    write_json(options.output / "shrinking.json", summary)
    print(markdown(summary))
    for arm, claims in summary["met"].items():
        for claim, met in claims.items():
            print(f"{arm}: {claim}: {verdict(met)}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Is a trained model pruned sooner than a new one is trained small?

From the dense model, which takes the full number of steps, models of 45 % of
its size are made in three ways, and compared with one that was pruned while it
was trained from scratch:

fine-tuned              adaptive dropout in a third of the steps, beginning with
                        the dense model's weights
fine-tuned, distilled   the same with the dense model as teacher
mbp, taylor, activation a plan from that saliency, without any training; as
                        saliencies know fully connected units only, those alone
                        go, and 80 % is tried as well

Claim: fine-tuning makes no more errors than the dense model does. Reads the
test split once, at the end, and prints word error rates, and paired bootstrap
intervals of the differences (pooled over seeds, resampling utterances).

    python benchmarks/from_dense.py DATA_FOLDER --output results/from_dense

With --dense_steps the dense model itself is trained for fewer. The rest is as
in real_speech.py, whose finished runs of the same names are taken if they are
in the output folder.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import real_speech
import trainings
from paired import interval_cell, markdown_table, mean_and_spread, mean_cell
from trainings import (
    DENSE,
    GATES,
    PRUNED,
    data_folder,
    difference,
    run_folder,
    run_recipe,
    train_all,
)

from speechbrain_neuronprune.corpus.speech import read_speech
from speechbrain_neuronprune.deploy.planning import plan_by_scores, rank_units
from speechbrain_neuronprune.deploy.sizes import write_sizes
from speechbrain_neuronprune.deploy.sources import open_source
from speechbrain_neuronprune.files import write_json
from speechbrain_neuronprune.training.dataio import read_rows, speech_dataset

SIZE = 0.45
SCRATCH = f"{PRUNED} {SIZE}"  # also the name of its arm there
FULL = (DENSE, SCRATCH)

# The share of the steps that fine-tuning takes, and in how many epochs
SHARE, EPOCHS = 3, 8
PLAIN = {"distill_posteriors": 0, "distill_blocks": 0}
# Name of an arm: what it changes in the yaml for fine-tuning
FINE: dict[str, dict[str, Any]] = {
    "fine-tuned": PLAIN,
    "fine-tuned, distilled": {},
}
UNTRAINED = "plans"
CRITERIA = ("mbp", "taylor", "activation")
SIZES = (0.8, SIZE)
SECONDS = 600  # of training speech, for the saliencies
ARMS = (*FULL, *FINE, UNTRAINED)

Table = dict[str, list[dict]]


# ------------------------------------------------------------------ running


def fine_tune(arguments: argparse.Namespace, arm: str, seed: int) -> None:
    """Prune the dense model of a seed while it is trained further."""
    changes = {
        "starting_point": run_folder(arguments.output, DENSE, seed),
        "number_of_epochs": EPOCHS,
        "steps_per_epoch": arguments.steps // SHARE // EPOCHS,
        "target_parameters": SIZE,
        "other_targets": [SIZE],
        **GATES,
        **FINE[arm],
    }
    yaml = "conformer_ctc_mini_finetune"
    run_recipe(arguments, arm, seed, yaml, changes)


def measure_plans(arguments: argparse.Namespace, seed: int) -> None:
    """Cut the dense model of a seed by plans from saliencies."""
    path = run_folder(arguments.output, UNTRAINED, seed) / "sizes.json"
    if path.exists():
        return
    run = run_folder(arguments.output, DENSE, seed)
    hparams = open_source(str(run)).opened.hparams
    speech = read_speech(
        data_folder(arguments, seed), hparams.train_splits[0], labelled=False
    ).sample(SECONDS, seed)
    plans = {}
    for criterion in CRITERIA:
        source = open_source(str(run))
        scores = rank_units(source, criterion, speech, None)
        for size in SIZES:
            plan = plan_by_scores(source, scores, {"target": size})
            plans[f"{criterion} {size}"] = plan
    path.parent.mkdir(parents=True, exist_ok=True)
    datasets = datasets_of(run, hparams)
    options = hparams.test_dataloader_opts
    write_sizes(source.opened, plans, datasets, options, path)


def datasets_of(run: Path, hparams: Any) -> dict[str, Any]:
    """What the recipe evaluates on, by the names that it gives."""
    splits = {"+".join(hparams.dev_splits): hparams.dev_splits} | {
        split: [split] for split in hparams.test_splits
    }
    return {
        name: speech_dataset(
            read_rows(*[run / "save" / f"{split}.csv" for split in parts])
        )
        for name, parts in splits.items()
    }


# ------------------------------------------------------------------ reading


def collect(arguments: argparse.Namespace) -> Table:
    """Row name to the figures of its seeds."""
    table: Table = {}
    for arm in arguments.arms:
        for seed in arguments.seeds:
            path = run_folder(arguments.output, arm, seed) / "sizes.json"
            sizes = json.loads(path.read_text(encoding="utf-8"))
            for row, figures in rows_of(arm, sizes).items():
                table.setdefault(row, []).append(figures)
    return table


def rows_of(arm: str, sizes: dict[str, Any]) -> dict[str, Any]:
    """What counts in one run: of plans all, else the size aimed at."""
    if arm == UNTRAINED:
        return sizes
    return {arm: sizes[DENSE if arm == DENSE else str(SIZE)]}


def steps_of(row: str, options: argparse.Namespace) -> int:
    """Optimiser steps behind a row, those of the dense model not counted
    where it was there before."""
    if row in FINE:
        return EPOCHS * (options.steps // SHARE // EPOCHS)
    if row == DENSE:
        return options.dense_steps
    return options.steps if row in FULL else 0


def summarize(arguments: argparse.Namespace) -> dict[str, Any]:
    """Every row's size, steps, error rates and differences."""
    table = collect(arguments)
    whole = table[DENSE][0]["parameters"]
    splits = list(table[DENSE][0]["splits"])
    rows = {}
    for name, runs in table.items():
        size = float(np.mean([run["parameters"] for run in runs]))
        rows[name] = {
            "parameters": size,
            "share": size / whole,
            "steps": steps_of(name, arguments),
        }
        for split in splits:
            rates = [run["splits"][split]["wer"] for run in runs]
            rows[name][split] = mean_and_spread(rates) | {
                f"to {other}": difference(runs, table[other], split)
                for other in FULL
                if other in table and other != name
            }
    return {"seeds": arguments.seeds, "splits": splits, "rows": rows}


# ------------------------------------------------------------------ showing


def markdown(summary: dict[str, Any]) -> str:
    """A row per model."""
    splits = summary["splits"]
    head = ["model", "steps", "parameters", "of dense"]
    for split in splits:
        head += [f"{split} WER", f"{split}: to dense", f"{split}: to scratch"]
    lines = []
    for name, row in summary["rows"].items():
        cells = [name, f"{row['steps']:,}"]
        cells += [f"{row['parameters']:,.0f}", f"{row['share']:.1%}"]
        for split in splits:
            cells.append(mean_cell(row[split]))
            cells += [
                interval_cell(row[split].get(f"to {other}")) for other in FULL
            ]
        lines.append(cells)
    return markdown_table(head, lines)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; the dense model is needed in any case."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--dense_steps", type=int)
    known, others = parser.parse_known_args(arguments)
    options = trainings.parse(others, __doc__, ARMS)
    options.dense_steps = known.dense_steps or options.steps
    options.arms = [arm for arm in ARMS if arm in {DENSE, *options.arms}]
    return options


def run(options: argparse.Namespace) -> None:
    """Train and measure what is missing."""
    dense = argparse.Namespace(**vars(options) | {"steps": options.dense_steps})
    train_all(dense, [DENSE], real_speech.train)
    scratch = [arm for arm in options.arms if arm == SCRATCH]
    train_all(options, scratch, real_speech.train)
    fine = [arm for arm in options.arms if arm in FINE]
    train_all(options, fine, fine_tune)
    if UNTRAINED in options.arms:
        for seed in options.seeds:
            measure_plans(options, seed)


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing, then print and save the comparison."""
    options = parse(arguments)
    run(options)
    summary = summarize(options)
    write_json(Path(options.output) / "from_dense.json", summary)
    print(markdown(summary))


if __name__ == "__main__":
    main()

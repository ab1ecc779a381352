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
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from paired import (
    interval_cell,
    markdown_table,
    mean_and_spread,
    mean_cell,
    paired_difference,
)
from tqdm import tqdm

from speechbrain_neuronprune.files import atomic_path, write_json

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "recipes/LibriSpeech/ASR/CTC/train_adaptive_dropout.py"
PRUNED = "adaptive dropout"
DENSE = "dense"

# Steps of one training, and when its units are decided, in shares of them: the
# decline starts when the blank plateau is over, and most of the run trains
# what is left
STEPS = 2000
STEPS_PER_EPOCH = 80
SHORT_STEPS = 200
DECISION = {"hold_steps": 0.4, "decline_steps": 0.1, "settle_step": 0.525}
GATES = {"transformer_dropout": 0.1, "logits_pull": 1e-3}
# Width and feed-forward width of the dense models of those sizes
NARROW = {0.45: (64, 248), 0.3: (52, 200), 0.2: (40, 168)}


def pruned_arm(size: float) -> tuple[str, dict[str, Any]]:
    """The yaml with gates, and what a size changes there."""
    sizes = {"target_parameters": size, "other_targets": [size]}
    return "conformer_ctc_mini", {**GATES, **sizes}


def dense_arm(width: int, hidden: int) -> tuple[str, dict[str, Any]]:
    """The yaml without gates, at a width."""
    return "conformer_ctc_mini_dense", {"d_model": width, "d_ffn": hidden}


# Name of an arm: its yaml, and what it changes there
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    DENSE: dense_arm(96, 384),
    **{f"{PRUNED} {size}": pruned_arm(size) for size in NARROW},
    **{f"narrow {size}": dense_arm(*NARROW[size]) for size in NARROW},
}


def training(steps: int, shares: Mapping[str, float]) -> dict[str, int]:
    """What a yaml is told about a training of so many steps, in shares of
    which its units are decided."""
    return {
        "number_of_epochs": steps // STEPS_PER_EPOCH,
        "short_steps": min(SHORT_STEPS, steps),
        **{name: round(share * steps) for name, share in shares.items()},
    }


def schedule(arm: str, steps: int) -> dict[str, int]:
    """What an arm's yaml is told about a training of so many steps."""
    return training(steps, DECISION if arm.startswith(PRUNED) else {})


# ------------------------------------------------------------------ running


def run_folder(output: Path, arm: str, seed: int) -> Path:
    """Where one training leaves its files."""
    return output / f"{arm.replace(' ', '-')}-{seed}"


def data_folder(arguments: argparse.Namespace, seed: int) -> str:
    """The corpus, or the fold that a seed trains and tests on."""
    return str(arguments.data_folder).replace("{seed}", str(seed))


def train(arguments: argparse.Namespace, arm: str, seed: int) -> None:
    """Train one of the arms."""
    yaml, changes = ARMS[arm]
    changes = {**schedule(arm, arguments.steps), **changes}
    run_recipe(arguments, arm, seed, yaml, changes)


def run_recipe(
    arguments: argparse.Namespace,
    arm: str,
    seed: int,
    yaml: str,
    changes: dict[str, Any],
) -> None:
    """Run the recipe in a process of its own, unless it is complete."""
    folder = run_folder(arguments.output, arm, seed)
    options = [f"--{key}={value}" for key, value in changes.items()]
    check_request(folder, [f"{yaml}.yaml", *options, *arguments.overrides])
    if (folder / "sizes.json").exists():
        return
    threads = max(1, len(os.sched_getaffinity(0)) // arguments.jobs)
    with open(folder / "output.txt", "a", encoding="utf-8") as output:
        done = subprocess.run(
            [
                sys.executable,
                str(RECIPE),
                str(ROOT / "hparams" / f"{yaml}.yaml"),
                f"--data_folder={data_folder(arguments, seed)}",
                f"--output_folder={folder}",
                f"--seed={seed}",
                "--noprogressbar",
                *options,
                *arguments.overrides,
            ],
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        raise SystemExit(
            f"The training {arm}, seed {seed} failed; see {output.name}."
        )


def check_request(folder: Path, request: list[str]) -> None:
    """Note what a training was asked for, or refuse to take another one for
    it, say with other --steps."""
    path = folder / "request.json"
    if (folder / "sizes.json").exists() and not path.exists():
        return  # nobody knows
    if not path.exists():
        write_json(path, request)
    before = json.loads(path.read_text(encoding="utf-8"))
    if before != request:
        changed = set(before) ^ set(request)
        raise SystemExit(
            f"{folder} holds a training with other options "
            f"({', '.join(sorted(changed))}); give another --output, or "
            "delete that folder."
        )


def train_all(
    arguments: argparse.Namespace,
    arms: Iterable[str],
    train: Callable[[argparse.Namespace, str, int], None] = train,
) -> None:
    """Arms of all seeds, a few at a time, with a progress bar."""
    work = [(arm, s) for s in arguments.seeds for arm in arms]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        jobs = [pool.submit(train, arguments, *one) for one in work]
        for job in tqdm(jobs, desc="trainings"):
            job.result()


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


def difference(
    one: list[dict], other: list[dict], split: str
) -> dict[str, float]:
    """WER of ``one`` less that of ``other``, with a 95 % interval."""
    return paired_difference(
        *[
            [run["splits"][split]["utterances"] for run in runs]
            for runs in (one, other)
        ]
    )


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


def parse(
    arguments: list[str] | None = None,
    description: str = __doc__,
    arms: Iterable[str] = ARMS,
    parents: Iterable[argparse.ArgumentParser] = (),
) -> argparse.Namespace:
    """Read the command line; unknown options go to the recipe."""
    parser = argparse.ArgumentParser(
        description=description.split("\n\n")[0], parents=list(parents)
    )
    parser.add_argument("data_folder", type=Path)
    parser.add_argument("--output", type=Path, default=Path("results/words"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--arms", nargs="+", choices=arms, default=list(arms))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--jobs", type=int, default=1)
    known, overrides = parser.parse_known_args(arguments)
    known.overrides = overrides
    return known


def main(arguments: list[str] | None = None) -> None:
    """Train what is missing, then print and save the comparison."""
    options = parse(arguments)
    train_all(options, options.arms)
    summary = summarize(options)
    write_json(options.output / "comparison.json", summary)
    plot(summary, options.output / "comparison.png")
    print(markdown(summary))


if __name__ == "__main__":
    main()

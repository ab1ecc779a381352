#!/usr/bin/env python3
"""Adaptive dropout beside everything else that makes a Conformer small.

All methods begin with the same weights of a seed, see the same speech in the
same order, and take the same number of steps; the size is that of the whole
model, as a share of the dense one:

dense             the model that all others are cut from
narrow            a dense model of that size, with smaller layers
shallow           a dense model of that size, with fewer blocks
paper             adaptive dropout as the paper sets it: c(t) falls from the
                  first step on, nothing is settled, gamma is 1e-5
adaptive dropout  as we set it, see trainings.py
steered           the same, with c(t) led to where the threshold leaves the size
                  (steer_size: True), and the threshold at even odds (c_end: 0)
informed          the same, with logits that begin, when c(t) begins to decline,
                  with the order of the importance that open gates have noted
informed slow     the same with a tenth of the learning rate of the logits:
                  they then remember what they began with
hard concrete     gates of L0 regularisation at the same places, with Lagrange
                  multipliers for the size (Louizos et al. 2018, Wang et al.
                  2020)
magnitude, Taylor, random
                  the dense model, cut in the middle of its training to the
                  units with the largest weights, to those on which the loss
                  depends the most, or to any
Torch-Pruning     the same with the Taylor importance of that library, which
                  can cut the feed-forward modules of a Conformer alone, and
                  so not to a third of its parameters or less

    python benchmarks/compare_pruners.py DATA_FOLDER --output results/pruners

All arms are computed in the same layers, those of use_fast_layers. What arms
have in common is trained once: up to the last epoch before their units are
decided, see trunks.py. Units that are decided against leave the model then
(shrink: True), which changes the time that it takes, and what dropout draws.

The rank of a method is that of its error rate among all methods of its size,
mean over the seeds that all of them have.

Every run that ends adds a line to OUTPUT/runs.jsonl, from which the table and
the plot are made. Runs that have a line are not run again, wherever that was,
and one that was stopped goes on where it stopped. With --show FILE the table is
printed from such a file alone, --characters counts errors in characters,
--reference METHOD compares all with that one, --seeds and --methods take these
alone, so that ranks are among them, and --plot PNG draws it. Unknown options
go to the recipe; a ``{seed}`` in DATA_FOLDER stands for the seed.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import copy
import json
import threading
from collections import defaultdict
from collections.abc import Collection, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import trainings
from matplotlib import colormaps
from paired import interval_cell, markdown_table, mean_and_spread, mean_cell
from scipy.stats import rankdata
from trainings import (
    DECISION,
    DENSE,
    GATES,
    STEPS_PER_EPOCH,
    difference,
    run_folder,
    run_recipe,
    train_all,
    training,
)
from trunks import begin_with

from speechbrain_neuronprune.files import atomic_path
from speechbrain_neuronprune.report.canvas import new_figure, plot_style
from speechbrain_neuronprune.training.epoch_log import EpochLog

SIZES = (0.46, 0.3, 0.15)
# Width and feed-forward width; number of blocks and feed-forward width
NARROW = {0.46: (64, 256), 0.3: (52, 200), 0.15: (36, 136)}
SHALLOW = {0.46: (2, 312), 0.3: (1, 436), 0.15: (1, 72)}
OURS, STEERED, INFORMED = "adaptive dropout", "steered", "informed"
SLOW = "informed slow"
PAPER = "paper"
HARD_CONCRETE, TORCH_PRUNING = "hard concrete", "Torch-Pruning"

PACKAGE = "!name:speechbrain_neuronprune"
YAML = "conformer_ctc_mini"
# Nothing pulls the logits towards c(t)
STILL = {"logits_pull": 0.0}
OPEN = {**STILL, "gate": f"{PACKAGE}.gates.open_gate.OpenGate"}
INFORM = {
    "steer_size": True,
    "c_end": 0.0,
    "gate": f"{PACKAGE}.gates.informed.InformedDropout",
}
# Method: what it changes in the yaml
METHODS: dict[str, dict[str, Any]] = {
    OURS: {},
    STEERED: {"steer_size": True, "c_end": 0.0},
    INFORMED: INFORM,
    SLOW: {**INFORM, "logits_lr": 0.001},
    HARD_CONCRETE: {
        **STILL,
        "c_start": 3.0,
        "c_end": 3.0,
        "gate": f"{PACKAGE}.rivals.hard_concrete.HardConcrete",
        "brain_class": f"{PACKAGE}.rivals.size_penalty.SizePenaltyASR",
    },
    **{
        method: {**OPEN, "brain_class": f"{PACKAGE}.rivals.{brain}"}
        for method, brain in {
            "magnitude": "one_shot.MagnitudeASR",
            "Taylor": "one_shot.TaylorASR",
            "random": "one_shot.RandomUnitsASR",
            TORCH_PRUNING: "torch_pruning.TorchPruningASR",
        }.items()
    },
}
ALL_METHODS = (*METHODS, PAPER, "narrow", "shallow")
# About what is left of the dense model without any feed-forward unit
FEED_FORWARD_ONLY = 0.35
WORST_SHOWN = 2.5  # in pictures, times the lowest error rate
FAITHFUL = {"hold_steps": 0.0, "decline_steps": 0.5}  # shares of the steps
AT_ONCE = {"hold_steps": 0, "decline_steps": 1, "settle_step": 1}


class Arm(NamedTuple):
    """One of the trainings that are compared."""

    # What it changes in the yaml
    changes: dict[str, Any]
    # When its units are decided, in shares of the steps
    decision: dict[str, float]
    # What it shares with others, and for which share of the steps
    trunk: str | None = None
    shared: float = 0.0


def pruned_arm(method: str, size: float) -> Arm:
    """One whose units are decided by a method."""
    sizes = {"target_parameters": size, "other_targets": [size]}
    changes = {**GATES, **sizes, **METHODS[method], "shrink": True}
    if method == OURS:
        return Arm(changes, DECISION, OURS, DECISION["settle_step"])
    if method == STEERED:
        return Arm(changes, DECISION, OURS, DECISION["hold_steps"])
    if method in (INFORMED, SLOW):
        return Arm(changes, DECISION, DENSE, DECISION["hold_steps"])
    if method == HARD_CONCRETE:
        return Arm(changes, DECISION, method, DECISION["hold_steps"])
    return Arm(changes, DECISION, DENSE, DECISION["settle_step"])


def whole_arm(trunk: str | None = None, **widths: int) -> Arm:
    """One that keeps all its units: its gates are settled open at once."""
    changes = {**GATES, **OPEN, **AT_ONCE, "target_parameters": 1.0, **widths}
    return Arm(changes, {}, trunk, DECISION["settle_step"])


def paper_arm() -> Arm:
    """Adaptive dropout as the paper has it; one run gives all sizes."""
    changes = {
        "transformer_dropout": 0.0,
        "logits_pull": 1e-5,
        "target_parameters": max(SIZES),
        "other_targets": list(SIZES),
    }
    return Arm(changes, FAITHFUL)


ARMS: dict[str, Arm] = {
    DENSE: whole_arm(DENSE),
    PAPER: paper_arm(),
    **{
        f"{method} {size}": pruned_arm(method, size)
        for size in SIZES
        for method in METHODS
        if method != TORCH_PRUNING or size > FEED_FORWARD_ONLY
    },
    **{
        f"narrow {size}": whole_arm(d_model=width, d_ffn=hidden)
        for size, (width, hidden) in NARROW.items()
    },
    **{
        f"shallow {size}": whole_arm(num_encoder_layers=blocks, d_ffn=hidden)
        for size, (blocks, hidden) in SHALLOW.items()
    },
}
# Whose settings a trunk is trained with
TRUNKS = {
    OURS: ARMS[f"{OURS} {SIZES[0]}"],
    HARD_CONCRETE: ARMS[f"{HARD_CONCRETE} {SIZES[0]}"],
    DENSE: ARMS[f"Taylor {SIZES[0]}"],
}


# ------------------------------------------------------------------ running

WRITING = threading.Lock()
TRAINING_TRUNKS = defaultdict(threading.Lock)


def request(arm: Arm, steps: int) -> dict[str, Any]:
    """What an arm's yaml is told about a training of so many steps."""
    return {**training(steps, arm.decision), **arm.changes}


def trunk_name(arm: Arm) -> str:
    """The folder of what arms have in common."""
    return f"trunk {arm.trunk}"


def shared_epochs(arm: Arm, steps: int) -> int:
    """How many epochs an arm shares with others."""
    return int(arm.shared * steps) // STEPS_PER_EPOCH


def train_trunk(options: argparse.Namespace, arm: Arm, seed: int) -> None:
    """Train what an arm shares with others, unless it is complete."""
    trunk = TRUNKS[arm.trunk]
    epochs = [
        shared_epochs(one, options.steps)
        for one in ARMS.values()
        if one.trunk == arm.trunk
    ]
    changes = {
        **request(trunk, options.steps),
        "total_steps": options.steps,
        "number_of_epochs": max(epochs),
        "number_of_checkpoints": 1 + max(epochs) - min(epochs),
        "other_targets": [],
    }
    with TRAINING_TRUNKS[arm.trunk, seed]:
        run_recipe(options, trunk_name(arm), seed, YAML, changes)


def log_of(output: Path) -> EpochLog:
    """The line per finished run."""
    return EpochLog(output / "runs.jsonl")


def train(options: argparse.Namespace, arm: str, seed: int) -> None:
    """Train one of the arms, unless it is logged, and log it."""
    log = log_of(options.output)
    if (arm, seed) in logged(log, options.steps):
        return
    mine = ARMS[arm]
    if mine.trunk is not None:
        train_trunk(options, mine, seed)
        begin_with(
            run_folder(options.output, trunk_name(mine), seed),
            run_folder(options.output, arm, seed),
            shared_epochs(mine, options.steps),
        )
    run_recipe(options, arm, seed, YAML, request(mine, options.steps))
    with WRITING:
        log.append(read_run(options, arm, seed))


def logged(log: EpochLog, steps: int) -> set[tuple[str, int]]:
    """Arms and seeds of finished runs; all are of so many steps."""
    lines = log.lines()
    for line in lines:
        if line["steps"] != steps:
            raise SystemExit(
                f"{log.path} has runs of {line['steps']} steps, not of "
                f"{steps}; give the same --steps, or another --output."
            )
    return {(line["arm"], line["seed"]) for line in lines}


def read_run(
    options: argparse.Namespace, arm: str, seed: int
) -> dict[str, Any]:
    """What counts of a finished run."""
    folder = run_folder(options.output, arm, seed)
    sizes, results = (
        json.loads((folder / name).read_text(encoding="utf-8"))
        for name in ("sizes.json", "results.json")
    )
    wanted = [str(size) for size in ARMS[arm].changes.get("other_targets", [])]
    return {
        "arm": arm,
        "seed": seed,
        "steps": options.steps,
        "macs": results["cost"]["compact"]["macs"],
        "sizes": {name: sizes[name] for name in wanted or [DENSE]},
    }


# ------------------------------------------------------------------ reading


def counting_characters(lines: list[dict]) -> list[dict]:
    """The same runs, with errors in characters where those in words were."""
    lines = copy.deepcopy(lines)
    for line in lines:
        for figures in line["sizes"].values():
            for split in figures["splits"].values():
                split["wer"] = split["cer"]
                split["utterances"] = split["characters"]
    return lines


def method_of(line: dict) -> str:
    """Without the size that the arm of a run names."""
    method, _, _ = line["arm"].rpartition(" ")
    return method or line["arm"]


def chosen(
    lines: list[dict],
    methods: Collection[str] | None,
    seeds: Collection[int] | None,
) -> list[dict]:
    """The runs of some methods and seeds, and the dense ones; None is all."""
    return [
        line
        for line in lines
        if (seeds is None or line["seed"] in seeds)
        and (methods is None or method_of(line) in {DENSE, *methods})
    ]


def rows_of(lines: list[dict]) -> Iterator[tuple[str, str, dict]]:
    """Method, size and figures of every model that was made."""
    for line in lines:
        for size, figures in line["sizes"].items():
            if size == DENSE:
                # A dense model of its own: of the size that its arm names
                size = line["arm"].removeprefix(method_of(line)).strip()
            macs = line["macs"] if len(line["sizes"]) == 1 else None
            yield (
                method_of(line),
                size,
                {**figures, "seed": line["seed"], "macs": macs},
            )


def collect(lines: list[dict]) -> dict[tuple[str, str], list[dict]]:
    """Method and size to the figures of its seeds, ordered by seed."""
    table: dict[tuple[str, str], list[dict]] = {}
    for method, size, figures in rows_of(lines):
        table.setdefault((size, method), []).append(figures)
    for runs in table.values():
        runs.sort(key=lambda run: run["seed"])
    return table


def matched(one: list[dict], other: list[dict]) -> tuple[list, list]:
    """The runs of seeds that both have."""
    seeds = {run["seed"] for run in one} & {run["seed"] for run in other}
    return tuple(
        [run for run in runs if run["seed"] in seeds] for runs in (one, other)
    )


def mean_ranks(
    table: dict[tuple[str, str], list[dict]], size: str, split: str
) -> dict[str, float]:
    """Method to its mean rank among those of its size, 1 being the best."""
    rates = {
        method: {run["seed"]: run["splits"][split]["wer"] for run in runs}
        for (other, method), runs in table.items()
        if other == size
    }
    seeds = set.intersection(*map(set, rates.values()))
    if not seeds:
        return dict.fromkeys(rates)
    columns = [[one[seed] for one in rates.values()] for seed in seeds]
    means = np.mean([rankdata(column) for column in columns], axis=0)
    return dict(zip(rates, means.tolist(), strict=True))


def summarize(
    lines: list[dict], reference: str = INFORMED
) -> list[dict[str, Any]]:
    """A row per method and size: error rates over seeds, ranks, and
    differences to the dense model and to a method's of that size."""
    table = collect(lines)
    dense = table["", DENSE]
    ranks = {
        (size, split): mean_ranks(table, size, split)
        for size in {size for size, _ in table}
        for split in dense[0]["splits"]
    }
    whole = dense[0]["parameters"]
    rows = []
    for (size, method), runs in table.items():
        parameters = float(np.mean([run["parameters"] for run in runs]))
        row = {
            "size": size,
            "method": method,
            "seeds": [run["seed"] for run in runs],
            "parameters": parameters,
            "share": parameters / whole,
            "macs": _mean([run["macs"] for run in runs]),
        }
        other = table.get((size, reference))
        for split in dense[0]["splits"]:
            rates = [run["splits"][split]["wer"] for run in runs]
            row[split] = {
                **mean_and_spread(rates),
                "rank": ranks[size, split][method],
                "to dense": _difference(runs, dense, split),
                "to reference": other and _difference(runs, other, split),
            }
        rows.append(row)
    return sorted(rows, key=lambda row: (-row["share"], row["method"]))


def _mean(values: list[float | None]) -> float | None:
    return None if None in values else float(np.mean(values))


def _difference(one: list, other: list, split: str) -> dict | None:
    one, other = matched(one, other)
    return difference(one, other, split) if one and one != other else None


# ------------------------------------------------------------------ showing


def markdown(
    rows: list[dict[str, Any]], reference: str = INFORMED, rate: str = "WER"
) -> str:
    """The table."""
    splits = [name for name in rows[0] if isinstance(rows[0][name], dict)]
    head = ["size", "method", "seeds", "parameters", "MACs"]
    for split in splits:
        head += [f"{split} {rate}", "rank"]
        head += [f"{split}: to dense", f"{split}: to {reference}"]
    lines = []
    for row in rows:
        macs = "" if row["macs"] is None else f"{row['macs'] / 1e6:,.0f} M"
        cells = [row["size"] or "1", row["method"], str(len(row["seeds"]))]
        cells += [f"{row['parameters']:,.0f}", macs]
        for split in splits:
            found = row[split]
            rank = found["rank"] if row["size"] else None
            cells += [
                mean_cell(found),
                "" if rank is None else f"{rank:.1f}",
                interval_cell(found["to dense"]),
                interval_cell(found["to reference"]),
            ]
        lines.append(cells)
    return markdown_table(head, lines)


def plot(rows: list[dict[str, Any]], path: Path, unit: str = "word") -> None:
    """Error rate over size, a line per method."""
    splits = [name for name in rows[0] if isinstance(rows[0][name], dict)]
    with plot_style():
        figure = new_figure(4.5 * len(splits), 3.6)
        axes = figure.subplots(1, len(splits), squeeze=False)[0]
        methods = dict.fromkeys(row["method"] for row in rows)
        colours = cycle(colormaps["tab10"].colors)
        looks = dict(zip(methods, colours, strict=False))
        for axis, split in zip(axes, splits, strict=True):
            for place, (method, colour) in enumerate(looks.items()):
                mine = [row for row in rows if row["method"] == method]
                # Beside each other, or their spreads would hide one another
                aside = place - len(looks) / 2
                axis.errorbar(
                    [100 * row["share"] + aside for row in mine],
                    [row[split]["mean"] for row in mine],
                    [row[split]["spread"] for row in mine],
                    marker="o",
                    capsize=2,
                    color=colour,
                    label=method,
                )
            # One that fails would flatten all others
            least = min(row[split]["mean"] for row in rows)
            top = min(axis.get_ylim()[1], WORST_SHOWN * least)
            axis.set_ylim(top=top)
            axis.set_title(split)
            axis.set_xlabel("parameters, % of dense")
            axis.set_ylabel(f"{unit} error rate, %")
        axes[-1].legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        with atomic_path(path) as temporary:
            figure.savefig(
                temporary, format="png", dpi=150, bbox_inches="tight"
            )


def show(
    path: Path,
    picture: Path | None = None,
    characters: bool = False,
    reference: str = INFORMED,
    methods: Collection[str] | None = None,
    seeds: Collection[int] | None = None,
) -> None:
    """Print the table of a file of runs, and draw it if there is a place."""
    lines = chosen(EpochLog(path).lines(), methods, seeds)
    if not any(line["arm"] == DENSE for line in lines):
        raise SystemExit(f"{path} has no finished run of the arm {DENSE!r}.")
    unit = "word"
    if characters:
        lines, unit = counting_characters(lines), "character"
    rows = summarize(lines, reference)
    if picture is not None:
        plot(rows, picture, unit)
    print(markdown(rows, reference, f"{unit[0].upper()}ER"))


def show_options() -> argparse.ArgumentParser:
    """Options of a table that is made without training."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(
        "--show", type=Path, metavar="FILE", help="only print FILE's table"
    )
    parser.add_argument(
        "--characters", action="store_true", help="with --show, count them"
    )
    parser.add_argument(
        "--plot", type=Path, metavar="PNG", help="with --show, draw it there"
    )
    parser.add_argument(
        "--reference",
        choices=ALL_METHODS,
        default=INFORMED,
        help="with --show, compare all with this method",
    )
    return parser


def add_choice(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the options that say which runs of a file are shown."""
    parser.add_argument("--methods", nargs="+", choices=ALL_METHODS)
    parser.add_argument("--seeds", type=int, nargs="+")
    return parser


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, of trainings or of a table alone."""
    alone = show_options()
    if alone.parse_known_args(arguments)[0].show is not None:
        return add_choice(alone).parse_args(arguments)
    return trainings.parse(arguments, __doc__, ARMS, [alone])


def main(arguments: list[str] | None = None) -> None:
    """Train what is missing, then print and draw the comparison."""
    options = parse(arguments)
    if options.show is not None:
        show(
            options.show,
            options.plot,
            options.characters,
            options.reference,
            options.methods,
            options.seeds,
        )
        return
    train_all(options, options.arms, train)
    path = log_of(options.output).path
    show(path, path.with_suffix(".png"))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What does pruning buy at each of its places?

Takes half of the units of one place (query, value, conv or ffn), or of all of
them, out of Conformer encoders of three sizes, with as many units per head and
layer, and prints what is left of the parameters and of the multiply-accumulates
and what becomes of latency and peak memory: for short and for long utterances,
alone and in a batch. The encoders of one size take turns; the speed-up is the
median of the ratios within the rounds. The front end makes 25 frames of a
second of audio, so an utterance of 10 s has 250 frames here.

    python benchmarks/cost_of_places.py --sizes 4x96 12x144 17x512

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from encoders import (
    SIZES,
    Size,
    build_encoder,
    even_plan,
    example,
    latencies,
)
from timing import Clock, set_up, timing_parser, write_results
from torch import nn
from tqdm import tqdm

from speechbrain_neuronprune import compact
from speechbrain_neuronprune.files import atomic_path
from speechbrain_neuronprune.report.canvas import CYCLE, new_figure
from speechbrain_neuronprune.report.cost import (
    measure_cost,
    paired_ratio,
)

ATTENTION = "RelPosMHAXL"
SHARE = 0.5
FRAMES_PER_SECOND = 25
DENSE = "dense"
# What a row of the table halves -> the kinds of its unit groups
PLACES = {
    "query": ["query"],
    "value": ["value"],
    "conv": ["conv"],
    "ffn": ["ffn"],
    "all": ["query", "value", "conv", "ffn"],
}


def build_models(size: Size) -> dict[str, nn.Module]:
    """The dense encoder, and one for each place."""
    dense = build_encoder(size, ATTENTION)
    return {DENSE: dense} | {
        place: compact(dense, even_plan(dense, SHARE, kinds))
        for place, kinds in PLACES.items()
    }


def measure(
    name: str, seconds: float, batch: int, rounds: int, clock: Clock
) -> Iterator[dict]:
    """One size at one length and batch size; a row per place."""
    size = SIZES[name]
    models = build_models(size)
    size = replace(size, frames=round(seconds * FRAMES_PER_SECOND))
    arguments = example(size, ATTENTION, batch)
    costs = {
        place: measure_cost(model, arguments, rounds=1, warmup=0)
        for place, model in models.items()
    }
    times = latencies(models, arguments, rounds, clock)
    dense = costs[DENSE]
    for place, cost in costs.items():
        yield {
            "size": name,
            "seconds": seconds,
            "batch": batch,
            "place": place,
            "parameters": cost.parameters,
            "macs": cost.macs,
            "peak_memory_mb": cost.peak_memory_mb,
            "parameters_left": cost.parameters / dense.parameters,
            "macs_left": cost.macs / dense.macs,
            "memory_left": cost.peak_memory_mb / dense.peak_memory_mb,
            "latency_ms": sorted(times[place])[len(times[place]) // 2],
            "speed_up": paired_ratio(times, DENSE, place),
        }


# ------------------------------------------------------------------ output


def print_header() -> None:
    """Print the names of the columns."""
    print(
        f"{'size':8}{'s':>5}{'batch':>6}  {'halved':8}{'parameters':>11}"
        f"{'MACs':>8}{'memory':>8}{'ms':>10}{'speed-up':>10}{'promised':>10}"
    )


def print_row(row: dict) -> None:
    """Print a row; shares are of the dense encoder."""
    print(
        f"{row['size']:8}{row['seconds']:5g}{row['batch']:6}  "
        f"{row['place']:8}{100 * row['parameters_left']:9.0f} %"
        f"{100 * row['macs_left']:6.0f} %{100 * row['memory_left']:6.0f} %"
        f"{row['latency_ms']:10.1f}{row['speed_up']:10.2f}"
        f"{1 / row['macs_left']:10.2f}",
        flush=True,
    )


def plot(rows: Sequence[dict], path: Path) -> None:
    """Draw the speed-up of every place over the length of the utterance."""
    panels = sorted({(row["size"], row["batch"]) for row in rows})
    figure = new_figure(3.2 * len(panels), 3.0)
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axis, (size, batch) in zip(axes, panels, strict=True):
        for place, colour in zip(PLACES, CYCLE, strict=False):
            points = [
                (row["seconds"], row["speed_up"])
                for row in rows
                if (row["size"], row["batch"]) == (size, batch)
                and row["place"] == place
            ]
            axis.plot(*zip(*points, strict=True), "o-", color=colour)
        axis.set_title(f"{size}, batch of {batch}")
        axis.set_xlabel("length (s)")
    axes[0].set_ylabel("speed-up with half of the units")
    axes[-1].legend(list(PLACES), frameon=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", bbox_inches="tight")


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = timing_parser(
        "Measure what pruning buys at each of its places.",
        sizes=SIZES,
        default=["12x144"],
        name="cost_of_places",
    )
    parser.add_argument("--seconds", nargs="+", type=float, default=[2, 10, 30])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16])
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the JSON and the plot."""
    options = parse_arguments(arguments)
    clock = set_up(options)
    settings = list(
        itertools.product(options.sizes, options.batches, options.seconds)
    )
    rows = []
    for name, batch, seconds in tqdm(settings, "settings"):
        rounds = options.rounds or SIZES[name].rounds
        rows.extend(measure(name, seconds, batch, rounds, clock))
    print_header()
    for row in rows:
        print_row(row)
    write_results(options, clock, rows=rows)
    plot(rows, Path(options.output).with_suffix(".png"))


if __name__ == "__main__":
    main()

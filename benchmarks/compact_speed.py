#!/usr/bin/env python3
"""How much faster is a compact encoder?

Claim: compact encoders reach most of the speed-up that their arithmetic
promises, 95 % for the large one (17 blocks of 512), 85 % for the small one
(12 blocks of 144). SpeechBrain's dense encoder ("stock"), the same one in our
layers ("dense") and its compact forms take turns on 10 s of audio, 251 frames.
The speed-up is the median of the ratios within the rounds: over the stock
encoder, which people have, and over the dense one, to which our layers bring
nothing. The promise is the quotient of the multiply-accumulates that
SpeechBrain's layers of these widths need: what ours pad, skip or remember does
not count.

Four kinds of plans keep about 50 % or 25 % of the units:

even       equally many units per head, round numbers: what hardware likes
ragged     every unit by the toss of a coin: heads and layers of uneven widths
retention  as learned retention leaves them: every head and every layer has a
           share of its own, from nearly nothing to nearly all
rounded    the same, but planned with balance_heads and round_to=8: a layer has
           a share of its own, its heads have one width

With ``--compile``, our encoders, dense and compact, are compiled by
torch.compile first, once for all lengths, which takes a minute or two each.
So is SpeechBrain's, as one more ("stock compiled"); speed-ups are still over
the stock encoder as people have it.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

from compiling import begin_compiling, compiled
from encoders import (
    ATTENTION,
    DENSE,
    PLANS,
    SIZES,
    Size,
    build_encoder,
    example,
    latencies,
    make_plans,
)
from timing import set_up, timing_parser, verdict, write_results
from torch import Tensor, nn

from speechbrain_neuronprune import PruningPlan, compact, find_units
from speechbrain_neuronprune.report.cost import (
    Cost,
    measure_cost,
    paired_ratio,
)

STOCK = "stock"
STOCK_COMPILED = "stock compiled"
BARS = {"17x512": 0.95, "12x144": 0.85}
SECONDS = 10.0


def macs_per_unit(size: Size, attention: str) -> dict[str, int]:
    """Return, for every kind of group, the multiply-accumulates that one unit
    takes in SpeechBrain's layer."""
    frames, width = size.frames, size.d_model
    distances = 2 * frames - 1
    projections = 2 * width * frames
    query = projections + frames * frames
    if attention == "RelPosMHAXL":
        query += distances * (width + frames)
    else:
        query *= 2  # a unit is a pair
    return {
        "ffn": projections,
        "conv": (3 * width + size.kernel) * frames,
        "query": query,
        "value": projections + frames * frames,
    }


def promised(
    model: nn.Module, plan: PruningPlan, size: Size, attention: str
) -> float:
    """Return the quotient of dense and compact multiply-accumulates."""
    costs = macs_per_unit(size, attention)
    dense = small = 0
    for name, group in find_units(model).items():
        dense += costs[group.kind] * group.size
        small += costs[group.kind] * int(plan.keep[name].sum())
    return dense / small


def all_compiled(
    models: dict[str, nn.Module], arguments: dict[str, Tensor]
) -> dict[str, nn.Module]:
    """Return the models compiled, and the stock one as it is besides."""
    begin_compiling(arguments.values())
    ours = {key: compiled(one) for key, one in models.items() if key != STOCK}
    stock = models[STOCK]
    return {STOCK: stock, STOCK_COMPILED: compiled(stock), **ours}


def benchmark(
    name: str,
    attention: str,
    rounds: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
    kinds: Sequence[str] = tuple(PLANS),
    compiling: bool = False,
) -> list[dict]:
    """Measure one size with one kind of attention; return a row per model."""
    size = SIZES[name]
    dense, arguments = build_encoder(size, attention), example(size, attention)
    plans = make_plans(dense, kinds)
    models = {key: compact(dense, plan) for key, plan in plans.items()}
    models = {STOCK: dense, **models}
    costs = {
        key: measure_cost(model, arguments, rounds=1, warmup=0)
        for key, model in models.items()
    }
    if compiling:
        models = all_compiled(models, arguments)
        costs = {STOCK: costs[STOCK], STOCK_COMPILED: costs[STOCK], **costs}
    rounds = rounds or size.rounds
    times = latencies(models, arguments, rounds, clock)
    about = {"size": name, "attention": attention}
    about |= asdict(size) | {"rounds": rounds}
    promises = {
        key: promised(dense, plan, size, attention)
        for key, plan in plans.items()
    }
    promises |= dict.fromkeys((STOCK, STOCK_COMPILED), promises[DENSE])
    return [
        about
        | {"compiled": compiling and key != STOCK}
        | figures(key, cost, times)
        | shares(key, times, promises[key])
        for key, cost in costs.items()
    ]


def figures(key: str, cost: Cost, times: dict[str, list[float]]) -> dict:
    """What is known of one model."""
    median = statistics.median(times[key])
    return {
        "model": key,
        "parameters": cost.parameters,
        "macs": cost.macs,
        "median_ms": median,
        "real_time_factor": median / 1000 / SECONDS,
    }


def shares(key: str, times: dict[str, list[float]], promise: float) -> dict:
    """Its speed beside the others', and which part of the promise that is."""
    over_stock = paired_ratio(times, STOCK, key)
    over_dense = paired_ratio(times, DENSE, key)
    return {
        "promised": promise,
        "over_stock": over_stock,
        "over_dense": over_dense,
        "reached": over_stock / promise,
        "reached_over_dense": over_dense / promise,
    }


def columns_of_speed(row: dict) -> str:
    """The table's last columns."""
    return (
        f"{row['median_ms']:9.1f}{row['promised']:10.2f}"
        f"{row['over_dense']:12.2f}{100 * row['reached_over_dense']:5.0f} %"
        f"{row['over_stock']:12.2f}{100 * row['reached']:5.0f} %"
    )


def print_row(row: dict) -> None:
    """Print a row of the table."""
    print(
        f"{row['size']:8}{row['attention']:13}{row['model']:16}"
        f"{row['parameters'] / 1e6:8.2f} M{row['macs'] / 1e9:8.2f} G",
        columns_of_speed(row),
        sep="",
        flush=True,
    )


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = timing_parser(
        "Compare the latency of dense and compact encoders.",
        sizes=SIZES,
        default=list(BARS),
        name="compact_speed",
    )
    parser.add_argument(
        "--plans", nargs="+", choices=PLANS, default=list(PLANS)
    )
    parser.add_argument("--compile", action="store_true")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the JSON."""
    options = parse_arguments(arguments)
    clock = set_up(options)
    print(
        f"{'size':8}{'attention':13}{'model':16}{'parameters':>10}"
        f"{'MACs':>10}{'ms':>9}{'promised':>10}{'over dense':>19}"
        f"{'over stock':>19}"
    )
    rows = []
    for name in options.sizes:
        for attention in ATTENTION:
            for row in benchmark(
                name,
                attention,
                options.rounds,
                clock,
                options.plans,
                options.compile,
            ):
                print_row(row)
                rows.append(row)
    # Bars are for all plans, not compiled
    whole = len(options.plans) == len(PLANS) and not options.compile
    met = {
        name: print_verdict(name, bar, rows)
        for name, bar in BARS.items()
        if whole and name in options.sizes
    }
    write_results(options, clock, bars=BARS, met=met, rows=rows)


def print_verdict(name: str, bar: float, rows: Sequence[dict]) -> bool:
    """Print whether all rows of one size meet the bar."""
    worst = min(row["reached"] for row in rows if row["size"] == name)
    met = worst >= bar
    print(
        f"Bar for {name}: at least {100 * bar:.0f} % of the promise: "
        f"{verdict(met)} (worst {100 * worst:.0f} %)"
    )
    return met


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Where does the time of an encoder go, before and after pruning?

Profiles one forward pass of the dense encoder and of its compact forms, adds up
the processor time that operators spend themselves, and condenses them into a
few kinds. Products of matrices and convolutions are what multiply-accumulates
count; all the rest is what stays when units go.

    python benchmarks/where_time_goes.py --sizes 17x512

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
from collections.abc import Sequence

import torch
from encoders import (
    ATTENTION,
    SIZES,
    build_encoder,
    example,
    make_plans,
)
from timing import set_up, timing_parser, write_results
from torch import nn
from torch.profiler import ProfilerActivity, profile
from tqdm import tqdm

from speechbrain_neuronprune import compact

# Kind -> what the names of its operators begin with; the first that fits
KINDS = {
    "products": ("addmm", "mm", "bmm", "baddbmm", "linear", "matmul"),
    "fused attention": ("_scaled_dot_product",),
    "convolution": (
        "mkldnn_convolution",
        "thnn_conv",
        "_slow_conv",
        "convolution",
        "conv",
    ),
    "softmax": ("_softmax", "softmax"),
    "norms": ("native_layer_norm", "var_mean", "layer_norm", "rsqrt"),
    "activations": ("silu", "sigmoid", "glu", "gelu", "relu"),
    "copies": ("copy_", "cat", "index", "pad", "constant_pad", "clone"),
    "sums and factors": ("add", "mul", "sub", "div", "masked_fill"),
}
OTHER = "other"


def kind_of(operator: str) -> str:
    """The kind of an operator, ``aten::...``."""
    name = operator.removeprefix("aten::")
    for kind, beginnings in KINDS.items():
        if name.startswith(beginnings):
            return kind
    return OTHER


@torch.inference_mode()
def time_by_kind(
    model: nn.Module, arguments: dict, rounds: int
) -> dict[str, float]:
    """Milliseconds of a forward pass, by kind of operator."""
    model(**arguments)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(rounds):
            model(**arguments)
    spent = dict.fromkeys([*KINDS, OTHER], 0.0)
    for event in profiler.key_averages():
        milliseconds = event.self_cpu_time_total / 1000 / rounds
        spent[kind_of(event.key)] += milliseconds
    return spent


def measure(name: str, attention: str, rounds: int) -> list[dict]:
    """A row for the dense encoder and each compact one."""
    dense = build_encoder(SIZES[name], attention)
    arguments = example(SIZES[name], attention)
    rows = []
    for key, plan in make_plans(dense).items():
        spent = time_by_kind(compact(dense, plan), arguments, rounds)
        rows.append(
            {"size": name, "attention": attention, "model": key, "ms": spent}
        )
    return rows


def print_table(rows: Sequence[dict]) -> None:
    """Print shares of the whole, in per cent, and the whole."""
    kinds = [*KINDS, OTHER]
    print(f"{'size':8}{'attention':13}{'model':13}{'ms':>8}", end="")
    print("".join(f"{kind:>18}" for kind in kinds))
    for row in rows:
        total = sum(row["ms"].values())
        print(f"{row['size']:8}{row['attention']:13}{row['model']:13}", end="")
        print(f"{total:8.1f}", end="")
        shares = [100 * row["ms"][kind] / total for kind in kinds]
        print("".join(f"{share:16.0f} %" for share in shares))


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = timing_parser(
        "Show where the time of dense and compact encoders goes.",
        sizes=SIZES,
        default=["17x512"],
        name="where_time_goes",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Profile, print the table, write the JSON."""
    options = parse_arguments(arguments)
    clock = set_up(options)
    settings = [(n, a) for n in options.sizes for a in ATTENTION]
    rows = []
    for name, attention in tqdm(settings, "encoders"):
        rows.extend(measure(name, attention, options.rounds or 5))
    print_table(rows)
    write_results(options, clock, rows=rows)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""How fast are our attention and convolution, at the widths of stock ones?

Claim: attention with relative positions takes at most 0.80 of the time of
SpeechBrain's at equal width, dense or compact. SpeechBrain's layer and ours
have the same weights and take turns on one utterance of 10 s or 30 s; the
ratio is the median of those within the rounds. Compact widths are even, since
the stock layers know no others. With ``--compile``, ours are compiled by
torch.compile first.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import time
from collections.abc import Callable, Sequence
from itertools import product

import torch
from compiling import begin_compiling, compiled
from encoders import ATTENTION, SIZES, bind, build_encoder
from speechbrain.nnet.attention import RelPosEncXL
from timing import against_stock, set_up, timing_parser, verdict, write_results
from torch import nn

from speechbrain_neuronprune import PruningPlan, compact, find_units
from speechbrain_neuronprune.fast_layers import use_fast_layers

BAR = 0.80
BARRED = "RelPosMHAXL"
SHARES = (1.0, 0.5, 0.25)
FRAMES = (251, 750)
ROUNDS = 25


def stock_form(layer: nn.Module) -> nn.Module:
    """Return a stock layer with the parameters of one of ours."""
    kind = type(layer).__bases__[-1]
    stock = kind.__new__(kind)
    stock.__dict__ = layer.__dict__.copy()
    if hasattr(layer, "query_rows"):
        stock.head_dim = layer.query_rows[0]
        stock.vhead_dim = layer.value_rows[0]
    return stock


def plan_of_pairs(model: nn.Module, share: float) -> PruningPlan:
    """Keep as many rows of queries as of values, an even number per head:
    stock rotary attention knows only that."""
    widths = {}
    for name, group in find_units(model).items():
        width = 2 * round(share * group.widths[0] / 2)
        if group.kind == "query" and model.attention_type == "RoPEMHA":
            width = round(share * group.widths[0])  # of pairs
        widths[name] = [width] * len(group.widths)
    return PruningPlan.from_widths(model, widths)


def layers(size: str, attention: str, share: float) -> dict[str, nn.Module]:
    """Return our attention and convolution modules at some width."""
    encoder = build_encoder(SIZES[size], attention)
    small = compact(encoder, plan_of_pairs(encoder, share))
    block = use_fast_layers(small).layers[0]
    return {attention: block.mha_layer, "convolution": block.convolution_module}


def given_to(kind: str, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the arguments that a layer gets from an encoder's block."""
    if kind == "convolution":
        return {"x": x}
    given = {"query": x, "key": x, "value": x}
    if kind == "RelPosMHAXL":
        given["pos_embs"] = RelPosEncXL(x.shape[-1])(x)
    return given


@torch.no_grad()
def measure(
    size: str,
    attention: str,
    share: float,
    frames: int,
    rounds: int,
    clock: Callable[[], float],
    compiling: bool = False,
) -> list[dict]:
    """Measure the layers of one width on one length; return a row each."""
    x = torch.randn(1, frames, SIZES[size].d_model)
    rows = []
    for kind, ours in layers(size, attention, share).items():
        stock, given = stock_form(ours), given_to(kind, x)
        if compiling:
            begin_compiling(given.values())
            ours = compiled(ours)
        calls = (bind(stock, given), bind(ours, given))
        row = {"size": size, "layer": kind, "share": share, "frames": frames}
        row |= {"compiled": compiling}
        rows.append(row | against_stock(*calls, rounds, clock))
    return rows


def print_row(row: dict) -> None:
    """Print a row of the table."""
    print(
        f"{row['size']:8}{row['layer']:13}{100 * row['share']:6.0f} %"
        f"{row['frames']:8}{row['stock_ms']:10.2f}{row['ours_ms']:10.2f}"
        f"{row['ratio']:8.2f}",
        flush=True,
    )


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = timing_parser(
        "Compare attention and convolution with SpeechBrain's.",
        sizes=SIZES,
        default=["12x144", "17x512"],
        name="attention_speed",
    )
    parser.add_argument("--frames", type=int, nargs="+", default=FRAMES)
    parser.add_argument("--compile", action="store_true")
    return parser.parse_args(arguments)


def benchmark(
    options: argparse.Namespace, clock: Callable[[], float] = time.perf_counter
) -> list[dict]:
    """Measure whatever the options name; print and return the rows."""
    rows = []
    rounds = options.rounds or ROUNDS
    widths = product(options.sizes, ATTENTION, SHARES, options.frames)
    for width in widths:
        new = measure(*width, rounds, clock, options.compile)
        rows.extend(new)
        for row in new:
            print_row(row)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the JSON."""
    options = parse_arguments(arguments)
    clock = set_up(options)
    print(
        f"{'size':8}{'layer':13}{'units':>8}{'frames':>8}{'stock ms':>10}"
        f"{'ours ms':>10}{'ratio':>8}"
    )
    rows = benchmark(options, clock)
    worst = max(row["ratio"] for row in rows if row["layer"] == BARRED)
    met = worst <= BAR
    print(
        f"Bar: {BARRED} at most {BAR:.2f} of stock: {verdict(met)} "
        f"(worst {worst:.2f})"
    )
    write_results(options, clock, bar=BAR, met=met, rows=rows)


if __name__ == "__main__":
    main()

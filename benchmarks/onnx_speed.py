#!/usr/bin/env python3
"""How much faster is a compact encoder in ONNX Runtime?

Claim: written as `neuronprune export --onnx` writes them, compact encoders
reach in ONNX Runtime, on one thread, what their arithmetic promises over
SpeechBrain's dense encoder in PyTorch: 95 % of it for the large one (17 blocks
of 512), 85 % for the small one (12 blocks of 144), if plans are rounded.

SpeechBrain's dense encoder in PyTorch ("stock"), the dense encoder in ONNX
Runtime ("dense") and the compact ones there take turns on 10 s of audio, 251
frames, on one thread: with more, threads of one library that wait for work
take time from the other's. Promises and plans are those of compact_speed.py.
The speed-up of the dense one is what ONNX Runtime gains without any pruning;
"over dense" is what pruning gains there.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy
import torch
from compact_speed import (
    BARS,
    SECONDS,
    STOCK,
    columns_of_speed,
    print_verdict,
    promised,
    shares,
)
from encoders import ATTENTION, PLANS, SIZES, Size, build_encoder, make_plans
from onnxruntime import InferenceSession, SessionOptions
from speechbrain.nnet.attention import RelPosEncXL
from timing import set_up, timing_parser, write_results
from torch import Tensor, nn

from speechbrain_neuronprune import compact
from speechbrain_neuronprune.deploy.onnx_export import write_onnx
from speechbrain_neuronprune.fast_layers import use_unit_attention
from speechbrain_neuronprune.report.cost import compare_latency

ROUNDED = "rounded"


class Frames(nn.Module):
    """An encoder as exporters want it: positions are made within.

    Arguments
    ---------
    encoder : nn.Module
        The encoder, in evaluation mode.
    size : Size
        Its size.
    attention : str
        Its kind of attention.
    """

    def __init__(self, encoder: nn.Module, size: Size, attention: str) -> None:
        super().__init__()
        self.encoder, self.size = encoder, size
        relative = attention == "RelPosMHAXL"
        self.positions = RelPosEncXL(size.d_model) if relative else None

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Encode frames of utterances of one length."""
        positions = self.positions and self.positions(features)
        return self.encoder(features, pos_embs=positions)[0]

    def example(self, batch: int = 2) -> tuple[Tensor, Tensor]:
        """Noise, and relative lengths that nothing looks at."""
        frames = torch.randn(batch, self.size.frames, self.size.d_model)
        return frames, torch.ones(batch)


def call_in_runtime(
    model: Frames, arguments: Sequence[Tensor]
) -> Callable[[], numpy.ndarray]:
    """Write a model as ONNX; return what computes it in ONNX Runtime, on as
    many threads as PyTorch's."""
    options = SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write_onnx(model, path)
        session = InferenceSession(path, options, ["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    arrays = [one.numpy() for one in arguments]
    inputs = dict(zip(names, arrays, strict=True))
    return lambda: session.run(None, inputs)[0]


@torch.no_grad()
def benchmark(
    name: str,
    attention: str,
    kinds: Sequence[str] = tuple(PLANS),
    rounds: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[dict]:
    """Measure one size with one kind of attention; return a row per model."""
    size = SIZES[name]
    stock = build_encoder(size, attention)
    plans = make_plans(stock, kinds)
    given = Frames(stock, size, attention).example(batch=1)
    calls, difference = {}, {}
    for key, plan in plans.items():
        small = use_unit_attention(compact(stock, plan))
        model = Frames(small, size, attention).eval()
        calls[key] = call_in_runtime(model, given)
        found = torch.from_numpy(calls[key]())
        difference[key] = (found - model(*given)).abs().max().item()
    in_pytorch = Frames(stock, size, attention).eval()
    calls = {STOCK: lambda: in_pytorch(*given), **calls}
    times = compare_latency(calls, rounds or size.rounds, clock=clock)
    return [
        {
            "size": name,
            "attention": attention,
            "model": key,
            "difference": difference[key],
            "median_ms": statistics.median(times[key]),
            "real_time_factor": statistics.median(times[key]) / 1000 / SECONDS,
            **shares(key, times, promised(stock, plan, size, attention)),
        }
        for key, plan in plans.items()
    ]


def print_row(row: dict) -> None:
    """Print a row of the table."""
    print(
        f"{row['size']:8}{row['attention']:13}{row['model']:16}",
        columns_of_speed(row),
        sep="",
        flush=True,
    )


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = timing_parser(
        "Compare the latency of encoders in ONNX Runtime.",
        sizes=SIZES,
        default=list(BARS),
        name="onnx_speed",
    )
    parser.add_argument(
        "--plans", nargs="+", choices=PLANS, default=["retention", ROUNDED]
    )
    parser.set_defaults(threads=1)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the JSON."""
    options = parse_arguments(arguments)
    clock = set_up(options)
    print(
        f"{'size':8}{'attention':13}{'model':16}{'ms':>9}{'promised':>10}"
        f"{'over dense':>19}{'over stock':>19}"
    )
    rows = []
    for name in options.sizes:
        for attention in ATTENTION:
            new = benchmark(
                name, attention, options.plans, options.rounds, clock
            )
            rows.extend(new)
            for row in new:
                print_row(row)
    rounded = [row for row in rows if row["model"].startswith(ROUNDED)]
    print("Bars are for rounded plans.")
    met = {
        name: print_verdict(name, bar, rounded)
        for name, bar in BARS.items()
        if name in options.sizes and ROUNDED in options.plans
    }
    write_results(options, clock, bars=BARS, met=met, rows=rows)


if __name__ == "__main__":
    main()

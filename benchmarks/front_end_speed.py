#!/usr/bin/env python3
"""How fast are the parts that pruning does not touch?

The convolutional front end of the recipes, and dropout, compared with those of
SpeechBrain and torch: no unit leaves them, so the smaller the encoder behind
them, the larger their share. Both forms have the same weights and take turns;
the ratio is the median of those within the rounds. A step is a forward and a
backward pass over a batch of 14 utterances of 5 s.

    python benchmarks/front_end_speed.py

Authors
 * The speechbrain-neuronprune authors 2026
"""

import copy
from collections.abc import Callable, Sequence

import torch
from speechbrain.lobes.models.convolution import ConvolutionFrontEnd
from timing import Clock, against_stock, set_up, timing_parser, write_results
from torch import Tensor, nn

from speechbrain_neuronprune import use_fast_layers

# Channels of the two blocks, as in the recipes, and the encoder's width
SIZES = {
    "tiny": ([2, 2], 8),
    "4x96": ([16, 16], 96),
    "12x144": ([64, 32], 144),
    "17x512": ([512, 512], 512),
}
BANDS = 80
ROUNDS = 25
DROPOUT = 0.1
# Utterances, and frames of features of each, at a hundred per second
PASSES = {"10 s": (1, 1000), "30 s": (1, 3000), "step": (14, 500)}
STRIDE = 4  # features per frame of the encoder


def front_end(size: str) -> nn.Module:
    """Return SpeechBrain's, as in the recipes."""
    channels, _ = SIZES[size]
    return ConvolutionFrontEnd(
        input_shape=(None, None, BANDS),
        num_blocks=2,
        num_layers_per_block=1,
        out_channels=channels,
        kernel_sizes=[3, 3],
        strides=[2, 2],
        residuals=[False, False],
        dropout=0.0,
    )


def layers(size: str) -> dict[str, tuple[nn.Module, int, int]]:
    """Return what is compared: a layer, how wide its input is, and how many
    frames of features make one of its own."""
    width = SIZES[size][1]
    return {
        "front end": (front_end(size), BANDS, 1),
        "dropout": (nn.Dropout(DROPOUT), 4 * width, STRIDE),
    }


def forward(layer: nn.Module, x: Tensor) -> Callable[[], object]:
    """Return a function that runs a layer without gradients."""

    @torch.no_grad()
    def run() -> object:
        return layer(x)

    return run


def step(layer: nn.Module, x: Tensor) -> Callable[[], object]:
    """Return a function that runs a layer there and back."""
    x = x.clone().requires_grad_()

    def run() -> None:
        layer.zero_grad()
        layer(x).sum().backward()

    return run


def measure(size: str, rounds: int, clock: Clock) -> list[dict]:
    """Measure the layers of one size; return a row each."""
    rows = []
    for name, (stock, width, stride) in layers(size).items():
        ours = use_fast_layers(nn.ModuleList([copy.deepcopy(stock)]))[0]
        for kind, (batch, frames) in PASSES.items():
            if name == "dropout" and kind != "step":
                continue  # in evaluation it does nothing
            x = torch.randn(batch, frames // stride, width)
            run = step if kind == "step" else forward
            row = {"size": size, "layer": name, "pass": kind}
            calls = (run(stock, x), run(ours, x))
            rows.append(row | against_stock(*calls, rounds, clock))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the JSON."""
    parser = timing_parser(
        "Compare front end and dropout with SpeechBrain's and torch's.",
        sizes=SIZES,
        default=["4x96", "12x144"],
        name="front_end_speed",
    )
    options = parser.parse_args(arguments)
    clock = set_up(options)
    print(
        f"{'size':8}{'layer':12}{'pass':8}{'stock ms':>10}{'ours ms':>10}"
        f"{'ratio':>8}"
    )
    rows = []
    for size in options.sizes:
        for row in measure(size, options.rounds or ROUNDS, clock):
            rows.append(row)
            print(
                f"{row['size']:8}{row['layer']:12}{row['pass']:8}"
                f"{row['stock_ms']:10.2f}{row['ours_ms']:10.2f}"
                f"{row['ratio']:8.2f}",
                flush=True,
            )
    write_results(options, clock, rows=rows)


if __name__ == "__main__":
    main()

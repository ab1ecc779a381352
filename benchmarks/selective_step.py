#!/usr/bin/env python3
"""What do selective updates and domain patches cost?

Claims, for the time-frequency CNN of Mitra and Franco and 12 % of the neurons
of its first two layers (8 % hypo, 4 % hyper):

1. A selective training step (forward, backward, Adam) takes no longer than a
   full one.
2. The file of a domain patch has less than 12 % of the model's bytes.

The steps take turns, round after round, and the median of the ratios within
the rounds is reported:

full       all parameters learn
selective  the incoming weights and biases of the chosen neurons
outgoing   their outgoing weights as well

The time that ``DomainPatches`` takes to switch between two patches and back
to the starting model is reported as it is.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from timing import Clock, set_up, timing_parser, verdict, write_results
from torch import Tensor, nn

from speechbrain_neuronprune import (
    DomainPatch,
    DomainPatches,
    NeuronSelection,
    select_hyper_hypo,
    selective_update,
)
from speechbrain_neuronprune.models.time_frequency_cnn import TimeFrequencyCNN
from speechbrain_neuronprune.report.cost import compare_latency, paired_ratio

BAR = 1.0
SHARE_BAR = 0.12
LAYERS = ("fc.linear1", "fc.linear2")
BANDS = 40
TARGETS = 3125  # states in Mitra and Franco


@dataclass(frozen=True)
class Size:
    """A time-frequency CNN, and the batch that it trains on."""

    layers: int
    units: int
    time_filters: int
    frequency_filters: int
    outputs: int
    batch: int
    frames: int
    rounds: int


SIZES = {
    "tiny": Size(2, 25, 2, 3, 8, batch=2, frames=10, rounds=3),
    "3x1024": Size(3, 1024, 16, 64, 41, batch=8, frames=100, rounds=25),
    # Mitra and Franco: 75 and 200 filters, minibatches of 256 frames.
    "4x2048": Size(4, 2048, 75, 200, TARGETS, batch=2, frames=128, rounds=15),
}


def build_model(size: Size) -> TimeFrequencyCNN:
    """Build the model, in training mode."""
    return TimeFrequencyCNN(
        size.outputs,
        bands=BANDS,
        time_filters=size.time_filters,
        frequency_filters=size.frequency_filters,
        fc_layers=size.layers,
        fc_units=size.units,
    )


def choose(size: Size) -> dict[str, NeuronSelection]:
    """Choose 12 % of two layers; which neurons makes no difference here."""
    return select_hyper_hypo({name: torch.rand(size.units) for name in LAYERS})


def training_step(
    model: nn.Module, parameters: Iterable[nn.Parameter], x: Tensor, y: Tensor
) -> Callable[[], None]:
    """Return a function that takes one training step."""
    optimiser = torch.optim.Adam(parameters, lr=1e-4)

    def step() -> None:
        optimiser.zero_grad()
        F.cross_entropy(model(x).flatten(0, 1), y).backward()
        optimiser.step()

    return step


def build_steps(
    model: nn.Module, size: Size, device: str
) -> dict[str, Callable[[], None]]:
    """Return the training steps that are compared, each of its own copy."""
    x = torch.randn(size.batch, size.frames, BANDS, device=device)
    frames = size.batch * size.frames
    y = torch.randint(size.outputs, (frames,), device=device)
    full, incoming, both = (copy.deepcopy(model) for _ in range(3))
    chosen = choose(size)
    selective = selective_update(incoming, chosen)
    outgoing = selective_update(both, chosen, outgoing=True)
    return {
        "full": training_step(full, full.parameters(), x, y),
        "selective": training_step(incoming, selective.parameters(), x, y),
        "outgoing": training_step(both, outgoing.parameters(), x, y),
    }


def make_patch(
    model: nn.Module, size: Size, outgoing: bool = False
) -> DomainPatch:
    """Adapt a copy of the model; here, all that changes are signs."""
    update = selective_update(copy.deepcopy(model), choose(size), outgoing)
    with torch.no_grad():
        for values in update.parameters():
            values.neg_()
    return update.patch()


def share_of_file(model: nn.Module, patch: DomainPatch) -> float:
    """The size of the patch's file over that of the model's."""
    with tempfile.TemporaryDirectory() as folder:
        whole, part = Path(folder, "model"), Path(folder, "patch")
        save_file(model.state_dict(), whole)
        patch.save(part)
        return part.stat().st_size / whole.stat().st_size


def switching_times(
    model: nn.Module, size: Size, rounds: int, clock: Clock
) -> dict[str, float]:
    """Milliseconds that it takes to switch to two patches and to none."""
    patches = DomainPatches(copy.deepcopy(model))
    for name in ("one", "two"):
        patches.add(name, make_patch(model, size))
    switches = {
        str(name): lambda name=name: patches.use(name)
        for name in ("one", "two", None)
    }
    times = compare_latency(switches, rounds, clock=clock)
    return {name: statistics.median(ms) for name, ms in times.items()}


def benchmark(
    name: str,
    rounds: int | None = None,
    device: str = "cpu",
    clock: Clock = time.perf_counter,
) -> dict:
    """Measure one size; return a row."""
    size = SIZES[name]
    model = build_model(size).to(device)
    rounds = rounds or size.rounds
    steps = build_steps(model, size, device)
    times = compare_latency(steps, rounds, clock=clock)
    return {
        "size": name,
        **asdict(size),
        "rounds": rounds,
        "median_ms": {k: statistics.median(v) for k, v in times.items()},
        "selective_over_full": paired_ratio(times, "selective", "full"),
        "outgoing_over_full": paired_ratio(times, "outgoing", "full"),
        "patch_share": share_of_file(model, make_patch(model, size)),
        "outgoing_patch_share": share_of_file(
            model, make_patch(model, size, outgoing=True)
        ),
        "switch_ms": switching_times(model, size, rounds, clock),
    }


def print_row(row: dict) -> None:
    """Print a row of the table."""
    medians = "".join(f"{ms:11.1f}" for ms in row["median_ms"].values())
    print(
        f"{row['size']:8}{medians}{row['selective_over_full']:11.3f}"
        f"{row['outgoing_over_full']:11.3f}"
        f"{100 * row['patch_share']:9.1f} %"
        f"{max(row['switch_ms'].values()):11.2f}",
        flush=True,
    )


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = timing_parser(
        "Compare selective with full training steps, patches with models.",
        sizes=SIZES,
        default=["3x1024", "4x2048"],
        name="selective_step",
    )
    parser.add_argument("--device", default="cpu")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the JSON."""
    options = parse_arguments(arguments)
    clock = set_up(options)
    print("Training step and switch, median ms; ratios: median of rounds")
    print(
        f"{'size':8}{'full':>11}{'selective':>11}{'outgoing':>11}"
        f"{'sel./full':>11}{'out./full':>11}{'patch':>11}{'switch':>11}"
    )
    rows = []
    for name in options.sizes:
        row = benchmark(name, options.rounds, options.device, clock)
        print_row(row)
        rows.append(row)
    worst = max(row["selective_over_full"] for row in rows)
    largest = max(row["patch_share"] for row in rows)
    fast, small = worst <= BAR, largest < SHARE_BAR
    print(
        f"Bar: selective / full <= {BAR}: {verdict(fast)} (worst {worst:.3f})"
    )
    print(
        f"Bar: patch / model < {100 * SHARE_BAR:.0f} %: {verdict(small)} "
        f"(worst {100 * largest:.1f} %)"
    )
    write_results(
        options,
        clock,
        device=options.device,
        bar=BAR,
        met=fast,
        share_bar=SHARE_BAR,
        share_met=small,
        rows=rows,
    )


if __name__ == "__main__":
    main()

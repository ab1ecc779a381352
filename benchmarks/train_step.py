#!/usr/bin/env python3
"""What do the gates cost in training?

Claim: a training step (forward, backward, Adam) of a Conformer encoder with
adaptive dropout takes at most 1.05 times the step of the same encoder with
``nn.Dropout`` at the same five places. Three encoders take turns, round after
round, and the median of the ratios within the rounds is reported:

plain    the stock encoder, without any dropout
dropout  ``nn.Dropout`` after the feed-forward activations and the GLU, element
         by element; on queries and values it draws once per utterance, as the
         gates do, since the stock layers have no place for a module there
gates    ``attach_adaptive_dropout``; the optimiser also steps the logits

All other dropout of the encoder is off, so that it hides nothing.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

import torch
from encoders import ATTENTION, SIZES, Size, build_encoder, example
from timing import set_up, timing_parser, verdict, write_results
from torch import Tensor, nn

from speechbrain_neuronprune import (
    RetentionSchedule,
    attach_adaptive_dropout,
    find_units,
)
from speechbrain_neuronprune.attach import retention_logits
from speechbrain_neuronprune.gates.gate import UnitGate
from speechbrain_neuronprune.layers import set_gate
from speechbrain_neuronprune.report.cost import compare_latency, paired_ratio

BAR = 1.05
# Utterances of a batch, their frames, and rounds
BATCHES = {
    "tiny": (2, 10, 3),
    "4x96": (16, 60, 60),
    "12x144": (8, 100, 30),
    "17x512": (2, 100, 9),
}


class DropoutGate(UnitGate):
    """``nn.Dropout`` where the layers take a mask: one draw per utterance."""

    def __init__(self, size: int, probability: float) -> None:
        super().__init__(size)
        self.dropout = nn.Dropout(probability)
        self.register_buffer("ones", torch.ones(1, size), persistent=False)

    def mask(self, batch_size: int) -> Tensor:
        """Ones, some of them dropped."""
        return self.dropout(self.ones.expand(batch_size, -1))

    def keep(self) -> Tensor:
        """Evaluation keeps every unit."""
        return self.ones[0].bool()


def put_dropout(encoder: nn.Module, probability: float) -> None:
    """Put ``nn.Dropout`` where the gates would stand, in place."""
    for group in find_units(encoder).values():
        layer = encoder.get_submodule(group.layer)
        if group.kind in ("query", "value"):
            set_gate(encoder, group, DropoutGate(group.size, probability))
            continue
        stages = layer.ffn if group.kind == "ffn" else layer.bottleneck
        stages[1] = nn.Sequential(stages[1], nn.Dropout(probability))


def training_step(
    encoder: nn.Module,
    batch: dict,
    schedule: RetentionSchedule | None = None,
) -> Callable[[], None]:
    """Return a function that takes one training step."""
    logits = list(retention_logits(encoder)) if schedule else []
    chosen = {id(parameter) for parameter in logits}
    groups = [
        {"params": [p for p in encoder.parameters() if id(p) not in chosen]}
    ]
    if logits:
        groups.append({"params": logits, "lr": 1e-2, "weight_decay": 2e-5})
    optimiser = torch.optim.Adam(groups, lr=1e-4)

    def step() -> None:
        optimiser.zero_grad()
        encoder(**batch)[0].square().mean().backward()
        optimiser.step()
        if schedule is not None:
            schedule.advance()

    return step


def build_steps(
    size: Size, batch: int, attention: str, probability: float, device: str
) -> dict[str, Callable[[], None]]:
    """Return the training steps that are compared."""
    arguments = {
        name: value.to(device)
        for name, value in example(size, attention, batch).items()
    }
    plain, dropout, gates = (
        build_encoder(size, attention).to(device).train() for _ in range(3)
    )
    put_dropout(dropout, probability)
    schedule = RetentionSchedule().to(device)
    attach_adaptive_dropout(gates, schedule)
    return {
        "plain": training_step(plain, arguments),
        "dropout": training_step(dropout, arguments),
        "gates": training_step(gates, arguments, schedule),
    }


def benchmark(
    name: str,
    attention: str,
    rounds: int | None = None,
    probability: float = 0.1,
    device: str = "cpu",
    clock: Callable[[], float] = time.perf_counter,
) -> dict:
    """Measure one size with one kind of attention; return a row."""
    batch, frames, usual = BATCHES[name]
    rounds = rounds or usual
    size = replace(SIZES[name], frames=frames, rounds=rounds)
    steps = build_steps(size, batch, attention, probability, device)
    times = compare_latency(steps, rounds, clock=clock)
    return {
        "size": name,
        "attention": attention,
        "batch": batch,
        **asdict(size),
        "median_ms": {k: statistics.median(v) for k, v in times.items()},
        "gates_over_dropout": paired_ratio(times, "gates", "dropout"),
        "gates_over_plain": paired_ratio(times, "gates", "plain"),
        "dropout_over_plain": paired_ratio(times, "dropout", "plain"),
    }


def print_row(row: dict) -> None:
    """Print a row of the table."""
    medians = "".join(f"{ms:10.1f}" for ms in row["median_ms"].values())
    print(
        f"{row['size']:8}{row['attention']:13}{medians}"
        f"{row['gates_over_plain']:10.3f}{row['gates_over_dropout']:10.3f}",
        flush=True,
    )


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = timing_parser(
        "Compare training steps: plain, nn.Dropout, gates.",
        sizes=SIZES,
        default=["4x96", "12x144", "17x512"],
        name="train_step",
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dropout", type=float, default=0.1)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the JSON."""
    options = parse_arguments(arguments)
    clock = set_up(options)
    print("Training step, median ms; ratios: median of rounds")
    print(
        f"{'size':8}{'attention':13}{'plain':>10}{'dropout':>10}{'gates':>10}"
        f"{'/plain':>10}{'/dropout':>10}"
    )
    rows = []
    for name in options.sizes:
        for attention in ATTENTION:
            row = benchmark(
                name,
                attention,
                options.rounds,
                options.dropout,
                options.device,
                clock,
            )
            print_row(row)
            rows.append(row)
    worst = max(row["gates_over_dropout"] for row in rows)
    met = worst <= BAR
    print(f"Bar: gates / dropout <= {BAR}: {verdict(met)} (worst {worst:.3f})")
    write_results(
        options,
        clock,
        device=options.device,
        dropout=options.dropout,
        bar=BAR,
        met=met,
        rows=rows,
    )


if __name__ == "__main__":
    main()

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
from dataclasses import asdict, dataclass

import torch
from speechbrain.lobes.models.transformer.Conformer import ConformerEncoder
from speechbrain.nnet.attention import RelPosEncXL
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
ATTENTION = ("RelPosMHAXL", "RoPEMHA")


@dataclass(frozen=True)
class Size:
    """An encoder, and the batch that it trains on."""

    layers: int
    d_model: int
    d_ffn: int
    heads: int
    kernel: int
    batch: int
    frames: int
    rounds: int


SIZES = {
    "tiny": Size(1, 16, 32, 2, 3, batch=2, frames=10, rounds=3),
    "4x96": Size(4, 96, 384, 4, 15, batch=16, frames=60, rounds=60),
    # A feed-forward width of 4 * d_model; conformer_small.yaml has 1024.
    "12x144": Size(12, 144, 576, 4, 31, batch=8, frames=100, rounds=30),
    "17x512": Size(17, 512, 2048, 8, 31, batch=2, frames=100, rounds=9),
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


def build_encoder(size: Size, attention: str) -> ConformerEncoder:
    """Build the stock encoder, without dropout."""
    return ConformerEncoder(
        num_layers=size.layers,
        d_model=size.d_model,
        d_ffn=size.d_ffn,
        nhead=size.heads,
        kernel_size=size.kernel,
        attention_type=attention,
        dropout=0.0,
    )


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
    size: Size, attention: str, probability: float, device: str
) -> dict[str, Callable[[], None]]:
    """Return the training steps that are compared."""
    source = torch.randn(size.batch, size.frames, size.d_model, device=device)
    batch = {"src": source}
    if attention == "RelPosMHAXL":
        batch["pos_embs"] = RelPosEncXL(size.d_model).to(device)(source)
    plain, dropout, gates = (
        build_encoder(size, attention).to(device).train() for _ in range(3)
    )
    put_dropout(dropout, probability)
    schedule = RetentionSchedule().to(device)
    attach_adaptive_dropout(gates, schedule)
    return {
        "plain": training_step(plain, batch),
        "dropout": training_step(dropout, batch),
        "gates": training_step(gates, batch, schedule),
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
    size = SIZES[name]
    steps = build_steps(size, attention, probability, device)
    times = compare_latency(steps, rounds or size.rounds, clock=clock)
    return {
        "size": name,
        "attention": attention,
        **asdict(size),
        "rounds": rounds or size.rounds,
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

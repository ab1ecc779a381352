#!/usr/bin/env python3
"""What does it cost to measure how salient neurons are?

Claim: one ``measure_saliency`` call with mi, mbp, activation and random takes
at most 1.15 times a plain evaluation of the model on the same speech, and its
peak memory does not grow with the speech. Every batch is evaluated just before
or just after a pass sees it, in turn, so that both have the same machine; what
a pass takes beside that is divided by what the evaluation took, round after
round, and the median is reported:

evaluation   forward passes without gradients; as a pass, what this way to
             measure is worth: 1 if it is fair
all          the claim: those four criteria in one pass
sampled      the same with mi_lagged and taylor, all estimated from a part of
             the speech: frame_stride=32, gradient_stride=64
(criterion)  a pass for one criterion alone that reads speech
mi_lagged/8  mi_lagged with frame_stride=8
gradient     forward and backward passes, parameters' gradients included: what
             taylor would cost without care

The other three criteria cannot cost that little on all speech, whatever the
code. taylor needs a backward pass through the layers behind the first units.
obs needs the products of all pairs of a layer's inputs, and mi_lagged those of
units and inputs: exactly as many multiplications as the layer itself. What
estimates from less speech lose, saliency_estimates.py says; obs is reported
apart.

The models are the time-frequency CNN of Mitra and Franco, a Conformer encoder,
of which the feed-forward units are measured, and a CRDNN. A fifth of the frames
is padding.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import speechbrain as sb
import torch
from speechbrain.lobes.models.CRDNN import CRDNN
from speechbrain.lobes.models.transformer.Conformer import ConformerEncoder
from timing import Clock, set_up, timing_parser, verdict, write_results
from torch import Tensor, nn
from tqdm import tqdm

from speechbrain_neuronprune.models.time_frequency_cnn import TimeFrequencyCNN
from speechbrain_neuronprune.report.cost import MEGABYTE
from speechbrain_neuronprune.report.memory import peak_bytes
from speechbrain_neuronprune.saliency import CRITERIA, measure_saliency
from speechbrain_neuronprune.saliency.streaming import call_model
from speechbrain_neuronprune.saliency.taylor import decision_loss

BAR = 1.15
TOGETHER = ["mi", "mbp", "activation", "random"]
SAMPLED = [*TOGETHER, "mi_lagged", "taylor"]
SAMPLES = {"frame_stride": 32, "gradient_stride": 64}
FRAME_STRIDE = 8
EVALUATION = "evaluation"
SPARSE = f"mi_lagged/{FRAME_STRIDE}"
MOST_SPEECH = 100  # times
MOST_MEMORY = 1.01  # times
CLAIMED = ("all", "sampled")
ALONE = [name for name, kind in CRITERIA.items() if kind.needs_speech]
OTHERS = (*ALONE, SPARSE, "gradient")
TOKENS = 41
BANDS = 40

Batch = tuple[Tensor, Tensor]
Pass = Callable[[Iterable[Batch]], object]


@dataclass(frozen=True)
class Size:
    """The arguments of the three models, and the speech that they hear."""

    tfcnn: dict[str, Any]
    conformer: dict[str, Any]
    crdnn: dict[str, Any]
    batches: int
    batch: int
    frames: int
    rounds: int


SIZES = {
    "tiny": Size(
        tfcnn={
            "time_filters": 2,
            "frequency_filters": 3,
            "fc_layers": 2,
            "fc_units": 16,
        },
        conformer={
            "num_layers": 1,
            "d_model": 16,
            "d_ffn": 32,
            "nhead": 2,
            "kernel_size": 3,
        },
        crdnn={
            "cnn_channels": [2, 3],
            "rnn_layers": 2,
            "rnn_neurons": 4,
            "dnn_neurons": 16,
        },
        batches=2,
        batch=2,
        frames=20,
        rounds=3,
    ),
    "usual": Size(
        tfcnn={
            "time_filters": 16,
            "frequency_filters": 64,
            "fc_layers": 3,
            "fc_units": 1024,
        },
        conformer={
            "num_layers": 12,
            "d_model": 144,
            "d_ffn": 1024,
            "nhead": 4,
            "kernel_size": 31,
        },
        crdnn={
            "cnn_channels": [32, 64],
            "rnn_layers": 2,
            "rnn_neurons": 256,
            "dnn_neurons": 512,
        },
        batches=32,
        batch=8,
        frames=200,
        rounds=3,
    ),
}


class Conformer(nn.Module):
    """A Conformer encoder and an output layer."""

    def __init__(self, d_model: int, **arguments: Any) -> None:
        super().__init__()
        self.encoder = ConformerEncoder(
            d_model=d_model, attention_type="RoPEMHA", **arguments
        )
        self.output = nn.Linear(d_model, TOKENS)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Logits, (batch, time, tokens)."""
        frames = (lengths * x.shape[1]).round()
        padding = torch.arange(x.shape[1], device=x.device) >= frames[:, None]
        return self.output(self.encoder(x, src_key_padding_mask=padding)[0])


def build_tfcnn(size: Size) -> tuple[nn.Module, int]:
    """The time-frequency CNN, and how many features it takes."""
    return TimeFrequencyCNN(TOKENS, bands=BANDS, **size.tfcnn), BANDS


def build_conformer(size: Size) -> tuple[nn.Module, int]:
    """The Conformer, and how many features its encoder takes."""
    return Conformer(**size.conformer), size.conformer["d_model"]


def build_crdnn(size: Size) -> tuple[nn.Module, int]:
    """The CRDNN, and how many features it takes."""
    crdnn = CRDNN(
        input_shape=[None, None, BANDS],
        rnn_class=sb.nnet.RNN.GRU,
        dnn_blocks=2,
        **size.crdnn,
    )
    output = nn.Linear(size.crdnn["dnn_neurons"], TOKENS)
    return nn.Sequential(crdnn, output), BANDS


MODELS = {
    "tfcnn": build_tfcnn,
    "conformer": build_conformer,
    "crdnn": build_crdnn,
}
TARGETS = {"tfcnn": "fc", "conformer": "ffn", "crdnn": "fc"}


def draw_speech(
    batches: int, batch: int, frames: int, features: int, device: str
) -> Iterator[Batch]:
    """Draw batches one by one; a fifth of the frames is padding."""
    lengths = torch.linspace(0.6, 1.0, batch, device=device)
    for _ in range(batches):
        yield torch.randn(batch, frames, features, device=device), lengths


@torch.no_grad()
def evaluate(model: nn.Module, batches: Iterable[Batch]) -> None:
    """Run the model as evaluation does."""
    for x, lengths in batches:
        call_model(model, x, lengths)


def differentiate(model: nn.Module, batches: Iterable[Batch]) -> None:
    """Run the model forward and backward."""
    for x, lengths in batches:
        model.zero_grad()
        output = call_model(model, x, lengths)
        decision_loss(output, x, lengths).backward()


def passes(model: nn.Module, targets: str) -> dict[str, Pass]:
    """Return the passes that are compared."""

    def measure(criteria: list[str], **options: int) -> Pass:
        return lambda batches: measure_saliency(
            model, batches, criteria, targets, **options
        )

    return {
        EVALUATION: lambda batches: evaluate(model, batches),
        "all": measure(TOGETHER),
        "sampled": measure(SAMPLED, **SAMPLES),
        **{name: measure([name]) for name in ALONE},
        SPARSE: measure(["mi_lagged"], frame_stride=FRAME_STRIDE),
        "gradient": lambda batches: differentiate(model, batches),
    }


class Evaluated:
    """Batches that are evaluated just before they are handed out, or just
    after: who comes second finds the weights in the cache."""

    def __init__(
        self, model: nn.Module, batches: Sequence[Batch], clock: Clock
    ) -> None:
        self.model = model
        self.batches = batches
        self.clock = clock
        self.time = 0.0

    def __iter__(self) -> Iterator[Batch]:
        for index, batch in enumerate(self.batches):
            if index % 2 == 0:
                self._evaluate(batch)
            yield batch
            if index % 2 == 1:
                self._evaluate(batch)

    def _evaluate(self, batch: Batch) -> None:
        start = self.clock()
        evaluate(self.model, [batch])
        self.time += self.clock() - start


def settled(clock: Clock, device: str) -> Clock:
    """A clock that waits for what a GPU still has to do."""
    if torch.device(device).type != "cuda":
        return clock

    def read() -> float:
        torch.cuda.synchronize(device)
        return clock()

    return read


def compare(
    model: nn.Module, batches: Sequence[Batch], one: Pass, clock: Clock
) -> tuple[float, float]:
    """Return what an evaluation takes, and what a pass takes beside it."""
    evaluated = Evaluated(model, batches, clock)
    start = clock()
    one(evaluated)
    return evaluated.time, clock() - start - evaluated.time


def benchmark(
    name: str,
    kind: str,
    rounds: int | None = None,
    device: str = "cpu",
    clock: Clock = time.perf_counter,
    chosen: Sequence[str] = (*CLAIMED, *OTHERS),
) -> dict:
    """Measure one size of one model; return a row."""
    size = SIZES[name]
    model, features = MODELS[kind](size)
    model = model.to(device).eval()
    batches = list(
        draw_speech(size.batches, size.batch, size.frames, features, device)
    )
    clock, known = settled(clock, device), passes(model, TARGETS[kind])
    times = {key: [] for key in (EVALUATION, *chosen)}
    for key in times:
        compare(model, batches[:1], known[key], clock)  # warm up
    for _ in tqdm(range(rounds or size.rounds), kind, leave=False):
        for key, pairs in times.items():
            pairs.append(compare(model, batches, known[key], clock))
    return {
        "size": name,
        "model": kind,
        "frames": size.batches * size.batch * size.frames,
        "rounds": rounds or size.rounds,
        "median_ms": {
            key: 1e3 * median(b for _, b in pairs)
            for key, pairs in times.items()
        },
        "over_evaluation": {
            key: median(b / a for a, b in pairs) for key, pairs in times.items()
        },
        "peak_mb": measure_memory(size, model, features, kind, device),
    }


def measure_memory(
    size: Size, model: nn.Module, features: int, kind: str, device: str
) -> dict[str, float]:
    """Peak memory of the claim's pass, by how many times the speech."""

    def peak(times: int) -> float:
        # Drawn as they are needed: speech that waits is not the pass's. Two
        # batches at least: what is used again is there from the second on.
        speech = draw_speech(2 * times, 1, size.frames, features, device)
        one = passes(model, TARGETS[kind])["all"]
        return peak_bytes(lambda: one(speech), model, ()) / MEGABYTE

    peak(1)  # what is cached stays
    return {str(times): peak(times) for times in (1, MOST_SPEECH)}


def growth(row: dict) -> float:
    """By what factor memory grows from the least to the most speech."""
    least, *_, most = row["peak_mb"].values()
    return most / least


def print_row(row: dict) -> None:
    """Print a row of the table."""
    ratios = "".join(
        f"{ratio:12.3f}" for ratio in row["over_evaluation"].values()
    )
    print(
        f"{row['size']:7}{row['model']:11}"
        f"{row['median_ms']['evaluation']:12.1f}{ratios}"
        f"{growth(row):12.3f}",
        flush=True,
    )


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = timing_parser(
        "Compare saliency passes with evaluation passes.",
        sizes=SIZES,
        default=["usual"],
        name="saliency_cost",
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument(
        "--passes",
        nargs="+",
        choices=[*CLAIMED, *OTHERS],
        default=[*CLAIMED, *OTHERS],
        help="beside the evaluation",
    )
    parser.add_argument("--device", default="cpu")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the JSON."""
    options = parse_arguments(arguments)
    clock = set_up(options)
    print("Evaluation, median ms; ratios to it: median of rounds")
    columns = (EVALUATION, "again", *options.passes, "memory")
    print(
        f"{'size':7}{'model':11}" + "".join(f"{name:>12}" for name in columns)
    )
    rows = []
    for name in options.sizes:
        for kind in options.models:
            row = benchmark(
                name,
                kind,
                options.rounds,
                options.device,
                clock,
                options.passes,
            )
            print_row(row)
            rows.append(row)
    claims = [name for name in CLAIMED if name in options.passes]
    write_results(
        options,
        clock,
        device=options.device,
        bar=BAR,
        met={name: print_verdict(name, rows) for name in claims},
        memory_bar=MOST_MEMORY,
        memory_met=print_memory_verdict(rows),
        rows=rows,
    )


def print_verdict(name: str, rows: Sequence[dict]) -> bool:
    """Print whether a pass costs little for all models."""
    worst = max(row["over_evaluation"][name] for row in rows)
    met = worst <= BAR
    print(
        f"Bar: {name} / evaluation <= {BAR}: {verdict(met)} (worst {worst:.3f})"
    )
    return met


def print_memory_verdict(rows: Sequence[dict]) -> bool:
    """Print whether the memory grows for any model."""
    worst = max(growth(row) for row in rows)
    met = worst <= MOST_MEMORY
    print(
        f"Bar: memory with {MOST_SPEECH} times the speech <= {MOST_MEMORY} "
        f"times: {verdict(met)} (worst {worst:.3f})"
    )
    return met


if __name__ == "__main__":
    main()

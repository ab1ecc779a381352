#!/usr/bin/env python3
"""What does a model lose and gain on its way out?

One table for a compact model, its dense counterpart, and the compact model in
int8, as a torch.export program, and in ONNX Runtime:

size    of the file with the weights
RTF     real-time factor from waveform to log-posteriors, one utterance of
        noise; all take turns, and the medians are reported
WER     on a split in LibriSpeech's layout, greedy search
parity  largest difference from the compact model's log-posteriors, at five
        lengths and two batch sizes, padding included

Claims: int8 loses at most 0.5 points of word error rate; the program and ONNX
differ by at most 1e-4.

    benchmarks/doors.py results/mini/model --dense results/mini-dense/model \\
        --data results/mini-corpus --split test-clean

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import logging
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from speechbrain.inference import EncoderASR
from speechbrain.utils.metric_stats import ErrorRateStats
from timing import set_up, verdict, write_results
from torch import Tensor

from speechbrain_neuronprune.corpus.speech import Speech, read_speech
from speechbrain_neuronprune.deploy import (
    export_onnx,
    export_program,
    quantise_directory,
)
from speechbrain_neuronprune.deploy.exported import load_program
from speechbrain_neuronprune.deploy.loading import load_model
from speechbrain_neuronprune.deploy.onnx_export import OnnxPosteriors
from speechbrain_neuronprune.deploy.parity import TOLERANCE, measure_parity
from speechbrain_neuronprune.deploy.posteriors import Posteriors
from speechbrain_neuronprune.report.cost import compare_latency
from speechbrain_neuronprune.training.error_rates import ErrorRates

WER_BAR = 0.5  # points
EXACT = ("torch.export", "ONNX")


@dataclass(frozen=True)
class Variant:
    """A model on one side of a door.

    Arguments
    ---------
    weights : Path
        The file with its weights.
    recogniser : EncoderASR
        Computes the features, and decodes.
    posteriors : callable
        Features and relative lengths to log-posteriors.
    """

    weights: Path
    recogniser: EncoderASR
    posteriors: Callable[[Tensor, Tensor], Tensor]

    @classmethod
    def of(cls, directory: Path) -> "Variant":
        """The model of a directory."""
        recogniser = load_model(directory)
        posteriors = Posteriors(recogniser.mods.encoder).eval()
        return cls(directory / "model.ckpt", recogniser, posteriors)

    def encode(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """Waveforms (batch, samples) to log-posteriors."""
        features = self.recogniser.mods.encoder["compute_features"](wavs)
        return self.posteriors(features, lengths)

    def words(self, wavs: Tensor, lengths: Tensor) -> list[list[str]]:
        """The words recognised in every utterance."""
        log_probs = self.encode(wavs, lengths)
        hypotheses = self.recogniser.decoding_function(log_probs, lengths)
        decode = self.recogniser.tokenizer.decode_ids
        return [decode(tokens).split() for tokens in hypotheses]


def make_variants(
    compact: Path, dense: Path | None, folder: Path
) -> dict[str, Variant]:
    """Go through every door, into a folder."""
    model = Variant.of(compact)
    variants = {} if dense is None else {"dense": Variant.of(dense)}
    variants["compact"] = model
    int8 = quantise_directory(compact, folder / "int8")
    variants["compact int8"] = Variant.of(int8)
    program, onnx = folder / "model.pt2", folder / "model.onnx"
    export_program(compact, program)
    export_onnx(compact, onnx)
    recogniser = model.recogniser
    return variants | {
        "torch.export": Variant(program, recogniser, load_program(program)),
        "ONNX": Variant(onnx, recogniser, OnnxPosteriors(onnx)),
    }


@torch.no_grad()
def word_error_rates(
    variants: dict[str, Variant], speech: Speech
) -> dict[str, float]:
    """Recognise a split with all variants, batch by batch."""
    errors = {
        name: ErrorRates(ErrorRateStats(), ErrorRateStats(split_tokens=True))
        for name in variants
    }
    normalize = variants["compact"].recogniser.audio_normalizer
    for batch in speech.batches(normalize):
        ids = [one.name for one in batch.utterances]
        spoken = [list(one.words) for one in batch.utterances]
        for name, variant in variants.items():
            words = variant.words(batch.wavs, batch.lengths)
            errors[name].append(ids, words, spoken)
    return {name: rates.wer for name, rates in errors.items()}


@torch.no_grad()
def real_time_factors(
    variants: dict[str, Variant],
    seconds: float,
    rounds: int,
    clock: Callable[[], float],
) -> dict[str, float]:
    """Time all variants in turns on one utterance of noise."""
    rate = variants["compact"].recogniser.audio_normalizer.sample_rate
    wavs, lengths = 0.1 * torch.randn(1, int(seconds * rate)), torch.ones(1)
    times = compare_latency(
        {
            name: lambda variant=variant: variant.encode(wavs, lengths)
            for name, variant in variants.items()
        },
        rounds,
        clock=clock,
    )
    return {
        name: statistics.median(one) / 1000 / seconds
        for name, one in times.items()
    }


def parities(variants: dict[str, Variant]) -> dict[str, float | None]:
    """How far each variant is from the compact model."""
    compact = variants["compact"].posteriors
    return {
        name: None
        if name in ("dense", "compact")
        else measure_parity(compact, variant.posteriors).max_difference
        for name, variant in variants.items()
    }


def measure(
    variants: dict[str, Variant], speech: Speech, **timing: Any
) -> list[dict[str, Any]]:
    """One row per variant."""
    factors = real_time_factors(variants, **timing)
    rates = word_error_rates(variants, speech)
    differences = parities(variants)
    return [
        {
            "variant": name,
            "megabytes": variant.weights.stat().st_size / 1e6,
            "real_time_factor": factors[name],
            "wer": rates[name],
            "max_difference": differences[name],
        }
        for name, variant in variants.items()
    ]


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the rows as Markdown."""
    print("| model | weights | RTF | WER | parity |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for row in rows:
        parity = row["max_difference"]
        print(
            f"| {row['variant']} | {row['megabytes']:.2f} MB "
            f"| {row['real_time_factor']:.4f} | {row['wer']:.2f} % "
            f"| {'' if parity is None else f'{parity:.1e}'} |"
        )


def model_directory(path: str) -> Path:
    """A model directory, or that of a run's folder."""
    inside = Path(path, "model")
    return inside if inside.is_dir() else Path(path)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=model_directory, help="the compact model")
    parser.add_argument("--dense", type=model_directory, help="what to compare")
    parser.add_argument("--data", required=True, help="the corpus folder")
    parser.add_argument("--split", default="test", help="a folder in it")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="time the processor instead of the wall clock, with one thread",
    )
    parser.add_argument(
        "--folder",
        default="results/benchmarks/doors",
        help="where the exported models go",
    )
    parser.add_argument("--output", default="results/benchmarks/doors.json")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table and write the JSON."""
    options = parse(arguments)
    logging.getLogger("speechbrain").setLevel(logging.WARNING)
    clock = set_up(options)
    variants = make_variants(options.model, options.dense, Path(options.folder))
    speech = read_speech(options.data, options.split)
    rows = measure(
        variants,
        speech,
        seconds=options.seconds,
        rounds=options.rounds,
        clock=clock,
    )
    print_table(rows)
    by_name = {row["variant"]: row for row in rows}
    lost = by_name["compact int8"]["wer"] - by_name["compact"]["wer"]
    checks = {
        "wer_met": lost <= WER_BAR,
        "parity_met": all(
            by_name[name]["max_difference"] <= TOLERANCE for name in EXACT
        ),
    }
    print(f"Bar: int8 loses <= {WER_BAR} points: {verdict(checks['wer_met'])}")
    print(f"Bar: parity <= {TOLERANCE:.0e}: {verdict(checks['parity_met'])}")
    write_results(
        options,
        clock,
        seconds=options.seconds,
        rounds=options.rounds,
        split=options.split,
        utterances=len(speech.utterances),
        rows=rows,
        **checks,
    )


if __name__ == "__main__":
    main()

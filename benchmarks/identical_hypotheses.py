#!/usr/bin/env python3
"""Do the masked and the compact model recognise the same words?

Trains two recognisers with adaptive dropout to 45 % of their parameters: a
Conformer with a Transformer decoder, and a Conformer that hears chunk by chunk.
Then SpeechBrain's EncoderDecoderASR searches beams and its StreamingASR goes
through the test split chunk by chunk, once with the masked network and once
with the compact one, an utterance at a time. Rows "in batches" are the recipe's
own test, with padding.

logits  largest difference of any logit: those of CTC, chunk by chunk where
        there are chunks, and those of the decoder for the words spoken; of
        batches the log-posteriors of CTC

Claim: no hypothesis differs.

    python benchmarks/identical_hypotheses.py DATA_FOLDER \\
        --output results/identical --vocab_size=10 \\
        "--train_splits=[train]" "--dev_splits=[dev]" "--test_splits=[test]"

The corpus is in LibriSpeech layout, the tokens are its words. Runs that are
complete are not run again, and a run that was stopped goes on where it stopped.
Options that are unknown here go to the recipe.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from paired import markdown_table
from speechbrain import Stage
from speechbrain.inference.ASR import EncoderDecoderASR, StreamingASR
from speechbrain.utils.metric_stats import ErrorRateStats
from timing import verdict
from torch import Tensor, nn
from trainings import (
    GATES,
    PRUNED,
    data_folder,
    parse,
    run_folder,
    run_recipe,
    schedule,
    train_all,
)

from speechbrain_neuronprune import PruningPlan
from speechbrain_neuronprune.brains import CTCRecogniser
from speechbrain_neuronprune.corpus.speech import read_speech
from speechbrain_neuronprune.deploy import streaming_directory
from speechbrain_neuronprune.deploy.evaluation import make_variants
from speechbrain_neuronprune.deploy.loading import load_model
from speechbrain_neuronprune.deploy.run import open_run
from speechbrain_neuronprune.files import write_json

BEAMS, CHUNKS = "beam search", "chunk by chunk"
ARMS = {
    BEAMS: "conformer_transformer_mini",
    CHUNKS: "conformer_ctc_mini_streaming",
}
SIZE = 0.45
VARIANTS = ("masked", "compact")


def train(arguments: argparse.Namespace, arm: str, seed: int) -> None:
    """Train one of the recognisers, and prune it."""
    changes = {
        **schedule(PRUNED, arguments.steps),
        **GATES,
        "target_parameters": SIZE,
    }
    run_recipe(arguments, arm, seed, ARMS[arm], changes)


# -------------------------------------------------------------- recognising


class BeamSearch:
    """SpeechBrain's ``EncoderDecoderASR`` around a run's compact model."""

    def __init__(self, folder: Path, brain: CTCRecogniser) -> None:
        self.asr = load_model(folder / "model", interface=EncoderDecoderASR)

    def put(self, network: nn.Module) -> None:
        """Compute with another network in place of the compact one."""
        self.asr.mods.encoder.Transformer.transformer = network
        self.asr.mods.decoder.model = network

    def recognise(
        self, wavs: Tensor, spoken: Sequence[str]
    ) -> tuple[list[str], list[Tensor]]:
        """The words found, and the logits of CTC and of the decoder."""
        whole = torch.ones(1)
        [text], _ = self.asr.transcribe_batch(wavs, whole)
        encoded = self.asr.encode_batch(wavs, whole)
        search = self.asr.mods.decoder
        tokens = self.asr.tokenizer.encode(" ".join(spoken))
        decoded, _ = search.model.decode(
            torch.tensor([[search.bos_index, *tokens]]), encoded
        )
        return text.split(), [
            self.asr.hparams.ctc_lin(encoded),
            search.fc(decoded),
        ]


class ChunkByChunk:
    """SpeechBrain's ``StreamingASR`` around a run's compact model."""

    def __init__(self, folder: Path, brain: CTCRecogniser) -> None:
        directory = streaming_directory(folder / "model", folder / "streaming")
        self.asr = load_model(directory, interface=StreamingASR)
        self.chunks = brain.hparams.dynchunktrain_config_sampler(Stage.TEST)

    def put(self, network: nn.Module) -> None:
        """Compute with another network in place of the compact one."""
        self.asr.mods.enc.transformer = network

    def recognise(
        self, wavs: Tensor, spoken: Sequence[str]
    ) -> tuple[list[str], list[Tensor]]:
        """The words found, and the logits of every chunk."""
        size = self.asr.get_chunk_size_frames(self.chunks)
        context = self.asr.make_streaming_context(self.chunks)
        front = self.asr.hparams.fea_streaming_extractor
        final = front.get_recommended_final_chunk_count(size)
        silence = [torch.zeros(1, size)] * final  # brings out the last frames
        text, logits = "", []
        for chunk in [*wavs.split(size, dim=1), *silence]:
            logits.append(self.asr.encode_chunk(context, chunk))
            [new], _ = self.asr.decode_chunk(context, logits[-1])
            text += new
        return text.split(), logits


DOORS = {BEAMS: BeamSearch, CHUNKS: ChunkByChunk}


@torch.no_grad()
def compare(
    door: BeamSearch | ChunkByChunk,
    networks: dict[str, nn.Module],
    data: str,
    split: str,
) -> dict[str, Any]:
    """Recognise a split with both networks; one row of the table."""
    errors = {name: ErrorRateStats() for name in VARIANTS}
    differing, largest = [], 0.0
    speech = read_speech(data, split)
    # Batches of no seconds have one utterance each.
    for batch in speech.batches(door.asr.audio_normalizer, seconds=0):
        [spoken] = batch.utterances
        found = {}
        for name in VARIANTS:
            door.put(networks[name])
            found[name] = door.recognise(batch.wavs, spoken.words)
            errors[name].append(
                [spoken.name], [found[name][0]], [list(spoken.words)]
            )
        (masked, one), (compact, other) = found.values()
        if masked != compact:
            differing.append(spoken.name)
        for a, b in zip(one, other, strict=True):
            largest = max(largest, (a - b).abs().max().item())
    return {
        "split": split,
        **{n: errors[n].summarize("error_rate") for n in VARIANTS},
        "utterances": len(speech.utterances),
        "differing": differing,
        "largest_difference": largest,
    }


# ------------------------------------------------------------------ reading


def rows_of(
    arguments: argparse.Namespace, arm: str, seed: int
) -> list[dict[str, Any]]:
    """What a finished run has to say, one row per split and way."""
    folder = run_folder(arguments.output, arm, seed)
    brain = open_run(folder)
    plan = PruningPlan.load(folder / "plan.json")
    networks = make_variants(brain.pruned, plan)
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    sizes = [results["cost"][n]["parameters"] for n in ("compact", "dense")]
    head = {"seed": seed, "parameters": sizes[0], "share": sizes[0] / sizes[1]}
    door = DOORS[arm](folder, brain)
    data = data_folder(arguments, seed)
    rows = []
    for split in brain.hparams.test_splits:
        row = compare(door, networks, data, split)
        rows.append({"way": arm, **head, **row})
        row = in_batches(results, split)
        rows.append({"way": f"{arm}, in batches", **head, **row})
    return rows


def in_batches(results: dict[str, Any], split: str) -> dict[str, Any]:
    """The recipe's own test of a split."""
    scores = results["splits"][split]
    return {
        "split": split,
        **{name: scores[name] for name in VARIANTS},
        "utterances": scores["utterances"],
        "differing": scores["utterances"] - scores["identical"],
        "largest_difference": results["max_difference"],
    }


def number(differing: list[str] | int) -> int:
    """How many hypotheses differ."""
    return differing if isinstance(differing, int) else len(differing)


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table, for people."""
    head = ["search", "seed", "split", "parameters", "masked", "compact"]
    head += ["different hypotheses", "logits"]
    return markdown_table(
        head,
        [
            [
                row["way"],
                str(row["seed"]),
                row["split"],
                f"{row['parameters']:,} ({row['share']:.1%})",
                *(f"{row[name]:.2f} %" for name in VARIANTS),
                f"{number(row['differing'])} of {row['utterances']}",
                f"{row['largest_difference']:.1e}",
            ]
            for row in rows
        ],
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, compare, print the table and write the JSON."""
    defaults = ["--seeds", "1", "--output", "results/identical"]
    given = sys.argv[1:] if arguments is None else arguments
    options = parse([*defaults, *given], __doc__, ARMS)
    logging.getLogger("speechbrain").setLevel(logging.WARNING)
    train_all(options, options.arms, train)
    rows = [
        row
        for seed in options.seeds
        for arm in options.arms
        for row in rows_of(options, arm, seed)
    ]
    print(markdown(rows))
    same = not any(number(row["differing"]) for row in rows)
    print(f"Bar: no hypothesis differs: {verdict(same)}")
    write_json(
        options.output / "identical.json", {"rows": rows, "identical": same}
    )


if __name__ == "__main__":
    main()

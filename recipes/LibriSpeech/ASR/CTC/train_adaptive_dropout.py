#!/usr/bin/env python3
"""Recipe for training a CTC Conformer that prunes itself while it trains.

Adaptive dropout (Kubo, Cai, Bacchiani: "Adaptive Dropout for Pruning
Conformers", arXiv 2412.04836) learns for every hidden unit whether to retain
it. After training, the units that are not retained are removed, and a smaller
dense model is left that computes exactly what the masked model computed.

To run this recipe, do the following:
> python train_adaptive_dropout.py ../../../../hparams/conformer_ctc_mini.yaml
    --data_folder=/path/to/a/corpus/in/LibriSpeech/layout

A run that was stopped goes on where it stopped. In the output folder it
leaves the model's directory, ``results.json``, WER files and a report.

With a ``starting_point`` in the yaml, the training begins with the weights, the
tokens and the features' statistics of a trained model:
> python train_adaptive_dropout.py
    ../../../../hparams/conformer_ctc_mini_finetune.yaml
    --data_folder=/path/to/a/corpus/in/LibriSpeech/layout
    --starting_point=/path/to/the/output/folder/of/a/dense/run

Authors
 * The speechbrain-neuronprune authors 2026
"""

import sys
from pathlib import Path

import speechbrain as sb
from librispeech_layout_prepare import prepare_librispeech_layout
from speechbrain.dataio.dataio import read_audio
from speechbrain.dataio.dataloader import make_dataloader
from speechbrain.utils.distributed import run_on_main
from speechbrain.utils.train_logger import TensorboardLogger

from speechbrain_neuronprune.deploy.finalise import finalise
from speechbrain_neuronprune.deploy.run import make_brain
from speechbrain_neuronprune.deploy.sizes import write_sizes
from speechbrain_neuronprune.deploy.starting_point import open_starting_point
from speechbrain_neuronprune.errors import NeuronPruneError
from speechbrain_neuronprune.plan import PruningPlan
from speechbrain_neuronprune.processes import join_processes
from speechbrain_neuronprune.training.batching import ShortFirstSampler
from speechbrain_neuronprune.training.dataio import (
    cached_reader,
    read_rows,
    speech_dataset,
    with_tokens,
)
from speechbrain_neuronprune.training.experiment import (
    check_cache,
    check_length,
    check_precision,
    debugging_apart,
    load_hparams,
)
from speechbrain_neuronprune.training.tokens import (
    load_tokenizer,
    read_transcripts,
    train_tokenizer,
)

TRAIN_CSV = "all-training-splits.csv"


def open_start(hparams):
    """Load the trained model to begin with; None if there shall be none."""
    path = hparams.get("starting_point")
    return None if path is None else open_starting_point(path)


def prepare(hparams, start):
    """Write the data manifests and the tokenizer (main process only)."""
    save_folder = Path(hparams["save_folder"])
    prepare_librispeech_layout(
        hparams["data_folder"],
        save_folder,
        tr_splits=hparams["train_splits"],
        dev_splits=hparams["dev_splits"],
        te_splits=hparams["test_splits"],
        merge_name=TRAIN_CSV,
        skip_prep=hparams["skip_prep"],
    )
    tokenizer = save_folder / "tokenizer.model"
    if start is not None:
        start.save_tokenizer(tokenizer)
        return
    train_tokenizer(
        read_transcripts(save_folder / TRAIN_CSV),
        tokenizer,
        hparams["token_type"],
        hparams["vocab_size"],
        ends="bos_index" in hparams,  # there is a decoder
    )


def dataio_prepare(hparams):
    """Make the datasets: train, dev, and one per test split."""
    folder = Path(hparams["save_folder"])
    tokenizer = load_tokenizer(folder / "tokenizer.model")
    hparams["tokenizer"] = tokenizer
    read = cached_reader() if hparams["cache_audio"] else read_audio

    def dataset(*csv_files):
        rows = read_rows(*[folder / csv_file for csv_file in csv_files])
        rows = with_tokens(rows, tokenizer, hparams["blank_index"])
        return speech_dataset(rows, read)

    train = dataset(TRAIN_CSV)
    dev = dataset(*[f"{split}.csv" for split in hparams["dev_splits"]])
    tests = {split: dataset(f"{split}.csv") for split in hparams["test_splits"]}
    return train, dev, tests


def make_sampler(train, hparams, accumulated):
    """Dynamic batches, the shortest utterances first."""
    durations = [train.data[name]["duration"] for name in train.data_ids]
    return ShortFirstSampler(
        durations,
        max_batch_length=hparams["max_batch_length"],
        short_steps=hparams["short_steps"],
        short_fraction=hparams["short_fraction"],
        epoch_steps=hparams["steps_per_epoch"],
        seed=hparams["seed"],
        accumulated=accumulated,
        num_buckets=hparams["num_buckets"],
        max_batch_ex=hparams["max_batch_ex"],
    )


def evaluate_sizes(brain, dev, tests, hparams):
    """Write the error rates of the model cut to other sizes, if wanted."""
    targets = hparams.get("other_targets", [])
    if targets is None:
        return
    plans = {"dense": PruningPlan({})}
    for target in targets:
        plans[str(target)] = brain.plan_for(target)
    write_sizes(
        brain,
        plans,
        {"+".join(hparams["dev_splits"]): dev, **tests},
        hparams["test_dataloader_opts"],
        Path(hparams["output_folder"]) / "sizes.json",
    )


def main(arguments):
    """Train, prune, evaluate, report."""
    hparams_file, run_opts, overrides = sb.parse_arguments(arguments)
    join_processes(run_opts)
    overrides = debugging_apart(hparams_file, overrides, run_opts)
    hparams = load_hparams(hparams_file, overrides)
    check_precision(hparams, run_opts)
    check_cache(hparams)
    start = open_start(hparams)
    run_on_main(prepare, args=[hparams, start])
    train, dev, tests = dataio_prepare(hparams)

    if hparams["use_tensorboard"]:
        hparams["tensorboard_logger"] = TensorboardLogger(
            hparams["tensorboard_folder"]
        )
    brain = make_brain(hparams, run_opts)
    if start is not None:
        start.begin(brain)
    sampler = make_sampler(train, hparams, brain.grad_accumulation_factor)
    check_length(brain, sampler.epoch_steps)
    brain.train_sampler = sampler  # fit() tells it the epoch
    brain.fit(
        brain.hparams.epoch_counter,
        # A loader, as the sampler itself serves several processes
        make_dataloader(
            train, batch_sampler=sampler, **hparams["train_dataloader_opts"]
        ),
        dev,
        valid_loader_kwargs=hparams["valid_dataloader_opts"],
    )
    run_on_main(finalise, args=[brain, tests, hparams["test_dataloader_opts"]])
    run_on_main(evaluate_sizes, args=[brain, dev, tests, hparams])


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NeuronPruneError as error:
        sys.exit(f"error: {error}")

#!/usr/bin/env python3
"""Recipe for adapting a recogniser to a new domain without labels.

Hyper and hypo neurons (Mitra, Franco: "Investigation and Analysis of Hyper
and Hypo neuron pruning to selectively update neurons during Unsupervised
Adaptation", arXiv 2001.01755): the most and the least active neurons of the
fully connected layers are updated on pseudo-labelled speech of the new domain;
all others stay what they are, so less is forgotten.

To run this recipe, do the following:
> python train_adaptive_dropout.py hparams/tfcnn_ctc_mini.yaml
    --data_folder=/path/to/a/corpus/in/LibriSpeech/layout
> python adapt_hyper_hypo.py hparams/adapt_hyper_hypo.yaml
    --starting_model=results/tfcnn_ctc_mini/3407/model
    --target_folder=/path/to/the/new/domain

A run that was stopped goes on where it stopped. In the output folder it
leaves ``adaptation.json`` (error rates before and after), the adapted model's
directory and, if only neurons were updated, ``patch.safetensors``.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import sys
from pathlib import Path

import speechbrain as sb
from librispeech_layout_prepare import prepare_librispeech_layout
from speechbrain.dataio.dataio import read_audio
from speechbrain.utils.distributed import run_on_main

from speechbrain_neuronprune.deploy.loading import load_model
from speechbrain_neuronprune.domain_adaptation import (
    DomainAdaptation,
    DomainSpeech,
)
from speechbrain_neuronprune.domain_adaptation.checks import check_output
from speechbrain_neuronprune.errors import DataError, NeuronPruneError
from speechbrain_neuronprune.processes import join_processes
from speechbrain_neuronprune.training.dataio import cached_reader, read_rows
from speechbrain_neuronprune.training.experiment import (
    check_precision,
    device_of,
    load_hparams,
)


def check_target(hparams):
    """There is something to adapt to."""
    if not hparams["target_splits"]:
        raise DataError(
            "target_splits is empty, so there is no speech to adapt to; name "
            f"a split of {hparams['target_folder']} in it."
        )


def check_home(hparams):
    """Home speech has a folder and splits, or neither."""
    home = hparams["home_folder"]
    named = hparams["home_splits"] or hparams["home_tests"]
    if named and home is None:
        raise DataError(
            "There are home_splits or home_tests, but no home_folder that "
            "they could be in; set home_folder, or leave them empty."
        )
    if home is not None and not named:
        raise DataError(
            f"There is a home_folder, {home}, but home_splits and home_tests "
            "are both empty; name a split in one of them, or leave "
            "home_folder out."
        )


def check_replay(hparams):
    """Speech to replay has a folder and splits, or neither."""
    folder, splits = hparams["replay_folder"], hparams["replay_splits"]
    if (folder is None) == bool(splits):
        raise DataError(
            f"replay_folder is {folder} and replay_splits {splits}, but one "
            "says where to look for the other; set both, or leave both out."
        )


def prepare(hparams):
    """Write the data manifests (main process only)."""
    check_target(hparams)
    check_home(hparams)
    check_replay(hparams)
    folder = Path(hparams["save_folder"])
    prepare_librispeech_layout(
        hparams["target_folder"],
        folder / "target",
        te_splits=hparams["target_tests"],
        unlabelled_splits=hparams["target_splits"],
        skip_prep=hparams["skip_prep"],
    )
    if hparams["home_folder"] is not None:
        prepare_librispeech_layout(
            hparams["home_folder"],
            folder / "home",
            dev_splits=hparams["home_splits"],
            te_splits=hparams["home_tests"],
            skip_prep=hparams["skip_prep"],
        )
    if hparams["replay_folder"] is not None:
        prepare_librispeech_layout(
            hparams["replay_folder"],
            folder / "replay",
            dev_splits=hparams["replay_splits"],
            skip_prep=hparams["skip_prep"],
        )


def read_speech(hparams):
    """The rows of all splits; test splits go by folder and name."""
    folder = Path(hparams["save_folder"])
    tests = {
        f"{place}/{split}": read_rows(folder / place / f"{split}.csv")
        for place in ("home", "target")
        for split in hparams[f"{place}_tests"]
    }
    parts = {
        place: read_rows(
            *[folder / place / f"{s}.csv" for s in hparams[f"{place}_splits"]]
        )
        for place in ("home", "target", "replay")
    }
    read = cached_reader() if hparams["cache_audio"] else read_audio
    return DomainSpeech(
        parts["target"], parts["home"], tests, read, parts["replay"]
    )


def report(results):
    """Print the error rates before and after."""
    for split, before in results["before"].items():
        after = results["after"][split]
        print(f"{split}: WER {before['wer']:.2f} -> {after['wer']:.2f}")


def main(arguments):
    """Prepare, adapt, report."""
    hparams_file, run_opts, overrides = sb.parse_arguments(arguments)
    join_processes(run_opts)
    hparams = load_hparams(hparams_file, overrides, check_output)
    check_precision(hparams, run_opts)
    run_on_main(prepare, args=[hparams])
    recogniser = load_model(
        hparams["starting_model"], device_of(hparams, run_opts)
    )
    speech = read_speech(hparams)
    results = DomainAdaptation(recogniser, speech, hparams, run_opts).run()
    run_on_main(report, args=[results])


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NeuronPruneError as error:
        sys.exit(f"error: {error}")
